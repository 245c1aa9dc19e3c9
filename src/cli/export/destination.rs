//! Where an export is written: standard output, a pipe or device as it is, or a file that appears
//! under its name when it is whole.
//!
//! Promises: two exports to one file have a temporary file each, so the file is always one of them,
//! whole. Where the file system allows it, a temporary file has no name until it is complete:
//! nothing is left of it however the process ends. Elsewhere its name is random, and a signal or an
//! error removes it. The mode and, where we may, the owner of a file that is replaced stay; a
//! symbolic link stays and what it leads to is replaced.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, fchown, linkat};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use tempfile::Builder;

use crate::exit::Failure;
use crate::output::Output;
use crate::signals;

/// Links that are followed, as many as the kernel follows.
const MOST_LINKS: usize = 40;
/// The permissions of a new file, before the process's umask.
const NEW_MODE: Mode = Mode::from_raw_mode(0o666);
/// By these names the kernel finds what the process has open.
const DESCRIPTORS: &str = "/proc/self/fd";

/// What an export is written to.
pub(super) struct Destination {
    out: BufWriter<Box<dyn Write>>,
    file: Option<Replacement>,
    /// Whether the export goes elsewhere than to standard output.
    is_named: bool,
}

/// A file that is to take another's place.
struct Replacement {
    file: File,
    to: PathBuf,
    folder: PathBuf,
    partial: Partial,
}

/// How far a temporary file has come, which says how to clean up after it.
#[derive(Clone, Default)]
struct Partial(Arc<Mutex<Stage>>);

#[derive(Default)]
enum Stage {
    /// It has no name: it goes with the process.
    #[default]
    Unnamed,
    Named(PathBuf),
    /// It has become the file that was asked for.
    Whole,
}

impl Partial {
    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes what is not whole; whether it was whole.
    fn remove(&self) -> bool {
        let mut stage = self.stage();
        if let Stage::Named(name) = &*stage {
            // There is nobody to tell. The name of what is left says that it is not complete.
            let _ = fs::remove_file(name);
            *stage = Stage::Unnamed;
        }
        matches!(*stage, Stage::Whole)
    }
}

/// Where a path leads.
enum Leads {
    /// To one of the process's own descriptors, by this path.
    Descriptor(PathBuf),
    /// To a pipe or a device, which is written to as it is.
    Special(PathBuf),
    /// To a file, or to where one will be.
    File(PathBuf),
}

impl Destination {
    /// Opens what the argument names; `-` is standard output.
    pub(super) fn create(path: &Path, output: Output) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Self::direct(io::stdout(), false));
        }
        let opened = match follow(path) {
            Ok(Leads::Descriptor(path)) if is_standard_output(&path) => {
                Ok(Self::direct(io::stdout(), false))
            }
            // A file that is open already goes on where it ends.
            Ok(Leads::Descriptor(path)) => {
                OpenOptions::new().append(true).open(path).map(|file| Self::direct(file, true))
            }
            Ok(Leads::Special(path)) => {
                OpenOptions::new().write(true).open(path).map(|file| Self::direct(file, true))
            }
            Ok(Leads::File(to)) => return Self::replace(path, to, output),
            Err(error) => Err(error),
        };
        opened.map_err(|error| cannot_open(path, &error))
    }

    fn direct(out: impl Write + 'static, is_named: bool) -> Self {
        Self { out: BufWriter::new(Box::new(out)), file: None, is_named }
    }

    /// Opens a temporary file beside `to`, which is what `path` leads to.
    fn replace(path: &Path, to: PathBuf, output: Output) -> Result<Self, Failure> {
        let folder = match to.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let partial = Partial::default();
        let (removed, kept) = (partial.clone(), path.to_owned());
        signals::heed(move |_| {
            if !removed.remove() {
                output.note(&format!("interrupted: nothing was written to {}", kept.display()));
            }
            false
        })?;
        let open = || -> io::Result<File> {
            if to.exists() {
                // What may not be written may not be replaced either.
                rustix::fs::access(&to, Access::WRITE_OK)?;
            }
            let file = match unnamed(&folder) {
                Some(file) => file?,
                None => named(&folder, &partial, |name| {
                    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                    Ok(File::from(rustix::fs::open(name, flags, NEW_MODE)?))
                })?,
            };
            keep_mode(&to, &file)?;
            Ok(file)
        };
        let file = open().inspect_err(|_| {
            partial.remove();
        });
        let file = file.map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied
                if !to.exists() || rustix::fs::access(&to, Access::WRITE_OK).is_ok() =>
            {
                let folder = folder.display();
                Failure::Usage(format!(
                    "--output: cannot make a file in {folder} for {}: {error}",
                    path.display()
                ))
            }
            _ => cannot_open(path, &error),
        })?;
        let out = file.try_clone().map_err(|error| cannot_open(path, &error))?;
        let replacement = Replacement { file, to, folder, partial };
        Ok(Self { out: BufWriter::new(Box::new(out)), file: Some(replacement), is_named: true })
    }

    /// Whether it is not standard output.
    pub(super) fn is_named(&self) -> bool {
        self.is_named
    }

    /// Makes what was written whole.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.out.flush()?;
        self.file.as_ref().map_or(Ok(()), Replacement::take_place)
    }
}

