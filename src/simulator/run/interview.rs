//! A look at everything that a server has, by asking it as a client does while nobody writes.

use std::collections::{BTreeMap, BTreeSet};

use sutra_server::SimulatedServer;
use sutra_wire::{Direction, Durability, Stats};

use super::Run;
use super::mood::Mood;
use crate::client::{Client, Heard};
use crate::failure::{Failure, Kind, OfKind};
use crate::model::{Before, Found};
use crate::operation::{Concept, Operation, Wanted};
use crate::random::{Random, Stream};
use crate::reply::Reply;

/// Searches of a crowd, of which some can be answered by an index.
const SEARCHES: u64 = 24;
/// Of so many concepts one is asked for its neighbours although nobody has associated it.
const SAMPLE: usize = 16;
/// Requests under way at a time.
const DEPTH: usize = 64;
/// Steps that an answer may take.
const PATIENCE: u64 = 200_000;

/// So many vectors in an index that was just started are not built yet: they were read.
const FROM_CHECKPOINT: u64 = 2_000;

/// How many vectors the indexes hold.
fn indexed(stats: Option<&Stats>) -> u64 {
    let mut counters = stats.into_iter().flat_map(|stats| &stats.counters);
    counters.find(|counter| counter.name == "vectors_indexed").map_or(0, |counter| counter.value)
}

