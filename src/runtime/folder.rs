//! A folder held by its descriptor: what is done in it is done there, wherever its name leads by
//! then.
//!
//! Every call takes a name in the folder and never a path. Which file a name leads to can be asked
//! again ([`Folder::known_as`]) and compared with what it was. So one that was moved, removed or
//! replaced is noticed. Everything here blocks. Errors name the path.

mod make;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::file_error::{in_context, os_error};

/// Which file or folder something is, whatever its name: two names with the same identity lead to
/// the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
    /// Its bytes when it was looked at.
    pub length: u64,
    /// When its bytes, its name or its mode last changed, in s and ns since 1970.
    pub changed: (i64, u64),
}

impl FileIdentity {
    fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            length: u64::try_from(stat.st_size).unwrap_or_default(),
            changed: (stat.st_ctime, stat.st_ctime_nsec),
        }
    }

    /// Of a file of a simulated disk.
    pub(crate) fn simulated(number: u64, length: u64) -> Self {
        Self { device: 0, inode: number, length, changed: (0, 0) }
    }

    /// Of an open file.
    pub(crate) fn of_file(file: &File) -> io::Result<Self> {
        Ok(Self::of(&rustix::fs::fstat(file)?))
    }

    /// Whether both are the same file or folder, however long.
    pub fn is(&self, other: &FileIdentity) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// The number of the inode.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// As `/proc/locks` names it: device, major and minor in hexadecimal, and inode.
    pub fn in_proc_locks(&self) -> String {
        let (major, minor) = (rustix::fs::major(self.device), rustix::fs::minor(self.device));
        format!("{major:02x}:{minor:02x}:{}", self.inode)
    }
}

