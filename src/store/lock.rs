//! The lock on a data folder: one process at a time, and a second one is told which.
//!
//! It is an exclusive flock(2) on the folder itself. Nothing that is removed in the folder undoes
//! it, and the kernel releases it however the process ends. The file `lock` beside the data says
//! who has it, for people and for a grid's agent. That file is locked, too, as earlier versions
//! locked nothing else. Where it was removed it is made again ([`FolderLock::look`]). On
//! filesystems that lock no folders (NFS) it is the only lock.
//!
//! The file's lines: pid, start in µs since 1970, addresses, and while the store is in use `folder`
//! with the folder's inode and its birth. These tell a copy of a folder that was in use from the
//! folder itself: a copy has the words and is another folder.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use sutra_runtime::{Folder, in_context, is_out_of_space};

use crate::StoreError;
use crate::disk::{Clock, SystemClock};

/// The file that names who has a folder. It may stay behind where nothing else is.
pub(crate) const LOCK: &str = "lock";
/// The longest lock file that is read, in bytes.
const MOST: u64 = 4096;
/// How often the file is opened again where it was removed before it was locked.
const ATTEMPTS: usize = 10;

/// The lock, held until the folder is dropped.
#[derive(Debug)]
pub(crate) struct FolderLock {
    state: Mutex<State>,
    /// Whether the folder itself is locked.
    on_folder: bool,
    /// This folder's line.
    own: String,
}

#[derive(Debug)]
struct State {
    /// `None` where there was no space to make it.
    file: Option<File>,
    /// The lines of who has it.
    holder: String,
    /// The last line.
    used_as: String,
}

/// A shared lock, of one who only reads: a server is kept out, and others who read are not. Writes
/// nothing. Held until it and the folder are dropped.
#[derive(Debug)]
pub(crate) struct SharedLock {
    _file: Option<File>,
    /// What the file lock says.
    pub(crate) text: String,
    /// This folder's line there.
    own: String,
}

impl SharedLock {
    /// Takes the lock, or says who has the folder.
    pub(crate) fn acquire(folder: &Folder) -> Result<Self, StoreError> {
        let file = folder.plain_file(LOCK, OFlags::RDONLY).ok();
        let text = file.as_ref().and_then(|file| file.try_clone().ok()).map(text_of);
        let text = text.unwrap_or_default();
        let is_ours = match folder.lock_shared() {
            Ok(false) => false,
            // Where folders can't be locked, the file alone says.
            Ok(true) | Err(_) => file.as_ref().is_none_or(|file| {
                rustix::fs::flock(file, FlockOperation::NonBlockingLockShared)
                    != Err(Errno::WOULDBLOCK)
            }),
        };
        if !is_ours {
            let holder = holder(&text, SystemClock.now()).or_else(|| holder_by_kernel(folder));
            let holder = holder.unwrap_or_else(|| "another process".to_owned());
            return Err(StoreError::InUse { folder: folder.path().to_owned(), holder });
        }
        let own = own_line(folder)?;
        Ok(Self { _file: file, text, own })
    }

    /// Whether this is a copy of a folder that a server had in use.
    pub(crate) fn is_copy(&self) -> bool {
        let used_as = self.text.lines().nth(3);
        used_as.is_some_and(|line| line.starts_with("folder ") && line != self.own)
    }

    /// Whether the file's text is such as a server writes.
    pub(crate) fn is_sound(&self) -> bool {
        let mut lines = self.text.lines();
        let is_number = |line: Option<&str>| {
            line.is_none_or(|line| line.is_empty() || line.parse::<u64>().is_ok())
        };
        let (pid, started) = (lines.next(), lines.next());
        let _listening = lines.next();
        is_number(pid)
            && is_number(started)
            && lines.next().is_none_or(|line| line.is_empty() || line.starts_with("folder "))
    }
}

/// What came of the attempt to lock the file.
enum Taken {
    Ours(File),
    Anothers(File),
}

