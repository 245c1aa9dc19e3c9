//! Where a node may have its data: below the agent's folder, and nowhere that leads out of it.

use std::io;
use std::path::{Component, Path, PathBuf};

use crate::error::Refusal;
use crate::folder::{self, LOGS, NODES, is_reserved};
use crate::mounts::Mounts;

/// The folder that is asked for, as a path from `root` (which is absolute and without symlinks):
/// absolute or from `root`, without `..`, and where it really lies: neither a symlink nor a mount
/// makes it the agent's own. An empty one is the node's own, named after it.
pub(crate) fn resolve(root: &Path, asked: &str, node: &str) -> Result<PathBuf, Refusal> {
    if asked.is_empty() {
        return Ok(Path::new(NODES).join(node));
    }
    let wrong = |problem: &str| Refusal::Path {
        path: asked.into(),
        problem: problem.into(),
        root: root.into(),
    };
    if asked.chars().any(char::is_control) {
        return Err(wrong("has control characters in it"));
    }
    let path = Path::new(asked);
    let below = if path.is_absolute() { inside(root, path) } else { Some(path.to_owned()) };
    let below = below.ok_or_else(|| wrong("is outside of the agent's folder"))?;
    let relative = plain(&below).ok_or_else(|| wrong("has .. in it"))?;
    match relative.components().next() {
        None => return Err(wrong("is the agent's own folder")),
        Some(first) if is_reserved(first.as_os_str()) => {
            return Err(wrong("is where the agent keeps its own files"));
        }
        Some(_) if relative == Path::new(NODES) => {
            return Err(wrong("is where nodes have their folders"));
        }
        Some(_) => {}
    }
    let lies_at = real(&root.join(&relative))
        .map_err(|error| wrong(&format!("can't be followed ({error})")))?;
    let real_relative = lies_at.strip_prefix(root).ok().and_then(plain);
    let real_relative =
        real_relative.ok_or_else(|| wrong("leads out of the agent's folder through a symlink"))?;
    let first = real_relative.components().next();
    if first.is_none_or(|first| is_reserved(first.as_os_str())) {
        return Err(wrong("leads to the agent's own files through a symlink"));
    }
    if real_relative == Path::new(NODES) {
        return Err(wrong("leads to where nodes have their folders through a symlink"));
    }
    let mounts = Mounts::now();
    let is_around = |own: &Path| mounts.contains(&lies_at, own);
    if is_around(root) || is_around(&root.join(NODES)) || mounts.overlap(&lies_at, &root.join(LOGS))
    {
        return Err(wrong("leads to the agent's own files through a mount"));
    }
    if lies_at.exists() && !lies_at.is_dir() {
        return Err(wrong("is no folder"));
    }
    Ok(real_relative)
}

/// An absolute path from `root`, which may be spelled through a symlink.
fn inside(root: &Path, path: &Path) -> Option<PathBuf> {
    if let Ok(below) = path.strip_prefix(root) {
        return Some(below.to_owned());
    }
    let real = plain(path.strip_prefix("/").ok()?).and_then(|_| real(path).ok())?;
    real.strip_prefix(root).ok().map(Path::to_owned)
}

/// The same path with nothing but names in it; `None` where it has `..`.
pub(crate) fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => plain.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(plain)
}