/// A folder held by its descriptor.
#[derive(Debug)]
pub struct Folder {
    held: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens a folder.
    ///
    /// # Errors
    /// Those of open(2), with the path.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        Self::open_at(rustix::fs::CWD, path, path.to_owned())
    }

    /// Opens a folder in this one.
    ///
    /// # Errors
    /// Those of openat(2), with the path.
    pub fn folder(&self, name: &str) -> io::Result<Self> {
        Self::open_at(self.held.as_fd(), Path::new(name), self.path.join(name))
    }

    fn open_at(at: BorrowedFd<'_>, name: &Path, path: PathBuf) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::openat(at, name, flags, Mode::empty()) {
            Ok(held) => Ok(Self { held, path }),
            Err(error) => Err(in_context("open the folder", &path)(error.into())),
        }
    }

    /// The path that it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it is now, as the kernel tells it: another path if it was moved; one with "(deleted)"
    /// at its end if it was removed.
    pub fn path_now(&self) -> Option<PathBuf> {
        std::fs::read_link(format!("/proc/self/fd/{}", self.held.as_raw_fd())).ok()
    }

    /// Opens a file in it; one that is made is its owner's alone.
    ///
    /// # Errors
    /// Those of openat(2), with the path.
    pub fn file(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let mode = Mode::RUSR | Mode::WUSR;
        match rustix::fs::openat(&self.held, name, flags | OFlags::CLOEXEC, mode) {
            Ok(file) => Ok(File::from(file)),
            Err(error) => {
                let what = if flags.contains(OFlags::CREATE) { "create" } else { "open" };
                Err(in_context(what, &self.path.join(name))(error.into()))
            }
        }
    }

    /// Opens a plain file in it and nothing else: it follows no link, and does not wait for a
    /// pipe's writer.
    ///
    /// # Errors
    /// Those of openat(2), with the path; what is not a file is named.
    pub fn plain_file(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let not_one = || {
            let path = self.path.join(name);
            let what = format!("{} is not a file; move away what is in its place", path.display());
            io::Error::new(io::ErrorKind::InvalidData, what)
        };
        match self.file(name, flags | OFlags::NOFOLLOW | OFlags::NONBLOCK) {
            Ok(file)
                if rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode)
                    .is_file() =>
            {
                Ok(file)
            }
            Ok(_) => Err(not_one()),
            Err(error) => match os_error(&error).map(Errno::from_raw_os_error) {
                Some(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => Err(not_one()),
                _ => Err(error),
            },
        }
    }

    /// Whether a name in it leads to something that is no file: a link, a pipe, a folder.
    ///
    /// # Errors
    /// Those of fstatat(2), with the path.
    pub fn is_no_file(&self, name: &str) -> io::Result<bool> {
        match rustix::fs::statat(&self.held, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(!rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file()),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(in_context("look at", &self.path.join(name))(error.into())),
        }
    }

    /// Makes a folder in it, its owner's alone; `false` where there is one. Durable after
    /// [`Folder::sync`].
    ///
    /// # Errors
    /// Those of mkdirat(2), with the path.
    pub fn make_folder(&self, name: &str) -> io::Result<bool> {
        match rustix::fs::mkdirat(&self.held, name, Mode::RWXU) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(in_context("create the folder", &self.path.join(name))(error.into())),
        }
    }

    /// Removes a file from it. Durable after [`Folder::sync`].
    ///
    /// # Errors
    /// Those of unlinkat(2), with the path.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        let removed = rustix::fs::unlinkat(&self.held, name, AtFlags::empty());
        removed.map_err(|error| in_context("remove", &self.path.join(name))(error.into()))
    }

    /// Removes an empty folder from it. Durable after [`Folder::sync`].
    ///
    /// # Errors
    /// Those of unlinkat(2), with the path.
    pub fn remove_folder(&self, name: &str) -> io::Result<()> {
        let removed = rustix::fs::unlinkat(&self.held, name, AtFlags::REMOVEDIR);
        removed
            .map_err(|error| in_context("remove the folder", &self.path.join(name))(error.into()))
    }

    /// Gives a file in it another name, in place of what has that. Durable after [`Folder::sync`].
    ///
    /// # Errors
    /// Those of renameat(2), with the path.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let renamed = rustix::fs::renameat(&self.held, from, &self.held, to);
        renamed.map_err(|error| in_context("replace", &self.path.join(to))(error.into()))
    }

    /// Makes its entries durable: to be called after files in it were created, renamed or removed.
    ///
    /// # Errors
    /// Those of fsync(2), with the path.
    pub fn sync(&self) -> io::Result<()> {
        let synced = rustix::fs::fsync(&self.held);
        synced.map_err(|error| in_context("sync the folder", &self.path)(error.into()))
    }

    /// The names in it.
    ///
    /// # Errors
    /// Those of getdents(2), with the path.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let named = |error: Errno| in_context("list the folder", &self.path)(error.into());
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.held).map_err(named)? {
            let entry = entry.map_err(named)?;
            let name = entry.file_name().to_string_lossy();
            if name != "." && name != ".." {
                names.push(name.into_owned());
            }
        }
        Ok(names)
    }

    /// Which folder it is; `None` once it was removed.
    ///
    /// # Errors
    /// Those of fstat(2), with the path.
    pub fn identity(&self) -> io::Result<Option<FileIdentity>> {
        match rustix::fs::fstat(&self.held) {
            Ok(stat) => Ok((stat.st_nlink > 0).then(|| FileIdentity::of(&stat))),
            Err(error) => Err(in_context("look at", &self.path)(error.into())),
        }
    }

    /// What a name in it leads to; `None` where it leads nowhere.
    ///
    /// # Errors
    /// Those of fstatat(2), with the path.
    pub fn known_as(&self, name: &str) -> io::Result<Option<FileIdentity>> {
        found(rustix::fs::statat(&self.held, name, AtFlags::empty()), &self.path.join(name))
    }

    /// What a path leads to now; `None` where it leads nowhere.
    ///
    /// # Errors
    /// Those of stat(2), with the path.
    pub fn at(path: &Path) -> io::Result<Option<FileIdentity>> {
        found(rustix::fs::stat(path), path)
    }

    /// When it was made, in ns since 1970, where the filesystem keeps that.
    pub fn born(&self) -> Option<u64> {
        let found =
            rustix::fs::statx(&self.held, "", AtFlags::EMPTY_PATH, rustix::fs::StatxFlags::BTIME)
                .ok()?;
        if found.stx_mask & rustix::fs::StatxFlags::BTIME.bits() == 0 {
            return None;
        }
        let seconds = u64::try_from(found.stx_btime.tv_sec).ok()?;
        seconds.checked_mul(1_000_000_000)?.checked_add(u64::from(found.stx_btime.tv_nsec))
    }

    /// Whether others than its owner may look into it, by its mode.
    pub fn is_open_to_others(&self) -> Option<u32> {
        let mode = rustix::fs::fstat(&self.held).ok()?.st_mode & 0o777;
        (mode & 0o077 != 0).then_some(mode)
    }

    /// Takes an exclusive flock(2) on the folder itself; `false` where another has it.
    ///
    /// # Errors
    /// Those of flock(2), with the path.
    pub fn lock(&self) -> io::Result<bool> {
        match rustix::fs::flock(&self.held, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(in_context("lock the folder", &self.path)(error.into())),
        }
    }

    /// The same, shared: others that share it may have it as well.
    ///
    /// # Errors
    /// Those of flock(2), with the path.
    pub fn lock_shared(&self) -> io::Result<bool> {
        match rustix::fs::flock(&self.held, rustix::fs::FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(in_context("lock the folder", &self.path)(error.into())),
        }
    }

    /// Lets go of that lock.
    ///
    /// # Errors
    /// Those of flock(2), with the path.
    pub fn unlock(&self) -> io::Result<()> {
        rustix::fs::flock(&self.held, rustix::fs::FlockOperation::Unlock)
            .map_err(|error| in_context("unlock the folder", &self.path)(error.into()))
    }
}

