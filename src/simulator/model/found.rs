//! What a start has found, compared with what it may have found; and from there on the truth.

use std::collections::{BTreeMap, BTreeSet};

use sutra_wire::{AssociationRecord, ConceptRecord, Direction, Neighbor, Stats};

use super::{History, Model, When};
use crate::disk::Crash;
use crate::operation::{Concept, Edge, Wanted};

/// What was read of a whole store while nobody wrote.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) concepts: BTreeMap<Concept, Option<ConceptRecord>>,
    pub(crate) neighbors: BTreeMap<Concept, Vec<Neighbor>>,
    pub(crate) associations: BTreeMap<Edge, Option<AssociationRecord>>,
    pub(crate) stats: Option<Stats>,
}

/// What ended before it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// The server crashed so, or was stopped in order.
    Ended(Option<Crash>),
    /// Likewise; and what this shard's log has last is damaged, so that it may be missing.
    Damaged(Option<Crash>, usize),
    /// It runs, and nothing is under way.
    Quiet,
}

impl Model {
    /// The associations that anything is known of.
    pub(crate) fn edges(&self) -> Vec<Edge> {
        self.edges.keys().copied().collect()
    }

    /// Compares what was read; what was found is the truth from here on. `unsynced`, by shard: the
    /// moment of the oldest write that was lost when it ended, or could have been.
    pub(crate) fn take_in(
        &mut self,
        before: Before,
        unsynced: &[Option<u64>],
        found: &Found,
    ) -> Result<(), String> {
        let always = self.plan.durability == sutra_wire::Durability::Always;
        let flushed = self.flushed;
        let to = self.next_moment();
        let when = |shard: usize| match before {
            Before::Quiet => When::Running { from: to, to },
            Before::Ended(Some(_)) | Before::Damaged(Some(_), _) if !always => {
                let durable = unsynced[shard].unwrap_or(u64::MAX);
                When::Recovered { durable: durable.max(flushed) }
            }
            Before::Ended(_) | Before::Damaged(..) => When::Recovered { durable: u64::MAX },
        };
        let edges = self.read_edges(found)?;
        // What stands in a damaged log may be older than all that is known.
        let is_known = |shard: usize| !matches!(before, Before::Damaged(_, of) if of == shard);
        for (concept, record) in &found.concepts {
            let shard = self.owner(concept.id);
            if is_known(shard) {
                self.check_concept(when(shard), *concept, record.as_ref())?;
            }
        }
        for edge in self.edges.keys().chain(edges.keys()).copied().collect::<BTreeSet<_>>() {
            let shard = self.owner(edge.source);
            if !is_known(shard) {
                continue;
            }
            let when = when(shard);
            self.check_association(when, &edge, false, edges.get(&edge))?;
        }
        self.check_prefixes(found, &edges)?;
        check_counts(found, edges.len())?;
        self.begin_anew(found, edges);
        Ok(())
    }

    /// The associations that were found, each seen from both its ends and by itself.
    fn read_edges(&self, found: &Found) -> Result<BTreeMap<Edge, AssociationRecord>, String> {
        let mut ends: BTreeMap<Edge, [Option<f32>; 2]> = BTreeMap::new();
        for (concept, neighbors) in &found.neighbors {
            let wanted = Wanted {
                concept: *concept,
                direction: Direction::Both,
                kinds: Vec::new(),
                minimum_confidence: 0.0,
                limit: 0,
            };
            for neighbor in neighbors {
                let edge = self.edge_of(wanted.clone(), neighbor)?;
                let end = usize::from(neighbor.direction != Direction::Out as u8);
                let seen = ends.entry(edge).or_default();
                let is_again = seen[end].replace(neighbor.confidence).is_some();
                // One of a concept with itself may be told as either, or as both.
                if is_again && edge.source != edge.target {
                    return Err(format!("{concept} has {edge} twice"));
                }
            }
        }
        let mut edges = BTreeMap::new();
        for (edge, seen) in ends {
            let of_itself = edge.source == edge.target;
            if !of_itself && seen[0] != seen[1] {
                return Err(format!(
                    "{edge} has a confidence of {:?} at its source and {:?} at its target",
                    seen[0], seen[1]
                ));
            }
            match found.associations.get(&edge) {
                Some(Some(record)) if seen.contains(&Some(record.confidence)) => {
                    edges.insert(edge, record.clone());
                }
                Some(other) => {
                    return Err(format!("{edge} is seen from both ends, and is {other:?}"));
                }
                None => return Err(format!("{edge} is there, and nobody has written it")),
            }
        }
        let unseen = found
            .associations
            .iter()
            .find(|(edge, record)| record.is_some() && !edges.contains_key(edge));
        match unseen {
            Some((edge, _)) => Err(format!("{edge} is there, and neither of its ends has it")),
            None => Ok(edges),
        }
    }

