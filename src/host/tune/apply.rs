//! Carries a plan out: all of it, or none.
//!
//! First everything is looked at that could be refused. Then it is written down what is there. Then
//! the changes are made, and where one is refused all the same, those before it are taken back.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{Access, FlockOperation};

use crate::host::Host;
use crate::root::Root;
use crate::tune::error::TuneError;
use crate::tune::planned::{Change, Plan};
use crate::tune::state::{self, State};

impl Plan {
    /// Makes the changes. Where one is refused, all are taken back.
    pub fn carry_out(&self, host: &Host) -> Result<(), TuneError> {
        if self.is_empty() {
            return Ok(());
        }
        let root = host.root();
        check(root, self)?;
        let mut after = self.after.clone();
        let made = make_folders(root, self, &mut after)?;
        let undo_folders = |error| {
            remove_folders(root, &made);
            error
        };
        let lock = lock(root, &self.before).map_err(undo_folders)?;
        // Until all is done the state has both: what was changed before and what will be.
        let meanwhile = together(&self.before, &after);
        if let Err(source) = meanwhile.write(root) {
            drop(lock);
            let path = root.at(state::FILE);
            return Err(undo_folders(TuneError::File { what: "write", path, source }));
        }
        for (at, change) in self.changes.iter().enumerate() {
            if let Err(source) = make(root, change, false) {
                return Err(self.take_back(root, at, &made, source));
            }
        }
        // Folders that were made for what is gone by now go, too.
        let emptied = match after.files.is_empty() {
            true => std::mem::take(&mut after.folders),
            false => Vec::new(),
        };
        if let Err(source) = after.write(root) {
            return Err(self.take_back(root, self.changes.len(), &made, source));
        }
        drop(lock);
        remove_folders(root, &emptied);
        Ok(())
    }

    /// Takes back the changes before this one, which was refused; beyond the last one it was the
    /// state that was.
    fn take_back(&self, root: &Root, at: usize, made: &[String], source: io::Error) -> TuneError {
        if let Some(refused) = self.changes.get(at) {
            // A value may have been taken in part.
            let _ = make(root, refused, true);
        }
        let mut left = Vec::new();
        for change in self.changes[..at].iter().rev() {
            if let Err(error) = make(root, change, true) {
                left.push(format!("{} ({error})", change.path));
            }
        }
        let path = self.changes.get(at).map_or(state::FILE, |change| &change.path).to_owned();
        if !left.is_empty() {
            return TuneError::Half { path, source, left: left.join(", ") };
        }
        // What can't be written now is written by the next run: it has more than what is so.
        let _ = self.before.write(root);
        remove_folders(root, made);
        TuneError::File { what: "write", path: root.at(path), source }
    }
}

/// Makes a change, or takes it back.
fn make(root: &Root, change: &Change, back: bool) -> io::Result<()> {
    let path = root.at(&change.path);
    let content = if back { &change.old } else { &change.new };
    if change.is_live { content.set(&path) } else { content.put(&path) }
}

/// Finds out what would be refused, before anything is changed.
fn check(root: &Root, plan: &Plan) -> Result<(), TuneError> {
    let paths = plan.changes.iter().map(|change| change.path.as_str());
    let mut refused = Vec::new();
    for path in paths.chain([state::FILE]) {
        let there = root.at(path);
        // What is put in place of a file is put into its folder; a value of the kernel is written.
        let is_live = plan.changes.iter().any(|change| change.path == path && change.is_live);
        let asked = if is_live { there.as_path() } else { nearest_folder(&there) };
        if let Err(error) = rustix::fs::access(asked, Access::WRITE_OK) {
            refused.push(format!("{path} ({})", io::Error::from(error)));
        } else if !is_below(root, asked) {
            refused.push(format!("{path} (a link on its way leads out of --root)"));
        }
    }
    if refused.is_empty() { Ok(()) } else { Err(TuneError::Refused { refused }) }
}

/// Whether a path leads to somewhere below the root: an image's links may be meant for its own
/// root, and lead into this host.
fn is_below(root: &Root, path: &Path) -> bool {
    path.canonicalize().is_ok_and(|path| path.starts_with(root.folder()))
}

fn nearest_folder(path: &Path) -> &Path {
    path.ancestors().skip(1).find(|folder| folder.is_dir()).unwrap_or(Path::new("/"))
}

