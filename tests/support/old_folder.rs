//! A strict reader of an old server's `storage.dat`, written from its description and from nothing
//! else: what it does not expect ends the test.

use std::collections::BTreeMap;
use std::path::Path;

type Id = [u8; 16];

/// What a snapshot holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OldSnapshot {
    /// Content, strength, confidence, accesses and low bits of the time, by id.
    pub concepts: BTreeMap<Id, (String, f32, f32, u32, u32)>,
    /// Confidence, by source and target.
    pub edges: BTreeMap<(Id, Id), f32>,
    pub vectors: BTreeMap<Id, Vec<f32>>,
    /// When it was written.
    pub flushed: u64,
}

/// Bytes from the front.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (first, rest) = self.0.split_first_chunk().expect("there are more bytes");
        self.0 = rest;
        *first
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn f32(&mut self) -> f32 {
        f32::from_le_bytes(self.take())
    }
}

impl OldSnapshot {
    /// Reads a snapshot of which every byte is as old servers wrote it.
    pub fn read(path: &Path) -> Self {
        let file = std::fs::read(path).unwrap();
        let mut bytes = Bytes(&file);
        assert_eq!(&bytes.take::<8>(), b"SUTRADAT");
        assert_eq!(bytes.u32(), 2, "the version");
        let [concepts, edges, vectors] = [bytes.u32(), bytes.u32(), bytes.u32()];
        let flushed = u64::from_le_bytes(bytes.take());
        assert_eq!(bytes.take::<32>(), [0; 32]);
        let mut found = Self { flushed, ..Self::default() };
        for _ in 0..concepts {
            let id = bytes.take();
            let length = bytes.u32() as usize;
            let (strength, confidence) = (bytes.f32(), bytes.f32());
            let (accesses, created) = (bytes.u32(), bytes.u32());
            let (content, rest) = bytes.0.split_at(length);
            bytes.0 = rest;
            let content = String::from_utf8(content.to_vec()).unwrap();
            let concept = (content, strength, confidence, accesses, created);
            assert!(found.concepts.insert(id, concept).is_none(), "an id twice");
        }
        for _ in 0..edges {
            let edge = (bytes.take(), bytes.take());
            assert!(found.edges.insert(edge, bytes.f32()).is_none(), "an edge twice");
            assert!(found.concepts.contains_key(&edge.0), "an edge of no concept");
        }
        for _ in 0..vectors {
            let id = bytes.take();
            let count = bytes.u32();
            let numbers = (0..count).map(|_| bytes.f32()).collect();
            assert!(found.vectors.insert(id, numbers).is_none(), "a vector twice");
            assert!(found.concepts.contains_key(&id), "a vector of no concept");
        }
        assert!(bytes.0.is_empty(), "nothing follows");
        for (source, target) in found.edges.keys() {
            let has_back = found.edges.contains_key(&(*target, *source));
            assert!(has_back || !found.concepts.contains_key(target), "an edge from one end alone");
        }
        found
    }
}
