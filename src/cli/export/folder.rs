//! An export of several files: a folder that appears under its name when all of them are whole.
//!
//! Promises: what is there is never replaced: the name is that of no folder yet, or of an empty
//! one. An error or a signal removes what was written until then. What a kill leaves has a name
//! that says that it is not complete.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::Builder;

use crate::exit::Failure;
use crate::output::Output;
use crate::signals;

/// A folder that is being filled.
pub(super) struct NewFolder {
    to: PathBuf,
    partial: Partial,
    path: PathBuf,
}

/// The folder while it has its temporary name.
#[derive(Clone)]
struct Partial(Arc<Mutex<Option<PathBuf>>>);

impl Partial {
    /// Removes what is not whole; whether there was anything.
    fn remove(&self) -> bool {
        let path = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // There is nobody to tell. The name of what is left says that it is not complete.
        path.is_some_and(|path| fs::remove_dir_all(path).is_ok())
    }
}

impl NewFolder {
    /// Makes a folder beside the one that is to be.
    pub(super) fn create(to: &Path, output: Output) -> Result<Self, Failure> {
        if to == Path::new("-") {
            let problem = "this format has several files: --output names the folder for them";
            return Err(Failure::Usage(problem.into()));
        }
        let refused = |problem: &str| {
            Failure::Usage(format!(
                "--output: {} {problem}; name a folder that is not there yet",
                to.display()
            ))
        };
        match fs::read_dir(to).map(|mut entries| entries.next().is_some()) {
            Ok(true) => return Err(refused("has files in it")),
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                return Err(refused("is a file"));
            }
            _ => {}
        }
        let partial = Partial(Arc::default());
        let (removed, kept) = (partial.clone(), to.to_owned());
        signals::heed(move |_| {
            if removed.remove() {
                output.note(&format!("interrupted: nothing was written to {}", kept.display()));
            }
            false
        })?;
        let parent = parent_of(to);
        let mut builder = Builder::new();
        builder.prefix(".sutra-export-").suffix(".partial");
        // As mkdir makes it: the umask takes from that.
        builder.permissions(Permissions::from_mode(0o777));
        let made = builder.tempdir_in(&parent).map_err(|error| {
            let problem = format!("cannot make a folder in {}: {error}", parent.display());
            match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Failure::Host(problem),
                _ => Failure::Usage(format!("--output: {problem}")),
            }
        })?;
        let path = made.keep();
        *partial.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(path.clone());
        Ok(Self { to: to.to_owned(), partial, path })
    }

    /// A new file in it.
    pub(super) fn file(&self, name: &str) -> io::Result<File> {
        File::create_new(self.path.join(name))
    }

    /// A new file in it without a name, which goes with its last user.
    pub(super) fn spool(&self) -> io::Result<File> {
        tempfile::tempfile_in(&self.path)
    }

    /// All files are on the disk: the folder gets its name, durably.
    pub(super) fn finish(self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()?;
        let mut partial = self.partial.0.lock().unwrap_or_else(PoisonError::into_inner);
        if partial.is_some() {
            // An empty folder gives way, one that was filled meanwhile does not.
            fs::rename(&self.path, &self.to)?;
            *partial = None;
        }
        File::open(parent_of(&self.to))?.sync_all()
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        self.partial.remove();
    }
}

fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