impl Replacement {
    /// The file gets its name, durably, in place of the one that had it.
    fn take_place(&self) -> io::Result<()> {
        self.file.sync_all()?;
        if matches!(*self.partial.stage(), Stage::Unnamed) {
            // Linking never replaces; renaming does.
            let descriptor = format!("{DESCRIPTORS}/{}", self.file.as_raw_fd());
            let link =
                |name: &Path| Ok(linkat(CWD, &descriptor, CWD, name, AtFlags::SYMLINK_FOLLOW)?);
            named(&self.folder, &self.partial, link)?;
        }
        let mut stage = self.partial.stage();
        if let Stage::Named(name) = &*stage {
            fs::rename(name, &self.to)?;
            *stage = Stage::Whole;
        }
        File::open(&self.folder)?.sync_all()
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        self.partial.remove();
    }
}

/// What is wrong with the place that was named, or with the host.
fn cannot_open(path: &Path, error: &io::Error) -> Failure {
    let problem = format!("cannot write {}: {error}", path.display());
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Failure::Host(problem),
        _ => Failure::Usage(format!(
            "--output: {problem}; name a file in a folder that is there and may be written to"
        )),
    }
}

/// Follows symbolic links to what is to be written, also where that is not there yet.
fn follow(path: &Path) -> io::Result<Leads> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let parent = match path.parent() {
            Some(parent) if parent != Path::new("") => fs::canonicalize(parent)?,
            _ => std::env::current_dir()?,
        };
        let name = path.file_name().ok_or(ErrorKind::IsADirectory)?;
        path = parent.join(name);
        // The links in there lead to what is open, which may have no other name.
        if parent.starts_with("/proc") && parent.ends_with("fd") {
            return Ok(Leads::Descriptor(path));
        }
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => path = parent.join(fs::read_link(&path)?),
            Ok(metadata) if metadata.is_file() => return Ok(Leads::File(path)),
            Ok(metadata) if metadata.is_dir() => return Err(ErrorKind::IsADirectory.into()),
            Ok(_) => return Ok(Leads::Special(path)),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Leads::File(path)),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

fn is_standard_output(descriptor: &Path) -> bool {
    let own = format!("/proc/{}/fd/1", std::process::id());
    [Path::new("/proc/self/fd/1"), Path::new(&own)].contains(&descriptor)
}

/// A file without a name in this folder; `None` where the file system has no such files, or can't
/// name them later.
fn unnamed(folder: &Path) -> Option<io::Result<File>> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    match rustix::fs::open(folder, flags, NEW_MODE) {
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => None,
        _ if !Path::new(DESCRIPTORS).exists() => None,
        opened => Some(opened.map(File::from).map_err(io::Error::from)),
    }
}

/// Makes something under a random name in the folder. The name is known before it is there, so that
/// a signal at any time finds it.
fn named<T>(
    folder: &Path,
    partial: &Partial,
    mut make: impl FnMut(&Path) -> io::Result<T>,
) -> io::Result<T> {
    let made =
        Builder::new().prefix(".sutra-export-").suffix(".partial").make_in(folder, |name| {
            *partial.stage() = Stage::Named(name.to_owned());
            make(name).inspect_err(|_| *partial.stage() = Stage::Unnamed)
        })?;
    let (made, name) = made.into_parts();
    name.keep().map_err(|error| error.error)?;
    Ok(made)
}

/// Gives the file the mode and, where we may, the owner of the one that it is to replace.
fn keep_mode(replaced: &Path, file: &File) -> io::Result<()> {
    let Ok(old) = fs::metadata(replaced) else { return Ok(()) };
    let new = file.metadata()?;
    if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
        // Only the superuser may give a file away: to others the new one is theirs.
        let (uid, gid) = (Uid::from_raw(old.uid()), Gid::from_raw(old.gid()));
        if fchown(file, Some(uid), Some(gid)).is_err() {
            let _ = fchown(file, None, Some(gid));
        }
    }
    file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
