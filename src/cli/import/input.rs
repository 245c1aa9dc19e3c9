//! What an import reads: files by their names, and pipes, devices and standard input, which can be
//! read only once and are copied to a temporary file first. A folder or file of an old server is
//! known by its names, or by how it begins.
//!
//! Promises: waiting for a pipe ends when nothing has come for the timeout, or when the import is
//! told to stop. The copy has no name, so nothing is left of it however the process ends. gzip and
//! zstd are known by their first bytes, whatever the name, and decoded as they are read.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flate2::bufread::GzDecoder;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use sutra_compat_files::{BACKUP, MAGIC, OldFolder, SNAPSHOT};

use super::old_store::OldStore;
use super::stop::Stop;
use super::zstd::Zstd;
use crate::exit::Failure;
use crate::output::Output;
use crate::text;

/// Standard input's name on the command line.
const STANDARD_INPUT: &str = "-";
/// How files of lines are called, in a folder.
const NAMES: [&str; 3] = [".jsonl", ".jsonl.gz", ".jsonl.zst"];
/// How often a wait for a pipe looks whether the import is to stop.
const LOOK: Duration = Duration::from_millis(100);
/// How much is copied at a time.
const CHUNK: usize = 256 << 10;

/// How many bytes the longest of the following has, and what an old server's snapshot begins with.
const HEAD: usize = 8;

/// Kinds of files that are no lines, by their first bytes, and the program that makes them some.
const OTHERS: [(&[u8], &str, &str); 5] = [
    (b"BZh", "compressed by bzip2", "bzcat"),
    (b"\xfd7zXZ\0", "compressed by xz", "xzcat"),
    (b"\x04\x22\x4d\x18", "compressed by lz4", "lz4cat"),
    (b"PK\x03\x04", "a zip archive", "unzip -p"),
    (b"\x93NUMPY", "a .npy file, which belongs beside a .jsonl file of its concepts", ""),
];

/// One file of lines.
#[derive(Debug)]
pub(super) struct Input {
    /// As it was named, or found in a folder.
    pub(super) path: PathBuf,
    /// The copy, where it can be read only once.
    copy: Option<File>,
    /// What it is where it has no lines: an old server's snapshot.
    pub(super) old: Option<OldStore>,
}

/// How long to wait for what does not come by itself, and who may end that.
pub(super) struct Patience<'a> {
    pub(super) timeout: Duration,
    pub(super) stop: &'a Stop,
    pub(super) output: Output,
}

impl Input {
    /// The files that are named, and those of named folders in the order of their names.
    pub(super) fn all(paths: &[PathBuf], patience: &Patience<'_>) -> Result<Vec<Self>, Failure> {
        let mut inputs = Vec::new();
        for path in paths {
            if path == Path::new(STANDARD_INPUT) {
                inputs.push(Self::of_standard_input(patience)?);
                continue;
            }
            let kind = fs::metadata(path).map_err(|error| cannot(path, &error))?;
            if !kind.is_dir() {
                inputs.push(Self::named(path.clone(), &kind, patience)?);
                continue;
            }
            let entries = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let mut found: Vec<_> = entries
                .map_err(|error| cannot(path, &error))?
                .into_iter()
                .map(|entry| entry.path())
                .collect();
            found.retain(|file| is_named_as_lines(file));
            found.sort();
            match OldFolder::find(path) {
                Some(old) => inputs.push(Self::of_old(OldStore::of_folder(path, &old)?)),
                None if found.is_empty() => {
                    let problem = "there is no .jsonl file in it, and no storage.dat of an old \
                                   server";
                    return Err(refused(path, problem));
                }
                None => {}
            }
            for file in found {
                let kind = fs::metadata(&file).map_err(|error| cannot(&file, &error))?;
                inputs.push(Self::named(file, &kind, patience)?);
            }
        }
        Ok(inputs)
    }