impl FolderLock {
    /// Takes the lock, or says who has it.
    pub(crate) fn acquire(folder: &Folder, listening: &str) -> Result<Self, StoreError> {
        let locked = |file: Option<File>| {
            let text = file.map(text_of).unwrap_or_default();
            let holder = holder(&text, SystemClock.now()).or_else(|| holder_by_kernel(folder));
            let holder = holder.unwrap_or_else(|| "another process".to_owned());
            StoreError::Locked { folder: folder.path().to_owned(), holder }
        };
        let on_folder = match folder.lock() {
            Ok(true) => true,
            Ok(false) => return Err(locked(folder.plain_file(LOCK, OFlags::RDONLY).ok())),
            Err(error) => {
                tracing::debug!(%error, "the lock is the file in it alone");
                false
            }
        };
        let file = match take(folder) {
            Ok(Taken::Ours(file)) => Some(file),
            Ok(Taken::Anothers(file)) => return Err(locked(Some(file))),
            Err(error) if on_folder && is_out_of_space(&error) => {
                tracing::warn!(%error, "the file that says who has the folder could not be made");
                None
            }
            Err(error) => return Err(error.into()),
        };
        let holder = format!("{}\n{}\n{listening}\n", std::process::id(), SystemClock.now());
        let own = own_line(folder)?;
        // What the last server noted stays until this one has opened the store: a second attempt is
        // told the same.
        let text =
            file.as_ref().and_then(|file| file.try_clone().ok()).map(text_of).unwrap_or_default();
        let used_as = text
            .lines()
            .nth(3)
            .filter(|line| line.starts_with("folder "))
            .unwrap_or_default()
            .to_owned();
        let lock = Self { state: Mutex::new(State { file, holder, used_as }), on_folder, own };
        lock.write(&lock.lock())?;
        Ok(lock)
    }

    /// Whether this is a copy of a folder that a server had in use.
    pub(crate) fn is_copy(&self) -> bool {
        let state = self.lock();
        !state.used_as.is_empty() && state.used_as != self.own
    }

    /// Notes whether the store is in use: from when it was opened until it was closed in order.
    pub(crate) fn note_use(&self, in_use: bool) -> io::Result<()> {
        let mut state = self.lock();
        state.used_as = if in_use { self.own.clone() } else { String::new() };
        if !in_use {
            state.holder.clear();
        }
        self.write(&state)
    }

    /// Lets go of the folder, which stays noted as in use: another process goes on with it.
    pub(crate) fn release(&self, folder: &Folder) -> io::Result<()> {
        let mut state = self.lock();
        // Nobody, in as many lines: the last one stays where it is looked for.
        state.holder = "\n\n\n".into();
        self.write(&state)?;
        if let Some(file) = state.file.take() {
            rustix::fs::flock(&file, FlockOperation::Unlock)
                .map_err(|error| in_context("unlock", &folder.path().join(LOCK))(error.into()))?;
        }
        if self.on_folder { folder.unlock() } else { Ok(()) }
    }