    /// Each shard's log is a prefix of what it took: where a later write is there, no earlier one
    /// is missing.
    fn check_prefixes(
        &self,
        found: &Found,
        edges: &BTreeMap<Edge, AssociationRecord>,
    ) -> Result<(), String> {
        let mut shards = vec![Prefix::default(); usize::from(self.layout.cores())];
        for (concept, record) in &found.concepts {
            let Some(history) = self.concepts.get(concept) else { continue };
            let shard = &mut shards[self.owner(concept.id)];
            let Some(record) = record else {
                shard.note_missing(history, || concept.to_string());
                continue;
            };
            let is_found = |value: &ConceptRecord| super::concepts::is_same(record, value);
            shard.note(history, is_found, || concept.to_string());
        }
        for (edge, history) in &self.edges {
            let shard = &mut shards[self.owner(edge.source)];
            let Some(record) = edges.get(edge) else {
                shard.note_missing(history, || edge.to_string());
                continue;
            };
            let is_found = |value: &AssociationRecord| value.confidence == record.confidence;
            shard.note(history, is_found, || edge.to_string());
        }
        for (shard, prefix) in shards.into_iter().enumerate() {
            if let (Some((kept, of)), Some((lost, from))) = (prefix.kept, prefix.lost)
                && lost <= kept
            {
                return Err(format!(
                    "shard {shard} has the write of {of} with sequence {kept}, and not that of \
                     {from} with sequence {lost}"
                ));
            }
        }
        Ok(())
    }

    fn begin_anew(&mut self, found: &Found, edges: BTreeMap<Edge, AssociationRecord>) {
        let concepts = found.concepts.iter();
        let concepts = concepts.filter_map(|(concept, record)| Some((*concept, record.clone()?)));
        self.concepts =
            concepts.map(|(concept, record)| (concept, History::new(Some(record)))).collect();
        self.edges =
            edges.into_iter().map(|(edge, record)| (edge, History::new(Some(record)))).collect();
        self.deletions.clear();
        self.flushed = 0;
    }
}

fn check_counts(found: &Found, edges: usize) -> Result<(), String> {
    let Some(stats) = &found.stats else { return Ok(()) };
    let learned: Vec<_> = found.concepts.values().flatten().collect();
    let vectors = learned.iter().filter(|record| !record.embedding.is_empty()).count();
    let counted = [stats.concepts, stats.associations, stats.vectors];
    let there = [learned.len(), edges, vectors].map(|count| count as u64);
    match counted == there {
        true => Ok(()),
        false => Err(format!(
            "stats counts {counted:?} concepts, associations and vectors; there are {there:?}"
        )),
    }
}

/// Of one shard's log: the last write that is there, and the first that is not, with what each
/// wrote.
#[derive(Clone, Debug, Default)]
struct Prefix {
    kept: Option<(u64, String)>,
    lost: Option<(u64, String)>,
}

impl Prefix {
    fn note<V: Clone>(
        &mut self,
        history: &History<V>,
        is_found: impl Fn(&V) -> bool,
        name: impl Fn() -> String,
    ) {
        let mut writes = history.writes.iter();
        let found = writes.find(|write| write.value.as_ref().is_some_and(&is_found));
        let Some(kept) = found.and_then(|write| write.order) else { return };
        if self.kept.as_ref().is_none_or(|(before, _)| kept > *before) {
            self.kept = Some((kept, name()));
        }
        self.note_lost_after(kept, history, name);
    }

    /// The key is not there. Unless it may have been deleted, all that was written to it is lost.
    fn note_missing<V: Clone>(&mut self, history: &History<V>, name: impl Fn() -> String) {
        let (base, since) = history.writes.split_first().expect("a history begins with what was");
        if base.value.is_none() && since.iter().all(|write| write.value.is_some()) {
            self.note_lost_after(0, history, name);
        }
    }

    fn note_lost_after<V>(&mut self, kept: u64, history: &History<V>, name: impl Fn() -> String) {
        let later = history.writes.iter().filter_map(|write| write.order);
        if let Some(lost) = later.filter(|order| *order > kept).min()
            && self.lost.as_ref().is_none_or(|(before, _)| lost < *before)
        {
            self.lost = Some((lost, name()));
        }
    }
}