fn found(stat: rustix::io::Result<Stat>, path: &Path) -> io::Result<Option<FileIdentity>> {
    match stat {
        Ok(stat) => Ok(Some(FileIdentity::of(&stat))),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(error) => Err(in_context("look at", path)(error.into())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_done_in_a_folder_is_done_there_wherever_it_was_moved() {
        let place = tempfile::tempdir().unwrap();
        let (old, new) = (place.path().join("old"), place.path().join("new"));
        std::fs::create_dir(&old).unwrap();
        let folder = Folder::open(&old).unwrap();
        std::fs::rename(&old, &new).unwrap();
        std::fs::create_dir(&old).unwrap();
        folder.file("x", OFlags::CREATE | OFlags::WRONLY).unwrap().write_all(b"1").unwrap();
        assert!(folder.make_folder("sub").unwrap() && !folder.make_folder("sub").unwrap());
        folder.rename("x", "y").unwrap();
        folder.sync().unwrap();
        assert!(new.join("y").exists() && !old.join("y").exists() && new.join("sub").is_dir());
        assert_eq!(folder.path_now().unwrap(), new);
        let (held, named) =
            (folder.identity().unwrap().unwrap(), Folder::at(&old).unwrap().unwrap());
        assert!(!held.is(&named) && held.is(&Folder::at(&new).unwrap().unwrap()));
        assert_eq!(folder.known_as("y").unwrap().unwrap().length, 1);
        let mut names = folder.names().unwrap();
        names.sort_unstable();
        assert_eq!(names, ["sub", "y"]);
        folder.remove("y").unwrap();
        assert!(folder.known_as("y").unwrap().is_none());
    }

    #[test]
    fn what_is_made_is_its_owners_alone() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        folder.file("f", OFlags::CREATE | OFlags::WRONLY).unwrap();
        folder.make_folder("d").unwrap();
        let mode = |name| place.path().join(name).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("f"), mode("d")), (0o600, 0o700));
        assert_eq!(folder.folder("d").unwrap().is_open_to_others(), None);
    }

    #[test]
    fn a_folder_that_was_removed_has_no_identity_and_takes_no_files() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("gone");
        std::fs::create_dir(&path).unwrap();
        let folder = Folder::open(&path).unwrap();
        std::fs::remove_dir(&path).unwrap();
        assert!(folder.identity().unwrap().is_none() && Folder::at(&path).unwrap().is_none());
        let error = folder.file("x", OFlags::CREATE | OFlags::WRONLY).unwrap_err();
        assert!(error.to_string().contains("gone/x"), "{error}");
    }
}
