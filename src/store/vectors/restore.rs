//! A shard's vectors at a start: found in the recovered table, indexed where a checkpoint holds
//! them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::Vectors;
use super::checkpoint::Checkpoints;
use super::coarse::Member;
use super::cosine::Length;
use super::dimensions::Dimensions;
use super::lookup::{Ordinals, Spaces};
use super::records::{Records, checksum};
use super::space::{MIN_INDEXED, Space, Vector};
use crate::namespaces::{NamespaceId, Namespaces};

/// A checkpoint that holds more than so many times what lives, and some thousands, is mostly dead:
/// building anew is less work.
const MOSTLY_DEAD: u64 = 4;

/// Of each namespace the visible embedding with the lowest sequence: that sequence, and its length.
pub(crate) type First = HashMap<NamespaceId, (u64, u32)>;

/// Of a shard that was recovered. Cost: a look at every record.
pub(crate) fn first_embeddings(records: &Records<'_>) -> First {
    let mut first = First::new();
    for (node, namespace, record) in records.with_embedding() {
        let Some(sequence) = records.sequence(node) else { continue };
        let found = (
            sequence,
            u32::try_from(record.embedding.len()).expect("validation takes at most 65,536"),
        );
        first.entry(namespace).and_modify(|first| *first = (*first).min(found)).or_insert(found);
    }
    first
}

impl Vectors {
    /// Those of a shard that was recovered; each namespace's as long as its `first` over all
    /// shards. Reads the checkpoints. Cost: a pass over all embeddings.
    pub(crate) fn restore(
        checkpoints: Checkpoints,
        namespaces: Arc<Namespaces>,
        records: &Records<'_>,
        first: &First,
    ) -> Self {
        let mut vectors = Self {
            ordinals: Ordinals::default(),
            spaces: Spaces::default(),
            due: VecDeque::new(),
            working: false,
            discarded: Vec::new(),
            dimensions: Dimensions::new(namespaces),
            checkpoints,
        };
        let mut found: BTreeMap<NamespaceId, Vec<u32>> = BTreeMap::new();
        let mut others: BTreeMap<NamespaceId, u64> = BTreeMap::new();
        for (node, namespace, record) in records.with_embedding() {
            match first.get(&namespace) {
                Some((_, dimension)) if *dimension as usize == record.embedding.len() => {
                    found.entry(namespace).or_default().push(node);
                }
                _ => *others.entry(namespace).or_default() += 1,
            }
        }
        for (namespace, count) in others {
            let (shard, number) = (vectors.checkpoints.shard(), namespace.number());
            tracing::warn!(
                shard,
                namespace = number,
                count,
                "embeddings that are not as long as the namespace's first are not searched: \
                 learn those concepts again"
            );
        }
        for (namespace, nodes) in found {
            let Some((_, dimension)) = first.get(&namespace) else { continue };
            vectors
                .dimensions
                .accept(namespace, *dimension)
                .expect("all shards hold a namespace to its first embedding");
            vectors.restore_space(namespace, *dimension, &nodes, records);
            vectors.dimensions.landed(namespace);
            vectors.see_to(namespace);
        }
        vectors
    }

    fn restore_space(
        &mut self,
        namespace: NamespaceId,
        dimension: u32,
        nodes: &[u32],
        records: &Records<'_>,
    ) {
        let space = self.spaces.get_or_make(namespace, dimension);
        let known = match nodes.len() as u64 >= MIN_INDEXED {
            true => take_in_checkpoint(&self.checkpoints, namespace, space, nodes.len() as u64),
            false => HashMap::new(),
        };
        let mut rest = Vec::new();
        for node in nodes {
            let Some(record) = records.record(*node) else { continue };
            let vector = Vector { node: *node, length: Length::of(&record.embedding) };
            let ordinal = match known.is_empty() {
                true => None,
                false => known.get(&(record.id, checksum(&record.embedding))).copied(),
            };
            match ordinal.filter(|(ordinal, head)| space.revive(*ordinal, *head, vector)) {
                Some((ordinal, _)) => self.ordinals.set(*node, Some(ordinal)),
                None => rest.push(vector),
            }
        }
        for vector in rest {
            self.ordinals.set(vector.node, Some(space.add(vector)));
        }
    }
}

/// The ordinals of an index from a checkpoint, each with its head, by what they were given for;
/// none where there is no checkpoint that can be used.
fn take_in_checkpoint(
    checkpoints: &Checkpoints,
    namespace: NamespaceId,
    space: &mut Space,
    live: u64,
) -> HashMap<([u8; 16], u32), (u32, u32)> {
    let checkpoint = checkpoints.of(namespace, space.dimension());
    let most = MOSTLY_DEAD * live + 16_384;
    let coarse = match checkpoint.read(most) {
        Ok(Some(coarse)) => coarse,
        Ok(None) => return HashMap::new(),
        Err(error) => {
            tracing::warn!(%error, "a vector index is built again");
            return HashMap::new();
        }
    };
    let heads: HashMap<_, _> =
        coarse.joined().iter().map(|joined| (joined.ordinal, joined.head)).collect();
    let known = coarse.members().iter().map(|Member { id, crc, ordinal }| {
        let head = heads.get(ordinal).copied().unwrap_or(*ordinal);
        ((*id, *crc), (*ordinal, head))
    });
    let known = known.collect();
    if space.take_in(coarse) {
        return known;
    }
    let file = checkpoint.name();
    tracing::warn!(
        %file,
        "a vector index is built again: the ordinals in its checkpoint make no sense"
    );
    HashMap::new()
}
