//! What a run is like: everything that its seed decides before it begins.

use sutra_runtime::WriteMode;
use sutra_wire::{ConceptId, Durability};

use crate::disk::Manner;
use crate::random::{Random, Stream};

/// A namespace of the clients.
#[derive(Clone, Debug)]
pub(crate) struct Space {
    pub(crate) name: String,
    /// Numbers of its embeddings.
    pub(crate) dimension: usize,
}

/// Of so many runs one has a crowd that is large enough for a checkpoint of its vector index, and
/// so many have one that is large enough for an index.
const RUNS: u64 = 100;
const LARGE: u64 = 6;

/// How many concepts each core has in a crowd; none in most runs.
fn crowd(seed: u64) -> u64 {
    let random = &mut Random::of(seed, Stream::Plan, 2);
    match random.below(RUNS) {
        0 => random.between(4_200, 4_800),
        1..=LARGE => random.between(1_100, 1_800),
        _ => 0,
    }
}

/// What may go wrong in a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dangers {
    pub(crate) full: bool,
    pub(crate) failing_writes: bool,
    pub(crate) failing_syncs: bool,
    pub(crate) failing_names: bool,
    pub(crate) failing_reads: bool,
    pub(crate) flipped_bits: bool,
    pub(crate) jumping_clock: bool,
    pub(crate) rude_clients: bool,
    pub(crate) crash_in_recovery: bool,
}

/// What a run is like.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// At first.
    pub(crate) cores: usize,
    /// Whether each life may have another number of cores.
    pub(crate) changes_cores: bool,
    pub(crate) durability: Durability,
    pub(crate) manner: Manner,
    pub(crate) segment_bytes: u64,
    pub(crate) mailbox: usize,
    pub(crate) clients: usize,
    /// Whether some of them speak the old protocol.
    pub(crate) has_old_clients: bool,
    /// Requests that a client has under way.
    pub(crate) depth: usize,
    /// Bytes that a client leaves unread.
    pub(crate) unread: usize,
    pub(crate) spaces: Vec<Space>,
    pub(crate) ids: Vec<[u8; 16]>,
    /// How many of the first operations each learn a concept of its own with an embedding: enough
    /// for a vector index, and in some runs for its checkpoint. None in most runs.
    pub(crate) crowd: u64,
    /// Operations of the clients, and how many times the server ends in between.
    pub(crate) operations: u64,
    pub(crate) lives: u64,
    /// Bytes of the longest content.
    pub(crate) content: u64,
    /// Of ten operations so many are writes.
    pub(crate) writes: u64,
    /// Of ten ends so many are power cuts, and so many are in order.
    pub(crate) power_cuts: u64,
    pub(crate) clean_stops: u64,
    pub(crate) dangers: Dangers,
}

impl Plan {
    /// Of this seed; on so many cores, or as many as it likes.
    pub(crate) fn of(seed: u64, cores: Option<usize>) -> Plan {
        let random = &mut Random::of(seed, Stream::Plan, 0);
        let crowd = crowd(seed);
        let drawn = (*random.pick(&[1, 1, 2, 2, 2, 3, 4])).min(if crowd > 0 { 2 } else { 4 });
        let is_told = cores.is_some();
        let cores = cores.unwrap_or(drawn);
        let crowd = crowd * cores as u64;
        let durability = match random.below(10) {
            0..6 => Durability::Always,
            6 | 7 => Durability::Interval(*random.pick(&[1, 20, 200])),
            _ => Durability::Os,
        };
        let mode = match durability {
            Durability::Always => *random.pick(&[
                WriteMode::Direct { align: 512 },
                WriteMode::Direct { align: 4096 },
                WriteMode::Buffered,
            ]),
            _ => WriteMode::Relaxed,
        };
        let manner = Manner {
            mode,
            is_copy_on_write: random.one_in(3),
            has_short_writes: random.one_in(3),
            has_short_reads: random.one_in(3),
        };
        // Few numbers have few directions, so that many of a crowd share an entry of the index.
        let dimensions = if crowd > 0 { [3, 8, 16] } else { [2, 3, 8] };
        let names = ["", "other", "third namespace"];
        let spaces = (0..random.between(1, 3) as usize)
            .map(|at| Space { name: names[at].to_owned(), dimension: *random.pick(&dimensions) })
            .collect();
        let count = random.magnitude(2, 40).max(crowd) as usize;
        let ids = (0..count).map(|at| id(at, random)).collect();
        let mut danger = |odds| random.one_in(odds);
        let dangers = Dangers {
            full: danger(3),
            failing_writes: danger(4),
            failing_syncs: danger(4),
            failing_names: danger(4),
            failing_reads: danger(4),
            flipped_bits: danger(3),
            jumping_clock: danger(3),
            rude_clients: danger(2),
            crash_in_recovery: danger(2),
        };
        let power_cuts = random.below(9);
        Plan {
            cores,
            changes_cores: !is_told && Random::of(seed, Stream::Plan, 1).one_in(4),
            durability,
            manner,
            segment_bytes: *random.pick(&[64 << 10, 64 << 10, 128 << 10, 1 << 20]),
            mailbox: *random.pick(&[1024, 1024, 64, 4]),
            clients: random.between(1, 6) as usize,
            has_old_clients: random.one_in(2),
            depth: if crowd > 0 { 32 } else { random.magnitude(1, 32) as usize },
            unread: random.magnitude(256, 64 << 10) as usize,
            spaces,
            ids,
            crowd,
            operations: crowd + random.magnitude(50, 600),
            lives: if crowd > 0 { 2 } else { random.between(2, 6) },
            content: if crowd > 0 { 50 } else { *random.pick(&[50, 400, 4_000, 12_000]) },
            writes: random.between(4, 9),
            power_cuts,
            clean_stops: random.below(10 - power_cuts).min(3),
            dangers,
        }
    }

    /// The name of a concept.
    pub(crate) fn name(id: usize) -> String {
        format!("c{id}")
    }

    /// Whether its id is that of its name, so that old clients may name it so.
    pub(crate) fn is_named(&self, id: usize) -> bool {
        ConceptId::from_name(&Plan::name(id)).is_ok_and(|named| named.0 == self.ids[id])
    }

    /// The concept of an id, by its place.
    pub(crate) fn place(&self, id: &[u8; 16]) -> Option<usize> {
        self.ids.iter().position(|known| known == id)
    }
}

/// Of its name, or any.
fn id(at: usize, random: &mut Random) -> [u8; 16] {
    if random.one_in(2)
        && let Ok(id) = ConceptId::from_name(&Plan::name(at))
    {
        return id.0;
    }
    let mut id = [0; 16];
    id[..8].copy_from_slice(&random.next().to_le_bytes());
    id[8..].copy_from_slice(&random.next().to_le_bytes());
    id
}
