//! Concepts to write or to read, each with its lane: that of its owner's connection.

use std::collections::VecDeque;
use std::fmt::Write;

use sutra_wire::ConceptId;

use crate::Routes;

/// The most keys that are kept for a lane that asks for fewer than the others.
const KEPT: usize = 4096;

/// Which concepts a workload names, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySpace {
    /// Numbers 0 to n - 1, each once; then the workload has no more to send.
    Once(u64),
    /// Numbers 0 to n - 1, over and over, in order.
    Cycling(u64),
    /// Numbers 0 to n - 1 in random order, with repetition.
    Random(u64),
    /// Always a new number.
    Distinct,
}

/// The name of the concept with this number. Up to ten digits all are equally long, and so are the
/// records.
pub fn key_name(prefix: &str, number: u64) -> String {
    format!("{prefix}-{number:010}")
}

/// A source of numbered concepts, lane by lane. A bounded space keeps 24 bytes for each concept,
/// and its next key costs no allocation. A key of [`KeySpace::Distinct`] costs one for its name.
#[derive(Debug)]
pub struct Keys {
    prefix: String,
    space: KeySpace,
    lanes: Vec<Lane>,
    routes: Routes,
    next_new: u64,
    random: u64,
}

#[derive(Debug, Default)]
struct Lane {
    bounded: Vec<(ConceptId, u64)>,
    at: usize,
    new: VecDeque<(ConceptId, u64)>,
}

impl Keys {
    /// Concepts named [`key_name`] of `prefix` and their number.
    pub fn new(prefix: impl Into<String>, space: KeySpace) -> Self {
        let prefix = prefix.into();
        // Threads with different prefixes go through their keys in different orders. The state must
        // not be zero.
        let random = prefix
            .bytes()
            .fold(0x9e37_79b9_7f4a_7c15, |state: u64, byte| state.rotate_left(5) ^ u64::from(byte));
        Self {
            prefix,
            space,
            lanes: Vec::new(),
            routes: Routes::single(),
            next_new: 0,
            random: random | 1,
        }
    }

    /// What names start with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Replaces `name` by the name of the concept with this number. Allocates nothing once `name`
    /// has held one.
    pub fn spell(&self, number: u64, name: &mut String) {
        name.clear();
        write!(name, "{}-{number:010}", self.prefix).expect("writing to a string can't fail");
    }

    /// The id of the concept with this number.
    pub fn id(&self, number: u64) -> ConceptId {
        ConceptId::from_name(&key_name(&self.prefix, number))
            .expect("a name with a number in it is not empty")
    }

    /// Sorts the concepts into lanes. Called once, before [`Keys::next`].
    pub fn open(&mut self, routes: &Routes) {
        self.routes = *routes;
        self.lanes.resize_with(routes.lanes(), Lane::default);
        if let KeySpace::Once(count) | KeySpace::Cycling(count) | KeySpace::Random(count) =
            self.space
        {
            for number in 0..count {
                let id = self.id(number);
                self.lanes[routes.lane_of(&id)].bounded.push((id, number));
            }
        }
    }

    /// The next concept of this lane.
    pub fn next(&mut self, lane: usize) -> Option<(ConceptId, u64)> {
        match self.space {
            KeySpace::Distinct => self.next_new(lane),
            KeySpace::Once(_) => {
                let lane = &mut self.lanes[lane];
                lane.at += 1;
                lane.bounded.get(lane.at - 1).copied()
            }
            KeySpace::Cycling(_) => {
                let lane = &mut self.lanes[lane];
                let key = lane.bounded.get(lane.at).copied();
                lane.at = if lane.at + 1 < lane.bounded.len() { lane.at + 1 } else { 0 };
                key
            }
            KeySpace::Random(_) => {
                let random = self.random();
                let bounded = &self.lanes[lane].bounded;
                let at = (u128::from(random) * bounded.len() as u128) >> 64;
                bounded.get(at as usize).copied()
            }
        }
    }

    /// Takes new numbers until one belongs to this lane. Those of other lanes are kept for them, up
    /// to [`KEPT`].
    fn next_new(&mut self, lane: usize) -> Option<(ConceptId, u64)> {
        if let Some(key) = self.lanes[lane].new.pop_front() {
            return Some(key);
        }
        loop {
            let number = self.next_new;
            self.next_new += 1;
            let id = self.id(number);
            let owner = self.routes.lane_of(&id);
            if owner == lane {
                return Some((id, number));
            }
            let waiting = &mut self.lanes[owner].new;
            if waiting.len() < KEPT {
                waiting.push_back((id, number));
            }
        }
    }

    /// xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators,
    /// scrambled", 2016).
    fn random(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use sutra_wire::CoreLayout;

    use super::*;

    fn keys(space: KeySpace) -> Keys {
        let mut keys = Keys::new("key", space);
        keys.open(&Routes::per_core(CoreLayout::new(3)));
        keys
    }

    #[test]
    fn a_space_taken_once_gives_every_key_to_its_owners_lane_and_ends() {
        let mut keys = keys(KeySpace::Once(100));
        let mut seen = HashSet::new();
        for lane in 0..3 {
            while let Some((id, number)) = keys.next(lane) {
                assert_eq!((CoreLayout::new(3).owner(&id), id), (lane as u16, keys.id(number)));
                seen.insert(number);
            }
        }
        assert_eq!(seen.len(), 100);
    }

    #[test]
    fn a_cycling_space_starts_over_and_a_random_one_stays_inside() {
        let mut cycling = keys(KeySpace::Cycling(9));
        let length = cycling.lanes[0].bounded.len();
        let twice: Vec<_> = (0..2 * length).filter_map(|_| cycling.next(0)).collect();
        assert_eq!((twice.len(), &twice[..length]), (2 * length, &twice[length..]));
        let mut random = keys(KeySpace::Random(100));
        let numbers: HashSet<u64> =
            (0..1000).filter_map(|_| random.next(1)).map(|(_, number)| number).collect();
        assert_eq!(numbers.len(), random.lanes[1].bounded.len());
    }

    #[test]
    fn new_keys_never_repeat_on_any_lane() {
        let mut keys = keys(KeySpace::Distinct);
        let taken: Vec<u64> =
            (0..300).filter_map(|turn| keys.next(turn % 3)).map(|(_, number)| number).collect();
        assert_eq!(taken.iter().collect::<HashSet<_>>().len(), 300);
    }

    #[test]
    fn a_lane_without_keys_has_nothing_to_send() {
        for space in [KeySpace::Once(0), KeySpace::Cycling(0), KeySpace::Random(0)] {
            assert_eq!(keys(space).next(0), None);
        }
    }
}
