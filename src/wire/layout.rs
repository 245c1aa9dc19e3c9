//! Which core owns a concept: the one function that server and client must agree on.
//!
//! A concept's owner depends on its id and the number of cores alone, so that a client told the
//! number in the handshake sends each request to the right core. Names hash to uniform ids, but ids
//! given as digits may count upwards. So both halves are folded and multiplied by 2^64/φ (Knuth,
//! TAOCP 6.4), which spreads runs of ids. The high bits choose the core (Lemire, "Fast random
//! integer generation in an interval", 2019).

use crate::ConceptId;

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// How concepts are laid out over a server's cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreLayout {
    cores: u16,
}

impl CoreLayout {
    /// The number of this mapping in the handshake.
    pub const FUNCTION: u8 = 1;

    /// A layout over `cores` cores; 0 is taken for 1.
    pub fn new(cores: u16) -> Self {
        Self { cores: cores.max(1) }
    }

    /// How many cores there are.
    pub fn cores(&self) -> u16 {
        self.cores
    }

    /// The core that owns the concept, 0 to `cores` - 1.
    pub fn owner(&self, id: &ConceptId) -> u16 {
        let bits = u128::from_le_bytes(id.0);
        let folded = (bits as u64) ^ ((bits >> 64) as u64).rotate_left(32);
        let mixed = u128::from(folded.wrapping_mul(GOLDEN));
        ((mixed * u128::from(self.cores)) >> 64) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(cores: u16, ids: impl Iterator<Item = ConceptId>) -> Vec<usize> {
        let layout = CoreLayout::new(cores);
        let mut shares = vec![0; usize::from(cores)];
        ids.for_each(|id| shares[usize::from(layout.owner(&id))] += 1);
        shares
    }

    #[test]
    fn names_and_counted_ids_spread_evenly() {
        let names =
            (0..10_000).map(|i| ConceptId::from_name(&format!("concept-{i}")).expect("not empty"));
        let low = (1..=10_000u128).map(|i| ConceptId(i.to_le_bytes()));
        let high = (1..=10_000u128).map(|i| ConceptId(i.to_be_bytes()));
        for cores in [2, 3, 7, 16] {
            let even = 10_000 / usize::from(cores);
            for shares in [
                shares(cores, names.clone()),
                shares(cores, low.clone()),
                shares(cores, high.clone()),
            ] {
                assert!(
                    shares.iter().all(|share| share.abs_diff(even) < even / 4),
                    "{cores}: {shares:?}"
                );
            }
        }
    }

    #[test]
    fn the_mapping_never_changes() {
        let owners = ["a", "b", "c", "d", "e"]
            .map(|name| CoreLayout::new(64).owner(&ConceptId::from_name(name).expect("not empty")));
        assert_eq!(owners, [4, 46, 20, 58, 50]);
    }
}
