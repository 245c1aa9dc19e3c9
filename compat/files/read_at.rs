//! Bytes that can be read at any place: a file, or what is in memory.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// Bytes that can be read at any place, by several readers side by side.
pub trait ReadAt {
    /// How many bytes there are.
    fn length(&self) -> io::Result<u64>;

    /// Reads some bytes from this place on; 0 at the end.
    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<usize>;
}

impl ReadAt for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(self, out, at)
    }
}

impl ReadAt for &[u8] {
    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, at: u64, mut out: &mut [u8]) -> io::Result<usize> {
        let at = usize::try_from(at).unwrap_or(usize::MAX).min(self.len());
        io::copy(&mut (&self[at..]).take(out.len() as u64), &mut out).map(|count| count as usize)
    }
}

/// The same, read from a place on.
pub(crate) struct ReadFrom<'a, S> {
    pub(crate) source: &'a S,
    pub(crate) at: u64,
}

impl<S: ReadAt> Read for ReadFrom<'_, S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read_at(self.at, out)?;
        self.at += count as u64;
        Ok(count)
    }
}
