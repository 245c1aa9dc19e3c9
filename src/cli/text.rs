//! Text as programs write it: UTF-8 or UTF-16, with a byte order mark or without.
//!
//! Promises: what comes out is the same text as UTF-8 without the mark. Bytes that are not UTF-8
//! stay as they are: the parser tells of them. Memory is bounded.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Chain, Cursor, ErrorKind, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// The byte order mark in UTF-8.
pub(crate) const MARK: &[u8] = "\u{feff}".as_bytes();

/// A text's bytes as UTF-8. UTF-16 is told by its mark, or by the zero beside its first character,
/// as all that is read here begins with an ASCII one.
pub(crate) fn utf8(mut reader: impl BufRead + 'static) -> io::Result<Box<dyn BufRead>> {
    let mut head = Vec::with_capacity(4);
    reader.by_ref().take(4).read_to_end(&mut head)?;
    if matches!(
        *head,
        [0xff, 0xfe, 0, 0] | [0, 0, 0xfe, 0xff] | [1..=u8::MAX, 0, 0, 0] | [0, 0, 0, 1..=u8::MAX]
    ) {
        return Err(invalid(
            "the text is UTF-32; give it as UTF-8, as `iconv -f UTF-32 -t UTF-8` writes it",
        ));
    }
    let (skipped, big_endian) = match *head {
        [0xef, 0xbb, 0xbf, ..] => (3, None),
        [0xff, 0xfe, ..] => (2, Some(false)),
        [0xfe, 0xff, ..] => (2, Some(true)),
        [1..=u8::MAX, 0, ..] => (0, Some(false)),
        [0, 1..=u8::MAX, ..] => (0, Some(true)),
        _ => (0, None),
    };
    let rest = Cursor::new(head.split_off(skipped)).chain(reader);
    Ok(match big_endian {
        None => Box::new(rest),
        Some(big_endian) => {
            Box::new(BufReader::with_capacity(256 << 10, Utf16::new(rest, big_endian)))
        }
    })
}

/// The text of a file of at most `most` bytes. Where it is a pipe or a device (`-` is standard
/// input) each wait for more ends after `patience`.
pub(crate) fn read(path: &Path, most: u64, patience: Duration) -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for a writer, which may never come.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match path.to_str() {
        Some("-") => File::from(io::stdin().as_fd().try_clone_to_owned()?),
        _ => File::from(rustix::fs::open(path, flags, Mode::empty())?),
    };
    let is_ready = file.metadata()?.is_file();
    let reader: Box<dyn Read> =
        if is_ready { Box::new(file) } else { Box::new(Patient { file, patience }) };
    let mut text = Vec::new();
    utf8(BufReader::new(reader))?.take(most + 1).read_to_end(&mut text)?;
    if text.len() as u64 > most {
        return Err(io::Error::new(
            ErrorKind::FileTooLarge,
            format!("it is longer than {most} bytes"),
        ));
    }
    Ok(text)
}

/// A pipe or a device that is waited for no longer than so.
struct Patient {
    file: File,
    patience: Duration,
}

impl Read for Patient {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let until = Instant::now() + self.patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let time =
                Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&time)) {
                Ok(0) => {
                    let waited = self.patience;
                    let problem = format!("nothing has come from it for {waited:?}");
                    return Err(io::Error::new(ErrorKind::TimedOut, problem));
                }
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
                Ok(_) => {}
            }
            match self.file.read(out) {
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                read => return read,
            }
        }
    }
}

/// UTF-16, read as UTF-8.
struct Utf16<R> {
    units: Chain<Cursor<Vec<u8>>, R>,
    big_endian: bool,
    /// A character that found no room, and how much of it was read.
    left: ([u8; 4], std::ops::Range<usize>),
}

impl<R: BufRead> Utf16<R> {
    fn new(units: Chain<Cursor<Vec<u8>>, R>, big_endian: bool) -> Self {
        Self { units, big_endian, left: ([0; 4], 0..0) }
    }