impl Run<'_> {
    /// Looks at everything, compares it with what there may be, and takes it for the truth from
    /// here on.
    pub(super) fn look_at_all(
        &mut self,
        server: &mut SimulatedServer,
        before: Before,
        unsynced: &[Option<u64>],
    ) -> Result<(), Failure> {
        let kind = match before {
            Before::Quiet => Kind::Answer,
            Before::Ended(_) | Before::Damaged(..) => Kind::Recovery,
        };
        let is_durable = before != Before::Quiet || self.is_durable(server)?;
        let found = self.read_all(server)?;
        if before != Before::Quiet && indexed(found.stats.as_ref()) >= FROM_CHECKPOINT {
            self.coverage.start("with a vector index from its checkpoint");
        }
        let model = self.model.clone();
        self.model.take_in(before, unsynced, &found).of_kind(kind)?;
        if matches!(before, Before::Damaged(..)) {
            self.check_written(&found).of_kind(kind)?;
        }
        if before == Before::Quiet {
            self.check_quiet(server)?;
        }
        self.ask_more(server)?;
        if !is_durable {
            // What is there may be gone after a crash, and what is not may be back.
            self.model.go_back_to(model);
        }
        Ok(())
    }

    /// Whether all that is there is durable: it is after a flush, and nothing is where one failed.
    fn is_durable(&mut self, server: &mut SimulatedServer) -> Result<bool, Failure> {
        let answers = self.interview(server, vec![Operation::Flush])?;
        match &answers[..] {
            [(_, Reply::Done(_))] => Ok(!self.excuses.has_failed),
            [(_, Reply::Refused(..))] if self.excuses.has_failed => Ok(false),
            other => {
                let what = format!("a flush of a quiet server is answered: {other:?}");
                Err(Failure::new(Kind::Refusal, what))
            }
        }
    }

    fn read_all(&mut self, server: &mut SimulatedServer) -> Result<Found, Failure> {
        let spaces = 0..self.plan.spaces.len();
        let ids = self.plan.ids.len();
        let concepts: Vec<Concept> = spaces
            .clone()
            .flat_map(|space| (0..ids).map(move |id| Concept { space, id }))
            .collect();
        let mut operations = vec![Operation::Stats];
        let edges = self.model.edges();
        let ends =
            edges.iter().flat_map(|edge| [(edge.space, edge.source), (edge.space, edge.target)]);
        let ends: BTreeSet<(usize, usize)> = ends.collect();
        for concept in concepts {
            operations.push(Operation::Query(concept));
            let is_lonely = !ends.contains(&(concept.space, concept.id));
            if self.plan.crowd > 0 && is_lonely && !concept.id.is_multiple_of(SAMPLE) {
                // An association of it that nobody knows of would be counted.
                continue;
            }
            operations.push(Operation::Neighbors(Wanted {
                concept,
                direction: Direction::Both,
                kinds: Vec::new(),
                minimum_confidence: 0.0,
                limit: 0,
            }));
        }
        operations
            .extend(edges.into_iter().map(|edge| Operation::Association { edge, any_kind: false }));
        let limit = if self.plan.crowd > 0 { 1_000 } else { 3 };
        operations.extend(spaces.map(|space| Operation::Concepts { space, limit }));
        let mut found = Found::default();
        let mut listed: BTreeMap<usize, Vec<[u8; 16]>> = BTreeMap::new();
        for (operation, reply) in self.interview(server, operations)? {
            match (operation, reply) {
                (Operation::Stats, Reply::Stats(stats)) => found.stats = Some(*stats),
                (Operation::Query(concept), Reply::Concept(record)) => {
                    found.concepts.insert(concept, Some(*record));
                }
                (Operation::Query(concept), Reply::NotFound) => {
                    found.concepts.insert(concept, None);
                }
                (Operation::Neighbors(wanted), Reply::Neighbors(neighbors)) => {
                    found.neighbors.insert(wanted.concept, neighbors);
                }
                (Operation::Association { edge, .. }, Reply::Association(record)) => {
                    found.associations.insert(edge, Some(*record));
                }
                (Operation::Association { edge, .. }, Reply::NotFound) => {
                    found.associations.insert(edge, None);
                }
                (Operation::Concepts { space, .. }, Reply::Concepts(ids)) => {
                    listed.insert(space, ids);
                }
                (operation, reply) => {
                    let what = format!("{operation} is answered: {reply}");
                    return Err(Failure::new(Kind::Answer, what));
                }
            }
        }
        self.check_listed(&found, listed)?;
        Ok(found)
    }

    /// Every namespace lists what is there.
    fn check_listed(
        &self,
        found: &Found,
        listed: BTreeMap<usize, Vec<[u8; 16]>>,
    ) -> Result<(), Failure> {
        for (space, ids) in listed {
            let mut there: Vec<_> = found
                .concepts
                .iter()
                .filter(|(concept, record)| concept.space == space && record.is_some())
                .map(|(concept, _)| self.plan.ids[concept.id])
                .collect();
            let mut ids = ids;
            ids.sort_unstable();
            there.sort_unstable();
            if ids != there {
                let what = format!("namespace {space} lists {} of {}", ids.len(), there.len());
                return Err(Failure::new(Kind::Answer, what));
            }
        }
        Ok(())
    }

    /// Where nothing is under way and nothing has failed, all is well, and synced where that was
    /// promised.
    fn check_quiet(&mut self, server: &mut SimulatedServer) -> Result<(), Failure> {
        let answers = self.interview(server, vec![Operation::Health])?;
        for (_, reply) in answers {
            let what = match reply {
                Reply::Health(health) if health.healthy || self.excuses.has_failed => continue,
                Reply::Health(health) => {
                    format!("it does not get well again: {}", health.status)
                }
                other => format!("whether it is well is answered: {other}"),
            };
            return Err(Failure::new(Kind::Refusal, what));
        }
        let shards = 0..u16::try_from(self.plan.cores).expect("a store has at most 1,000");
        if let (Durability::Interval(_), false) = (self.plan.durability, self.excuses.has_failed)
            && let Some(shard) =
                shards.clone().find(|shard| self.disk.oldest_unsynced(*shard).is_some())
        {
            let what = format!("the log of shard {shard} was not synced in time");
            return Err(Failure::new(Kind::Recovery, what));
        }
        Ok(())
    }

    /// Paths and searches, which now have one right answer.
    fn ask_more(&mut self, server: &mut SimulatedServer) -> Result<(), Failure> {
        let random = &mut Random::of(self.seed, Stream::Check, self.check);
        self.check += 1;
        let mut operations = vec![Operation::Stats];
        for _ in 0..random.between(1, 6) {
            operations.push(Operation::draw_path(&self.plan, random));
            operations.push(Operation::Search(Operation::draw_likeness(&self.plan, random)));
        }
        if self.plan.crowd > 0 {
            let mut search = || Operation::Search(Operation::draw_likeness(&self.plan, random));
            operations.extend((0..SEARCHES).map(|_| search()));
        }
        let (mut has_index, mut recall) = (false, [0, 0]);
        let began = self.model.moment();
        for (operation, reply) in self.interview(server, operations)? {
            // Nothing writes, so nothing is a reason to refuse a read.
            let checked = match &reply {
                Reply::Refused(..) => Err(format!("it is answered: {reply}")),
                _ => self.model.end(u64::MAX, began, &operation, &reply),
            };
            checked.map_err(|what| format!("{operation}: {what}")).of_kind(Kind::Answer)?;
            match (&operation, &reply) {
                (_, Reply::Stats(stats)) => has_index = indexed(Some(stats)) > 0,
                (Operation::Search(likeness), Reply::Hits(hits)) => {
                    if let Some([found, best]) = self.model.recall(likeness, hits) {
                        recall = [recall[0] + found, recall[1] + best];
                    }
                }
                _ => {}
            }
        }
        let [found, best] = recall;
        if has_index {
            self.coverage.operation("search", "by index");
        }
        match found * 10 >= best * 9 {
            true => Ok(()),
            false => {
                let what = format!("searches have found {found} of the {best} best");
                Err(Failure::new(Kind::Answer, what))
            }
        }
    }

    /// Asks for all of these on a connection of its own.
    fn interview(
        &mut self,
        server: &mut SimulatedServer,
        operations: Vec<Operation>,
    ) -> Result<Vec<(Operation, Reply)>, Failure> {
        let core = self.schedule.below(self.plan.cores as u64) as usize;
        self.clients.push(Client::default());
        let at = self.clients.len() - 1;
        self.connect(server, at, None, core)?;
        let (mut waiting, mut answers) = (operations.into_iter(), Vec::new());
        let (count, began) = (waiting.len(), self.journal.step);
        while answers.len() < count {
            self.mood = Mood::even();
            // Kept apart: its answers are not the clients'.
            let mut client = self.clients.pop().expect("it was put there");
            while client.may_ask(DEPTH)
                && let Some(operation) = waiting.next()
            {
                client.ask(&self.plan, u64::MAX, operation, self.model.moment());
            }
            let unsent = client.unsent();
            client.send(server.world(), unsent);
            if client.may_read(server.world()) {
                match client.read(server.world(), &self.plan, usize::MAX, |_, _| {}) {
                    Ok(Heard::Nothing) => {}
                    Ok(Heard::Answers(more)) => {
                        answers.extend(
                            more.into_iter().map(|(asked, reply)| (asked.operation, reply)),
                        );
                    }
                    Ok(Heard::Over(_)) => {
                        let what = "the server has closed the connection of a reader";
                        return Err(Failure::new(Kind::Answer, what));
                    }
                    Err(what) => return Err(Failure::new(Kind::Answer, what)),
                }
            }
            self.step(server, None)?;
            self.clients.push(client);
            if self.journal.step - began > PATIENCE {
                return Err(Failure::new(Kind::Stuck, "a reader is not answered"));
            }
        }
        let mut client = self.clients.pop().expect("it was put there");
        client.leave(server.world(), false);
        Ok(answers)
    }
}
