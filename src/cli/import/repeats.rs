//! Lines that a later line of the same concept or association makes void.
//!
//! They are found before anything is written: only the last line is stored, and an import that is
//! repeated has nothing to do.
//!
//! Promises: a line that is called void has a later line of its key. Memory is bounded: each key
//! sets bits of a filter, and one that finds its bits set is remembered with its last line. These
//! are the repeated keys and few others. Beyond [`MOST`] of them no more are found; their lines are
//! then written one after the other (`pipeline`).

use std::collections::HashMap;

use sutra_wire::ConceptId;

use super::lines::Line;
use super::origin::Origin;

/// Repeated keys that are remembered: some 60 MB. A file that repeats more is a log of changes
/// rather than a set of records.
const MOST: usize = 1 << 20;
/// Bits of the filter, one for each byte of the files: some 2 % of the keys of short lines find
/// theirs set by others.
const FEWEST_BITS: u64 = 1 << 16;
/// 64 MiB, which serve 40 million lines as well; above that ever more keys are remembered for
/// nothing, up to [`MOST`].
const MOST_BITS: u64 = 1 << 29;

/// What a line's record is stored under: a digest, the same for no two keys that occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(u128);

impl Key {
    /// The key of a line that names no namespace of its own, or one, among those of `namespace`.
    pub(super) fn of(line: &Line, namespace: &str) -> Self {
        let id = |name: &str| {
            ConceptId::from_name(name).map_or_else(|error| error.to_string(), |id| id.to_string())
        };
        let text = match line {
            Line::Concept(line) => {
                format!("{} {}", id(&line.name), line.namespace.as_deref().unwrap_or(namespace))
            }
            Line::Association(line) => {
                let namespace = line.namespace.as_deref().unwrap_or(namespace);
                format!("{} {} {} {namespace}", id(&line.source), id(&line.target), line.kind.0)
            }
        };
        // Never 32 digits, which would stand for themselves: any other text is hashed.
        Key(u128::from_le_bytes(ConceptId::from_name(&text).map_or([0; 16], |digest| digest.0)))
    }
}

/// The keys seen so far, and where those that are repeated stand last.
#[derive(Debug)]
pub(super) struct Repeats {
    filter: Vec<u64>,
    last: HashMap<Key, Origin>,
    most: usize,
}

impl Repeats {
    /// For files of so many bytes together.
    pub(super) fn new(bytes: u64) -> Self {
        let bits = bytes.clamp(FEWEST_BITS, MOST_BITS).next_power_of_two();
        Self {
            filter: vec![0; usize::try_from(bits / 64).unwrap_or(1)],
            last: HashMap::new(),
            most: MOST,
        }
    }

    /// Takes note of a key; lines come in the order in which they are written.
    pub(super) fn note(&mut self, key: Key, origin: Origin) {
        let (low, high) = (key.0 as u64, (key.0 >> 64) as u64);
        let seen_low = self.set(low);
        let seen_high = self.set(high);
        if !(seen_low && seen_high) {
            return;
        }
        if let Some(last) = self.last.get_mut(&key) {
            *last = origin;
        } else if self.last.len() < self.most {
            self.last.insert(key, origin);
        }
    }

    /// Sets the bit of this number; whether it was set.
    fn set(&mut self, number: u64) -> bool {
        let bits = self.filter.len() as u64 * 64;
        let bit = number % bits;
        let word = &mut self.filter[usize::try_from(bit / 64).expect("the filter is in memory")];
        let mask = 1 << (bit % 64);
        let was = *word & mask != 0;
        *word |= mask;
        was
    }

    /// All were noted: the filter is needed no more.
    pub(super) fn finish(&mut self) {
        self.filter = Vec::new();
    }

    /// Whether a later line of this key follows the one at `origin`.
    pub(super) fn is_void(&self, key: Key, origin: Origin) -> bool {
        self.last.get(&key).is_some_and(|last| *last != origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str, namespace: &str) -> Key {
        Key::of(&Line::parse(text.as_bytes()).expect("a good line"), namespace)
    }

    fn origin(line: u64) -> Origin {
        Origin { source: 0, line }
    }

    #[test]
    fn every_line_but_the_last_of_a_key_is_void_and_no_other() {
        // As few bits as lines, so that many keys find their bits set by others.
        let mut repeats = Repeats::new(0);
        let keys: Vec<Key> = (0..20_000)
            .map(|n| Key(u128::from(n % 15_000_u32) * 0x9E37_79B9_7F4A_7C15_F39C_0C9D))
            .collect();
        (0..).zip(&keys).for_each(|(line, key)| repeats.note(*key, origin(line)));
        repeats.finish();
        for (line, key) in (0..).zip(&keys) {
            assert_eq!(repeats.is_void(*key, origin(line)), line < 5_000, "{line}");
        }
    }

    #[test]
    fn no_more_than_the_bound_is_remembered() {
        let mut repeats = Repeats { most: 1, ..Repeats::new(0) };
        let keys = [Key(1), Key(2 | 2 << 64)];
        for line in 0..2 {
            keys.iter().for_each(|key| repeats.note(*key, origin(line)));
        }
        assert_eq!(
            [repeats.is_void(keys[0], origin(0)), repeats.is_void(keys[1], origin(0))],
            [true, false]
        );
    }

    #[test]
    fn a_key_is_made_of_what_the_server_tells_records_apart_by() {
        let dog = key(r#"{"id":"dog","content":"one"}"#, "");
        assert_eq!(
            dog,
            key(r#"{"id":"06d80eb0c50b49a509b49f2424e8c805","content":"two"}"#, ""),
            "a name and its id"
        );
        assert_eq!(dog, key(r#"{"id":"dog","content":"one","namespace":""}"#, "pets"));
        assert_ne!(dog, key(r#"{"id":"dog","content":"one"}"#, "pets"));
        let edge = key(r#"{"source":"a","target":"b","confidence":0.5}"#, "");
        assert_eq!(edge, key(r#"{"source":"a","target":"b","type":0}"#, ""));
        assert_ne!(edge, key(r#"{"source":"b","target":"a"}"#, ""));
        assert_ne!(edge, key(r#"{"source":"a","target":"b","type":1}"#, ""));
    }
}