    fn named(path: PathBuf, kind: &fs::Metadata, patience: &Patience<'_>) -> Result<Self, Failure> {
        if kind.is_file() {
            let input = Self { path, copy: None, old: None };
            if input.is_old()? {
                return Ok(Self::of_old(OldStore::of_file(&input.path)?));
            }
            input.check()?;
            return Ok(input);
        }
        // Without waiting for a writer, which may never come: that is waited for below.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&path, flags, Mode::empty());
        let opened = opened.map_err(|error| cannot(&path, &error.into()))?;
        Self::copied(path, opened.as_fd(), patience)
    }

    fn of_standard_input(patience: &Patience<'_>) -> Result<Self, Failure> {
        Self::copied(STANDARD_INPUT.into(), io::stdin().as_fd(), patience)
    }

    /// Reads to its end what can be read only once.
    fn copied(
        path: PathBuf,
        from: BorrowedFd<'_>,
        patience: &Patience<'_>,
    ) -> Result<Self, Failure> {
        let folder = std::env::temp_dir();
        let failed = |error: io::Error| {
            Failure::Host(format!(
                "cannot copy {} to a temporary file in {}: {error}",
                shown(&path),
                folder.display()
            ))
        };
        patience.output.note(&format!(
            "reading {} to its end into a temporary file in {} first …",
            shown(&path),
            folder.display()
        ));
        let mut copy = tempfile::tempfile().map_err(failed)?;
        let mut chunk = vec![0; CHUNK];
        loop {
            wait(&path, from, patience)?;
            match rustix::io::read(from, &mut chunk[..]) {
                Ok(0) => break,
                Ok(count) => copy.write_all(&chunk[..count]).map_err(failed)?,
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(cannot(&path, &error.into())),
            }
        }
        Ok(Self { path, copy: Some(copy), old: None })
    }

    fn of_old(old: OldStore) -> Self {
        Self { path: old.path().to_owned(), copy: None, old: Some(old) }
    }

    /// Whether it is an old server's snapshot, by its name or by how it begins.
    fn is_old(&self) -> Result<bool, Failure> {
        if self.path.file_name().is_some_and(|name| name == SNAPSHOT || name == BACKUP) {
            return Ok(true);
        }
        let head = self.bytes().and_then(|mut file| head(&mut file));
        Ok(head.map_err(|error| cannot(&self.path, &error))?.starts_with(&MAGIC))
    }

    /// Refuses a file that can't be one of lines, by its name and by how it begins.
    fn check(&self) -> Result<(), Failure> {
        let head = self.bytes().and_then(|mut file| head(&mut file));
        let head = head.map_err(|error| cannot(&self.path, &error))?;
        if let Some((_, what, program)) = OTHERS.iter().find(|(magic, ..)| head.starts_with(magic))
        {
            let advice = match *program {
                "" => String::new(),
                program => format!("; give its lines by a pipe: {program} FILE | sutra import -"),
            };
            return Err(refused(&self.path, &format!("it is {what}{advice}")));
        }
        if is_named_as_lines(&self.path) || Packing::of(&head) != Packing::None {
            return Ok(());
        }
        let problem = "expected a .jsonl file, which may be compressed by gzip or zstd, \
                       a folder of them, a pipe, or - for standard input; \
                       embeddings are found beside their .jsonl file";
        Err(refused(&self.path, problem))
    }

    /// Its bytes, from the first on. There must be one reader at a time.
    pub(super) fn bytes(&self) -> io::Result<File> {
        let Some(copy) = &self.copy else { return File::open(&self.path) };
        let mut copy = copy.try_clone()?;
        copy.rewind()?;
        Ok(copy)
    }

    /// Its text, decoded.
    pub(super) fn text(&self) -> io::Result<Box<dyn BufRead>> {
        let mut file = self.bytes()?;
        let head = head(&mut file)?;
        let packing = Packing::of(&head);
        let bytes = BufReader::with_capacity(CHUNK, Cursor::new(head).chain(file));
        match packing {
            Packing::None => text::utf8(bytes),
            Packing::Gzip => text::utf8(BufReader::with_capacity(CHUNK, Gzip::new(bytes))),
            Packing::Zstd => text::utf8(BufReader::with_capacity(CHUNK, Zstd::new(bytes))),
        }
    }