/// Where a path lies once symlinks are followed, as far as it exists.
fn real(path: &Path) -> io::Result<PathBuf> {
    let mut missing = Vec::new();
    let mut here = path;
    loop {
        match here.symlink_metadata() {
            // A symlink to nothing is no missing folder: following it fails.
            Ok(_) => {
                let mut real = here.canonicalize()?;
                real.extend(missing.iter().rev());
                return Ok(real);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (Some(parent), Some(name)) = (here.parent(), here.file_name()) else {
                    return Err(error);
                };
                missing.push(name);
                here = parent;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether a folder that was given to a node is still the one that it was: nobody has put a symlink
/// in its place, or mounted something there.
pub(crate) fn check_again(root: &Path, path: &Path, node: &str) -> Result<(), String> {
    match resolve(root, &path.to_string_lossy(), node) {
        Ok(now) if now == path => Ok(()),
        Ok(now) => Err(format!(
            "its folder {} leads to {} by now; put it back",
            path.display(),
            now.display()
        )),
        Err(refusal) => Err(refusal.to_string()),
    }
}

/// The folders that are made for a node, to be unmade if its start fails.
#[derive(Debug, Default)]
pub(crate) struct Made {
    /// The outermost first.
    folders: Vec<PathBuf>,
}

impl Made {
    /// Makes `path` below `root` and what is missing on the way. A failure leaves nothing.
    pub(crate) fn make(root: &Path, path: &Path) -> io::Result<Self> {
        let mut made = Self::default();
        let mut here = root.to_owned();
        for part in path.components() {
            here.push(part);
            match folder::make_new(&here) {
                Ok(()) => made.folders.push(here.clone()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && here.is_dir() => {}
                Err(error) => {
                    made.unmake(&root.join(path));
                    return Err(error);
                }
            }
        }
        Ok(made)
    }

    /// Whether the node's folder was there before, with whatever it holds.
    pub(crate) fn is_old(&self, path: &Path) -> bool {
        self.folders.last().is_none_or(|made| made != path)
    }

    /// Removes what was made: the node's folder with what is in it, and those around it where no
    /// other node has come to use them.
    pub(crate) fn unmake(&self, path: &Path) {
        for folder in self.folders.iter().rev() {
            let removed = if folder == path {
                std::fs::remove_dir_all(folder)
            } else {
                std::fs::remove_dir(folder)
            };
            if let Err(error) = removed {
                tracing::debug!(
                    folder = %folder.display(),
                    %error,
                    "a folder of a node that did not start is left"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn root() -> (tempfile::TempDir, PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap().join("agent");
        fs::create_dir(&root).unwrap();
        (place, root)
    }

    #[test]
    fn paths_below_the_root_are_taken_however_they_are_written() {
        let (_place, root) = root();
        let inside = root.join("a/b");
        for asked in ["a/b", "./a//b/", inside.to_str().unwrap()] {
            assert_eq!(resolve(&root, asked, "n").unwrap(), Path::new("a/b"), "{asked}");
        }
        assert_eq!(resolve(&root, "", "node-1").unwrap(), Path::new("nodes/node-1"));
        assert_eq!(resolve(&root, "nodes/x", "n").unwrap(), Path::new("nodes/x"));
    }

    #[test]
    fn what_leads_out_or_is_the_agents_own_is_refused() {
        let (place, root) = root();
        fs::create_dir(root.join("logs")).unwrap();
        symlink(place.path(), root.join("out")).unwrap();
        symlink("/nowhere-at-all", root.join("dangling")).unwrap();
        symlink(root.join("logs"), root.join("in")).unwrap();
        symlink(&root, root.join("self")).unwrap();
        fs::create_dir(root.join("nodes")).unwrap();
        symlink("nodes", root.join("all")).unwrap();
        symlink("all", root.join("all-again")).unwrap();
        fs::write(root.join("file"), "").unwrap();
        let beside = format!("{}-beside/x", root.display());
        let over = format!("{}/../x", root.display());
        for asked in [
            "..",
            "a/../..",
            "../agent/x",
            "/",
            "/etc",
            &beside,
            &over,
            "out/x",
            "out",
            "dangling",
            "dangling/x",
            "in",
            "in/x",
            "self",
            "all",
            "all/",
            "all-again",
            "all/../all",
            "nodes.json.x.new",
            "incarnation.new",
            "agent.lock",
            "logs",
            "logs/x",
            "nodes.json",
            "nodes",
            ".",
            root.to_str().unwrap(),
            "file",
            "file/x",
            "a\nb",
            "a\0b",
        ] {
            let refused = resolve(&root, asked, "n");
            assert!(matches!(refused, Err(Refusal::Path { .. })), "{asked}: {refused:?}");
        }
    }

    #[test]
    fn a_symlink_that_stays_inside_is_followed_to_where_the_data_lies() {
        let (place, root) = root();
        fs::create_dir(root.join("real")).unwrap();
        symlink(root.join("real"), root.join("alias")).unwrap();
        symlink(&root, place.path().join("agent-alias")).unwrap();
        let spelled = place.path().join("agent-alias/x");
        assert_eq!(resolve(&root, spelled.to_str().unwrap(), "n").unwrap(), Path::new("x"));
        assert_eq!(resolve(&root, "alias/x", "n").unwrap(), Path::new("real/x"));
        assert_eq!(resolve(&root, "nodes/x", "n").unwrap(), Path::new("nodes/x"));
    }

    #[test]
    fn a_folder_that_has_become_a_link_since_is_not_the_nodes_any_more() {
        let (_place, root) = root();
        fs::create_dir_all(root.join("nodes/one")).unwrap();
        let check = |path: &str| check_again(&root, Path::new(path), "n");
        assert_eq!(check("nodes/one"), Ok(()));
        assert_eq!(check("nodes/not-there-yet"), Ok(()));
        symlink("one", root.join("nodes/two")).unwrap();
        symlink("../nodes", root.join("nodes/three")).unwrap();
        assert!(check("nodes/two").unwrap_err().contains("leads to nodes/one"));
        assert!(check("nodes/three").unwrap_err().contains("symlink"));
    }

    #[test]
    fn what_was_made_is_unmade_and_nothing_else() {
        let (_place, root) = root();
        fs::create_dir(root.join("old")).unwrap();
        let made = Made::make(&root, Path::new("old/new/data")).unwrap();
        fs::write(root.join("old/new/data/file"), "x").unwrap();
        fs::create_dir(root.join("old/new/other")).unwrap();
        made.unmake(&root.join("old/new/data"));
        assert!(!root.join("old/new/data").exists() && root.join("old/new/other").exists());
        assert!(!made.is_old(&root.join("old/new/data")));
        let made = Made::make(&root, Path::new("old")).unwrap();
        assert!(made.is_old(&root.join("old")));
        made.unmake(&root.join("old"));
        assert!(root.join("old").exists(), "it was there before");
    }
}