    /// Looks whether the file is still this process's: one that was removed is made again. In words
    /// what another process has done.
    pub(crate) fn look(&self, folder: &Folder) -> io::Result<Option<String>> {
        let mut state = self.lock();
        let ours = match &state.file {
            Some(file) => Some(rustix::fs::fstat(file)?.st_ino),
            None => None,
        };
        if folder.known_as(LOCK)?.is_some_and(|known| Some(known.inode()) == ours)
            && !folder.is_no_file(LOCK)?
        {
            return Ok(None);
        }
        match take(folder) {
            Ok(Taken::Ours(file)) => {
                if state.file.is_some() {
                    tracing::warn!(
                        folder = %folder.path().display(),
                        "the file lock was removed; it is there again"
                    );
                }
                state.file = Some(file);
                self.write(&state).map(|()| None)
            }
            Ok(Taken::Anothers(file)) => {
                let holder = holder(&text_of(file), SystemClock.now())
                    .unwrap_or_else(|| "another process".to_owned());
                Ok(Some(format!(
                    "{} was locked by {holder} after its file lock was removed: \
                     stop one of the two servers",
                    folder.path().display()
                )))
            }
            Err(error) if is_out_of_space(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the text over what is there: in place, as a full disk takes that.
    fn write(&self, state: &State) -> io::Result<()> {
        let Some(file) = &state.file else { return Ok(()) };
        let text = format!("{}{}\n", state.holder, state.used_as);
        let text = if text == "\n" { "" } else { &text };
        let written =
            file.write_all_at(text.as_bytes(), 0).and_then(|()| file.set_len(text.len() as u64));
        match written {
            Err(error) if self.on_folder && is_out_of_space(&error) => {
                tracing::warn!(
                    %error,
                    "the file lock could not be written, so it does not say who has the folder"
                );
                Ok(())
            }
            written => written.map_err(in_context("write to", std::path::Path::new(LOCK))),
        }
    }
}

/// Opens the file and locks it.
fn take(folder: &Folder) -> io::Result<Taken> {
    for _ in 0..ATTEMPTS {
        if folder.is_no_file(LOCK)? {
            // Nobody locks that. What a link leads to is not ours to write to, and a pipe would be
            // waited for.
            tracing::warn!(
                folder = %folder.path().display(),
                "what is called lock is no file, and is replaced by one"
            );
            folder.remove(LOCK)?;
        }
        let file = folder.plain_file(LOCK, OFlags::CREATE | OFlags::RDWR)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(Taken::Anothers(file)),
            Err(error) => return Err(in_context("lock", &folder.path().join(LOCK))(error.into())),
        }
        let inode = rustix::fs::fstat(&file)?.st_ino;
        if folder.known_as(LOCK)?.is_some_and(|known| known.inode() == inode) {
            return Ok(Taken::Ours(file));
        }
    }
    Err(io::Error::other(format!(
        "{} is removed again and again",
        folder.path().join(LOCK).display()
    )))
}

fn own_line(folder: &Folder) -> io::Result<String> {
    let inode = folder.identity()?.map(|identity| identity.inode()).unwrap_or_default();
    Ok(format!("folder {inode} {}", folder.born().unwrap_or_default()))
}

fn text_of(file: File) -> String {
    let mut text = String::new();
    // A holder that has not written its text yet is another process all the same.
    let _ = file.take(MOST).read_to_string(&mut text);
    text
}

/// The lock file's text (pid, start in µs since 1970, addresses; one a line) in words; `None` where
/// it names nobody.
fn holder(text: &str, now: u64) -> Option<String> {
    let mut lines = text.lines();
    let pid = lines.next().and_then(|line| line.parse::<u32>().ok())?;
    let mut holder = format!("process {pid}");
    if let Some(started) = lines.next().and_then(|line| line.parse::<u64>().ok()) {
        holder.push_str(&format!(", started {} s ago", now.saturating_sub(started) / 1_000_000));
    }
    match lines.next() {
        Some(listening) if !listening.is_empty() => Some(holder + ", listening on " + listening),
        _ => Some(holder),
    }
}

/// Who has locked the folder, as the kernel lists it: for a holder whose file was removed.
fn holder_by_kernel(folder: &Folder) -> Option<String> {
    let file = folder.identity().ok()??.in_proc_locks();
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let line = locks
        .lines()
        .find(|line| line.contains("FLOCK") && line.split(' ').any(|word| word == file))?;
    let pid: u32 = line.split_whitespace().find_map(|word| word.parse().ok())?;
    Some(format!("process {pid}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn held() -> (tempfile::TempDir, Folder) {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        (place, folder)
    }

    #[test]
    fn a_second_holder_is_told_of_the_first_and_let_in_after_it() {
        let (place, folder) = held();
        let lock = FolderLock::acquire(&folder, "127.0.0.1:50050").unwrap();
        let again = Folder::open(place.path()).unwrap();
        let error = FolderLock::acquire(&again, "").unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        assert!(error.contains("listening on 127.0.0.1:50050"), "{error}");
        drop((lock, folder));
        FolderLock::acquire(&again, "").unwrap();
    }

    #[test]
    fn removing_the_file_lets_nobody_in_and_it_is_made_again() {
        let (place, folder) = held();
        let lock = FolderLock::acquire(&folder, "127.0.0.1:50050").unwrap();
        let text = std::fs::read_to_string(place.path().join("lock")).unwrap();
        std::fs::remove_file(place.path().join("lock")).unwrap();
        let again = Folder::open(place.path()).unwrap();
        let error = FolderLock::acquire(&again, "").unwrap_err();
        assert!(matches!(error, StoreError::Locked { .. }), "{error}");
        assert_eq!(lock.look(&folder).unwrap(), None);
        assert_eq!(std::fs::read_to_string(place.path().join("lock")).unwrap(), text);
        assert!(
            FolderLock::acquire(&again, "").unwrap_err().to_string().contains("127.0.0.1:50050")
        );
    }

    #[test]
    fn what_is_no_file_and_is_called_lock_is_replaced_and_never_followed_or_waited_for() {
        let (place, folder) = held();
        let (path, other) = (place.path().join("lock"), place.path().join("other"));
        std::fs::write(&other, "mine").unwrap();
        let make_pipe = || {
            let mode = rustix::fs::Mode::RWXU;
            rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0)
                .unwrap();
        };
        make_pipe();
        let lock = FolderLock::acquire(&folder, "here").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let replacements: [&dyn Fn(); 2] =
            [&|| std::os::unix::fs::symlink(&other, &path).unwrap(), &make_pipe];
        for replace in replacements {
            std::fs::remove_file(&path).unwrap();
            replace();
            let again = Folder::open(place.path()).unwrap();
            assert!(matches!(FolderLock::acquire(&again, ""), Err(StoreError::Locked { .. })));
            assert_eq!(lock.look(&folder).unwrap(), None);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "mine");
    }

    #[test]
    fn a_server_from_before_that_took_the_removed_file_is_noticed() {
        let (place, folder) = held();
        let lock = FolderLock::acquire(&folder, "").unwrap();
        std::fs::remove_file(place.path().join("lock")).unwrap();
        let intruder = File::create(place.path().join("lock")).unwrap();
        rustix::fs::flock(&intruder, FlockOperation::LockExclusive).unwrap();
        let words = lock.look(&folder).unwrap().unwrap();
        assert!(words.contains("locked by another process"), "{words}");
        drop(intruder);
        assert_eq!(lock.look(&folder).unwrap(), None);
    }

    #[test]
    fn a_copy_of_a_folder_in_use_is_told_from_the_folder_itself_at_every_attempt() {
        let (place, folder) = held();
        let lock = FolderLock::acquire(&folder, "").unwrap();
        lock.note_use(true).unwrap();
        let copied = std::fs::read(place.path().join("lock")).unwrap();
        drop((lock, folder));
        let again = Folder::open(place.path()).unwrap();
        let lock = FolderLock::acquire(&again, "").unwrap();
        assert!(!lock.is_copy(), "its server was killed, and it is where it was");
        let (copy, folder) = held();
        std::fs::write(copy.path().join("lock"), &copied).unwrap();
        for _ in 0..2 {
            let folder = Folder::open(copy.path()).unwrap();
            assert!(FolderLock::acquire(&folder, "").unwrap().is_copy());
        }
        let copied = FolderLock::acquire(&folder, "").unwrap();
        copied.note_use(true).unwrap();
        assert!(!copied.is_copy(), "it was opened, and is a store of its own now");
        lock.note_use(false).unwrap();
        assert_eq!(std::fs::read_to_string(place.path().join("lock")).unwrap(), "");
    }

    #[test]
    fn a_lock_that_was_let_go_of_is_anothers_to_take_and_its_folder_no_copy() {
        let (place, folder) = held();
        let lock = FolderLock::acquire(&folder, "").unwrap();
        lock.note_use(true).unwrap();
        lock.release(&folder).unwrap();
        let again = Folder::open(place.path()).unwrap();
        let next = FolderLock::acquire(&again, "").unwrap();
        assert!(!next.is_copy());
        drop((lock, folder));
        let third = Folder::open(place.path()).unwrap();
        assert!(matches!(FolderLock::acquire(&third, ""), Err(StoreError::Locked { .. })));
    }

    #[test]
    fn any_text_in_the_lock_file_is_survived() {
        let words = |text, now| holder(text, now).unwrap_or_default();
        assert_eq!([words("", 0), words("x\ny", 0)], ["", ""]);
        assert_eq!(words("7\nsoon", 0), "process 7");
        assert_eq!(words("7\n1000000\n", 3_500_000), "process 7, started 2 s ago");
    }
}