    /// About how many bytes its lines have.
    pub(super) fn size(&self) -> u64 {
        let file = self.bytes().and_then(|mut file| {
            // Lines of JSON become some eight times smaller.
            let times = if Packing::of(&head(&mut file)?) == Packing::None { 1 } else { 8 };
            Ok(file.metadata()?.len() * times)
        });
        file.unwrap_or(0)
    }

    /// The file that holds the embeddings of this one's concepts and of no other's, if it has a
    /// name for that.
    pub(super) fn own_embeddings(&self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stem = NAMES.iter().find_map(|ending| name.strip_suffix(ending));
        let stem = stem
            .map_or_else(|| self.path.with_extension(""), |stem| self.path.with_file_name(stem));
        let mut path = stem.into_os_string();
        path.push(".npy");
        path.into()
    }

    /// The file that holds the embeddings of the only file of concepts in its folder.
    pub(super) fn shared_embeddings(&self) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join("embeddings.npy")
    }

    /// Whether anything can lie beside it.
    pub(super) fn has_a_place(&self) -> bool {
        self.copy.is_none() && self.old.is_none()
    }
}

/// The bytes that a file is known by.
fn head(file: &mut File) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD);
    file.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// How a file is compressed.
#[derive(Clone, Copy, PartialEq)]
enum Packing {
    None,
    Gzip,
    Zstd,
}

impl Packing {
    fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, 8, ..] => Packing::Gzip,
            // A frame, or one to be skipped that stands before it.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Packing::Zstd,
            _ => Packing::None,
        }
    }
}

/// The text of a gzip stream: of all its members, one behind the other. Zeros behind the last are
/// left out, as tapes and blocks are padded by them.
struct Gzip<R> {
    /// `None` only while it is exchanged for the next.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Gzip<R> {
    fn new(bytes: R) -> Self {
        Self { member: Some(GzDecoder::new(bytes)) }
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(member) = &mut self.member else { return Ok(0) };
            let count = member.read(out)?;
            if count > 0 || out.is_empty() {
                return Ok(count);
            }
            let Some(mut bytes) = self.member.take().map(GzDecoder::into_inner) else {
                return Ok(0);
            };
            loop {
                let zeros = match bytes.fill_buf()? {
                    [] => return Ok(0),
                    held => held.iter().take_while(|byte| **byte == 0).count(),
                };
                let is_all = zeros == bytes.fill_buf()?.len();
                bytes.consume(zeros);
                if !is_all {
                    break;
                }
            }
            self.member = Some(GzDecoder::new(bytes));
        }
    }
}

/// Waits until there is something to read, or the end.
fn wait(path: &Path, from: BorrowedFd<'_>, patience: &Patience<'_>) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        let left = patience.timeout.saturating_sub(began.elapsed());
        let turn = left.min(LOOK);
        let time =
            Timespec { tv_sec: turn.as_secs() as i64, tv_nsec: i64::from(turn.subsec_nanos()) };
        match poll(&mut [PollFd::from_borrowed_fd(from, PollFlags::IN)], Some(&time)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(cannot(path, &error.into())),
        }
        stopped(patience.stop)?;
        if left.is_zero() {
            let waited = patience.timeout;
            return Err(Failure::Host(format!(
                "nothing has come from {} for {waited:?}; --timeout waits longer",
                shown(path)
            )));
        }
    }
}

/// An error where the import was told to stop before it had begun.
pub(super) fn stopped(stop: &Stop) -> Result<(), Failure> {
    match stop.signal() {
        None => Ok(()),
        Some(_) => Err(Failure::Host("it was told to stop before it had begun".into())),
    }
}

fn is_named_as_lines(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    NAMES.iter().any(|ending| name.ends_with(ending))
}

fn shown(path: &Path) -> String {
    if path == Path::new(STANDARD_INPUT) {
        "standard input".into()
    } else {
        path.display().to_string()
    }
}

fn refused(path: &Path, problem: &str) -> Failure {
    Failure::Usage(format!("cannot import {}: {problem}", shown(path)))
}

fn cannot(path: &Path, error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::NotFound => refused(path, "there is no such file or folder"),
        _ => refused(path, &error.to_string()),
    }
}
