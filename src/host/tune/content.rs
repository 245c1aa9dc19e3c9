//! What stands in a file, or that there is none; and how it is put there.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::root::chosen;

/// The longest file that is kept: those that are changed have some dozens of lines.
const LONGEST: u64 = 1 << 20;

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Nothing.
    Missing,
    /// A file.
    File {
        /// What stands in it.
        text: Bytes,
        /// Who may do what.
        mode: u32,
        /// Whose it is.
        owner: u32,
        /// Its group.
        group: u32,
    },
    /// A symbolic link, and where it leads.
    Link(String),
}

/// Bytes, which are text nearly always.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Bytes {
    /// Those that are text.
    Text(String),
    /// Others.
    Other(Vec<u8>),
}

impl Bytes {
    /// As they stand in the file.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Bytes::Text(text) => text.as_bytes(),
            Bytes::Other(bytes) => bytes,
        }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or_else(|error| Bytes::Other(error.into_bytes()), Bytes::Text)
    }
}

impl Content {
    /// A file as `tune` installs it: for all to read.
    pub(super) fn installed(text: String) -> Self {
        Content::File { text: Bytes::Text(text), mode: 0o644, owner: 0, group: 0 }
    }

    /// For people: its text, or where it leads; `None` where there is nothing.
    pub fn shown(&self) -> Option<String> {
        match self {
            Content::Missing => None,
            Content::File { text, .. } => Some(String::from_utf8_lossy(text.bytes()).into_owned()),
            Content::Link(to) => Some(format!("a link to {to}")),
        }
    }

    /// The same but for its owner: one that is not root's makes an image's files its own.
    pub(super) fn says_the_same(&self, other: &Content) -> bool {
        match (self, other) {
            (Content::File { text, mode, .. }, Content::File { text: others, mode: its, .. }) => {
                text == others && mode == its
            }
            (one, other) => one == other,
        }
    }

    /// What is at this path now.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        let found = match fs::symlink_metadata(path) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Content::Missing),
            Err(error) => return Err(error),
        };
        if found.is_symlink() {
            let to = fs::read_link(path)?;
            return Ok(Content::Link(to.to_string_lossy().into_owned()));
        }
        if !found.is_file() {
            return Err(io::Error::other("it is no file; move away what is in its place"));
        }
        let mut text = Vec::new();
        fs::File::open(path)?.take(LONGEST + 1).read_to_end(&mut text)?;
        if text.len() as u64 > LONGEST {
            return Err(ErrorKind::FileTooLarge.into());
        }
        let (mode, owner, group) = (found.mode() & 0o7777, found.uid(), found.gid());
        Ok(Content::File { text: text.into(), mode, owner, group })
    }

    /// Puts it at this path in place of what is there: whole or not at all, also after a crash.
    pub(super) fn put(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        match self {
            Content::Missing => match fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            },
            Content::File { text, mode, owner, group } => {
                let mut new = tempfile::NamedTempFile::new_in(folder)?;
                new.write_all(text.bytes())?;
                let made = new.as_file().metadata()?;
                if (made.uid(), made.gid()) != (*owner, *group) {
                    // Refused to all but root, who installs for the system. In an image that is
                    // one's own, files stay one's own.
                    let given = chown(new.path(), Some(*owner), Some(*group));
                    if rustix::process::geteuid().is_root() {
                        given?;
                    }
                }
                new.as_file().set_permissions(fs::Permissions::from_mode(*mode))?;
                new.as_file().sync_all()?;
                new.persist(path)?;
            }
            Content::Link(to) => {
                let name = tempfile::Builder::new().make_in(folder, |new| symlink(to, new))?;
                name.persist(path)?;
            }
        }
        fs::File::open(folder)?.sync_all()
    }

    /// Writes it to a value of the running kernel, which takes one word of those that it lists. A
    /// file that only stands in a kernel's place takes all.
    pub(super) fn set(&self, path: &Path) -> io::Result<()> {
        let Content::File { text, .. } = self else { return Ok(()) };
        let text = text.bytes();
        if !is_kernels(path)? {
            return fs::write(path, text);
        }
        let words = String::from_utf8_lossy(text);
        // In one write: the kernel takes each for a value.
        fs::OpenOptions::new().write(true).open(path)?.write_all(chosen(words.trim()).as_bytes())
    }
}

/// Whether a file is the running kernel's.
fn is_kernels(path: &Path) -> io::Result<bool> {
    const PROC: u64 = 0x9fa0;
    const SYSFS: u64 = 0x6265_6572;
    let kind = rustix::fs::statfs(path)?.f_type as u64;
    Ok(kind == PROC || kind == SYSFS)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_put_somewhere_is_there_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert_eq!(Content::at(&path).unwrap(), Content::Missing);
        fs::write(&path, [0xff, 0, b'x']).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let file = Content::at(&path).unwrap();
        let link = Content::Link("../nowhere".into());
        for content in [&link, &file, &Content::Missing, &link, &Content::Missing, &file] {
            content.put(&path).unwrap();
            assert_eq!(Content::at(&path).unwrap(), *content);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        let text = serde_json::to_string(&file).unwrap();
        assert_eq!(serde_json::from_str::<Content>(&text).unwrap(), file);
        assert!(Content::at(folder.path()).is_err(), "a folder is no file");
    }

    #[test]
    fn a_file_that_stands_in_the_kernels_place_is_written_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("enabled");
        fs::write(&path, "[always] madvise never\n").unwrap();
        let before = Content::at(&path).unwrap();
        Content::installed("madvise\n".into()).set(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "madvise\n");
        before.set(&path).unwrap();
        assert_eq!(Content::at(&path).unwrap(), before);
        assert!(is_kernels(Path::new("/proc/self/status")).unwrap() && !is_kernels(&path).unwrap());
    }
}
