//! Numbered items in chunks of fixed size: growing never moves what is there, so no write waits for
//! a large copy.

use std::ops::{Index, IndexMut};

/// Items of a chunk; with the 32 to 64 bytes of ours a chunk is 256 to 512 KiB, which the allocator
/// maps without touching.
const CHUNK: usize = 8192;

/// A growing row of items, numbered from 0.
pub struct Slab<T> {
    /// All full but the last in use; behind that one there may be empty ones.
    chunks: Vec<Vec<T>>,
    length: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), length: 0 }
    }
}

impl<T> Slab<T> {
    /// Appends an item and returns its number. Allocates a chunk every 8,192 items.
    pub fn push(&mut self, item: T) -> u32 {
        let number = u32::try_from(self.length)
            .expect("a shard holds fewer than 2^32 items: they would need 128 GiB");
        let chunk = self.length / CHUNK;
        if chunk == self.chunks.len() {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        self.chunks[chunk].push(item);
        self.length += 1;
        number
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Drops all items and keeps their memory.
    pub fn clear(&mut self) {
        self.chunks.iter_mut().for_each(Vec::clear);
        self.length = 0;
    }

    /// The item of this number, if there is one.
    pub fn get(&self, number: u32) -> Option<&T> {
        let number = number as usize;
        self.chunks.get(number / CHUNK)?.get(number % CHUNK)
    }

    /// Bytes of memory that it holds.
    pub fn memory(&self) -> u64 {
        (self.chunks.len() * CHUNK * size_of::<T>() + self.chunks.capacity() * size_of::<Vec<T>>())
            as u64
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, number: u32) -> &T {
        &self.chunks[number as usize / CHUNK][number as usize % CHUNK]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, number: u32) -> &mut T {
        &mut self.chunks[number as usize / CHUNK][number as usize % CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_keep_their_numbers_and_their_place() {
        let mut slab = Slab::default();
        assert_eq!(slab.push(0), 0);
        let first: *const usize = &slab[0];
        for item in 1..3 * CHUNK {
            assert_eq!(slab.push(item) as usize, item);
        }
        assert_eq!(slab.len(), 3 * CHUNK);
        assert!(std::ptr::eq(first, &slab[0]));
        assert_eq!((slab[CHUNK as u32 + 5], slab.get(3 * CHUNK as u32)), (CHUNK + 5, None));
        let memory = slab.memory();
        slab.clear();
        assert_eq!((slab.len(), slab.get(0), slab.memory()), (0, None, memory));
        for item in 0..2 * CHUNK + 1 {
            assert_eq!(slab.push(item) as usize, item);
        }
        assert_eq!(
            (slab.len(), slab[2 * CHUNK as u32], slab.memory()),
            (2 * CHUNK + 1, 2 * CHUNK, memory)
        );
    }
}