/// Makes the folders that are not there for what is installed, and notes them.
fn make_folders(root: &Root, plan: &Plan, after: &mut State) -> Result<Vec<String>, TuneError> {
    let mut made = Vec::new();
    let paths = plan.changes.iter().filter(|change| !change.is_live).map(|change| &change.path);
    let folders = paths.filter_map(|path| Path::new(path).parent());
    for folder in folders.chain([Path::new(state::FOLDER)]) {
        let mut missing: Vec<&Path> =
            folder.ancestors().take_while(|above| !root.at(above).is_dir()).collect();
        missing.reverse();
        for folder in missing {
            let path = root.at(folder);
            if let Err(source) = fs::create_dir(&path) {
                remove_folders(root, &made);
                return Err(TuneError::File { what: "make the folder", path, source });
            }
            made.push(folder.to_string_lossy().into_owned());
        }
    }
    after.folders.extend(made.iter().cloned());
    Ok(made)
}

/// Removes folders that are empty, the last made first.
fn remove_folders(root: &Root, folders: &[String]) {
    for folder in folders.iter().rev() {
        // One that somebody else uses by now stays.
        let _ = fs::remove_dir(root.at(folder));
    }
}

/// Locks the host against another `tune`, and makes sure that none was in between.
fn lock(root: &Root, before: &State) -> Result<fs::File, TuneError> {
    let path = root.at(state::FOLDER);
    let failed = |source: io::Error| TuneError::File { what: "lock", path: path.clone(), source };
    let folder = fs::File::open(&path).map_err(failed)?;
    match rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Err(TuneError::Meanwhile),
        Err(error) => return Err(failed(error.into())),
    }
    match State::read(root) {
        Ok(now) if now == *before => Ok(folder),
        _ => Err(TuneError::Meanwhile),
    }
}

/// What is to be known while changes are made: every file that was or will be changed.
fn together(before: &State, after: &State) -> State {
    let mut all = after.clone();
    for (path, changed) in &before.files {
        all.files.entry(path.clone()).or_insert_with(|| changed.clone());
    }
    for name in &before.applied {
        if !all.applied.contains(name) {
            all.applied.push(name.clone());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::tests::host;
    use crate::root::tests::Sample;
    use crate::tune::content::Content;
    use crate::tune::state::Changed;

    /// A plan that writes two files, the second of which is a value of the kernel.
    fn of_two(value: &str) -> Plan {
        let new = Content::installed("new\n".into());
        let change = |path: &str, is_live: bool, old: Content| Change {
            path: path.into(),
            settings: vec!["swappiness".into()],
            is_live,
            old,
            new: new.clone(),
        };
        let changes = vec![
            change("/etc/sysctl.d/x.conf", false, Content::Missing),
            change(value, true, Content::installed("old\n".into())),
        ];
        let mut after = State::new();
        after.applied.push("swappiness".into());
        for change in &changes {
            let changed = Changed {
                settings: change.settings.clone(),
                is_live: change.is_live,
                former: change.old.clone(),
                left: change.new.clone(),
            };
            after.files.insert(change.path.clone(), changed);
        }
        Plan { changes, kept: Vec::new(), before: State::new(), after }
    }

    #[test]
    fn a_value_that_is_refused_takes_back_what_was_changed_before_it() {
        // A folder can be written to, and a value can't be written to it.
        let sample = Sample::new(&[("/sys/value/x", "")]);
        let error = of_two("/sys/value").carry_out(&host(sample.root())).unwrap_err();
        assert!(error.to_string().contains("nothing was changed: cannot write"), "{error}");
        assert!(!sample.root().has("/etc") && !sample.root().has("/var"), "folders are gone, too");
        sample.write("/sys/value/file", "old\n");
        of_two("/sys/value/file").carry_out(&host(sample.root())).unwrap();
        assert_eq!(sample.root().text("/sys/value/file").unwrap(), "new");
        assert!(sample.root().has(state::FILE) && sample.root().has("/etc/sysctl.d/x.conf"));
    }

    #[test]
    fn a_plan_of_a_state_that_is_over_is_not_carried_out() {
        let sample = Sample::new(&[("/sys/value/file", "old\n")]);
        let host = host(sample.root());
        of_two("/sys/value/file").carry_out(&host).unwrap();
        let again = of_two("/sys/value/file").carry_out(&host);
        assert!(matches!(again, Err(TuneError::Meanwhile)), "{again:?}");
    }

    #[test]
    fn a_link_out_of_an_image_is_not_followed() {
        let outside = Sample::new(&[("/etc/x", "")]);
        let sample = Sample::new(&[("/sys/value/file", "old\n")]);
        let target = outside.root().at("/etc");
        sample.link("/etc", target.to_str().unwrap());
        let error = of_two("/sys/value/file").carry_out(&host(sample.root())).unwrap_err();
        assert!(error.to_string().contains("leads out of --root"), "{error}");
        assert!(!outside.root().has("/etc/sysctl.d"));
    }
}