    fn unit(&mut self) -> io::Result<Option<u16>> {
        let mut bytes = [0; 2];
        if self.units.read(&mut bytes[..1])? == 0 {
            return Ok(None);
        }
        self.units.read_exact(&mut bytes[1..]).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => invalid("the UTF-16 text ends within a character"),
            _ => error,
        })?;
        Ok(Some(if self.big_endian {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        }))
    }

    fn character(&mut self) -> io::Result<Option<char>> {
        let Some(unit) = self.unit()? else { return Ok(None) };
        if let Some(c) = char::from_u32(u32::from(unit)) {
            return Ok(Some(c));
        }
        let pair = [unit, self.unit()?.unwrap_or_default()];
        match char::decode_utf16(pair).next() {
            Some(Ok(c)) => Ok(Some(c)),
            _ => Err(invalid("the UTF-16 text has half of a surrogate pair")),
        }
    }
}

fn invalid(problem: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, problem)
}

impl<R: BufRead> Read for Utf16<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        while count < out.len() {
            let (bytes, range) = &mut self.left;
            if range.start == range.end {
                let Some(c) = self.character()? else { break };
                let (bytes, range) = &mut self.left;
                *range = 0..c.encode_utf8(bytes).len();
                continue;
            }
            let taken = range.len().min(out.len() - count);
            out[count..count + taken].copy_from_slice(&bytes[range.start..range.start + taken]);
            range.start += taken;
            count += taken;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);
    const TEXT: &str = "{\"id\": \"naïve 犬 🐕\"}\n";

    fn read_as_utf8(bytes: Vec<u8>) -> io::Result<String> {
        let mut text = String::new();
        utf8(BufReader::with_capacity(3, Cursor::new(bytes)))?.read_to_string(&mut text)?;
        Ok(text)
    }

    fn utf16(text: &str, big_endian: bool) -> Vec<u8> {
        text.encode_utf16()
            .flat_map(|unit| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() })
            .collect()
    }

    #[test]
    fn every_encoding_reads_as_the_same_text_with_its_mark_and_without() {
        for mark in ["\u{feff}", ""] {
            let marked = format!("{mark}{TEXT}");
            for bytes in [marked.clone().into_bytes(), utf16(&marked, false), utf16(&marked, true)]
            {
                assert_eq!(read_as_utf8(bytes.clone()).unwrap(), TEXT, "{bytes:?}");
            }
        }
        for short in ["", "1", "[]"] {
            assert_eq!(read_as_utf8(short.into()).unwrap(), short);
        }
    }

    #[test]
    fn utf_16_that_is_cut_or_wrong_is_an_error() {
        let mut bytes = utf16("\u{feff}[🐕]", true);
        let cut = bytes[..bytes.len() - 1].to_vec();
        assert!(read_as_utf8(cut).unwrap_err().to_string().contains("ends within"));
        bytes.drain(4..6);
        assert!(read_as_utf8(bytes).unwrap_err().to_string().contains("surrogate"));
    }

    #[test]
    fn a_pipe_is_read_to_its_end_and_one_that_nobody_writes_to_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, Mode::RWXU, 0)
            .unwrap();
        let error = read(&path, 1_000, Duration::from_millis(20)).unwrap_err();
        assert!(error.to_string().contains("nothing has come from it for 20ms"), "{error}");
        let writer = std::thread::spawn({
            let path = path.clone();
            move || std::fs::write(path, "[0.5]")
        });
        assert_eq!(read(&path, 1_000, PATIENCE).unwrap(), b"[0.5]");
        writer.join().unwrap().unwrap();
    }

    #[test]
    fn utf_32_is_named() {
        for mark in [[0xff, 0xfe, 0, 0], [0, 0, 0xfe, 0xff]] {
            let error = read_as_utf8([&mark[..], b"{\0\0\0"].concat()).unwrap_err();
            assert!(error.to_string().contains("UTF-32"), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_too_long_is_not_read_to_its_end() {
        let error = read(Path::new("/dev/zero"), 1_000, PATIENCE).unwrap_err();
        assert!(error.to_string().contains("longer than 1000 bytes"), "{error}");
    }
}
