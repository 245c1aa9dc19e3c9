//! Which answer belongs to which question; and what a deletion may say.

use sutra_wire::Deleted;

use super::{Model, Number, When};
use crate::operation::{Concept, Edge, Operation};
use crate::reply::Reply;

impl Model {
    /// Whether a question may be answered so.
    pub(super) fn check(
        &self,
        when: When,
        operation: &Operation,
        reply: &Reply,
    ) -> Result<(), String> {
        match (operation, reply) {
            (Operation::Query(concept), Reply::Concept(record)) => {
                self.check_concept(when, *concept, Some(record))
            }
            (Operation::Query(concept), Reply::NotFound) => {
                self.check_concept(when, *concept, None)
            }
            (Operation::Association { edge, any_kind }, Reply::Association(record)) => {
                self.check_association(when, edge, *any_kind, Some(record))
            }
            (Operation::Association { edge, any_kind }, Reply::NotFound) => {
                self.check_association(when, edge, *any_kind, None)
            }
            (Operation::Neighbors(wanted), Reply::Neighbors(found)) => {
                self.check_neighbors(when, wanted, found)
            }
            (Operation::Concepts { space, .. }, Reply::Concepts(ids)) => {
                self.check_listing(when, *space, ids)
            }
            (Operation::Path(way), Reply::Paths(paths)) => self.check_paths(when, way, paths),
            (Operation::Path(way), Reply::NotFound) => self.check_paths(when, way, &[]),
            (Operation::Search(likeness), Reply::Hits(hits)) => {
                self.check_search(when, likeness, hits)
            }
            (Operation::Stats, Reply::Stats(stats)) => match stats.cores as usize {
                cores if cores == self.plan.cores => Ok(()),
                cores => Err(format!("it has {} cores, and says {cores}", self.plan.cores)),
            },
            (Operation::Health, Reply::Health(_)) | (Operation::Cut, Reply::Cut(_)) => Ok(()),
            (operation, reply) if reply.is_old() => self.check_old(when, operation, reply),
            (operation, reply) => Err(format!("{operation} is answered: {reply}")),
        }
    }

    /// The removal of one association is answered.
    pub(super) fn dissociated(
        &mut self,
        number: Number,
        edge: Edge,
        when: When,
        reply: &Reply,
    ) -> Result<(), String> {
        let When::Running { to: ended, .. } = when else { return Ok(()) };
        let history = self.edge(edge);
        let before = history.presence(when, Some(number));
        match reply {
            Reply::Done(order) => {
                history.end(number, ended, *order);
                match before.is_possible {
                    true => Ok(()),
                    false => Err(format!("{edge} is not there, and was removed")),
                }
            }
            Reply::NotFound => {
                history.forget(number);
                match before.is_certain {
                    true => Err(format!("{edge} is there, and was not removed")),
                    false => Ok(()),
                }
            }
            other => Err(format!("the removal of an association is answered: {other}")),
        }
    }

    /// A deletion is answered.
    pub(super) fn deleted(
        &mut self,
        number: Number,
        concept: Concept,
        when: When,
        reply: &Reply,
    ) -> Result<(), String> {
        let When::Running { to: ended, .. } = when else { return Ok(()) };
        let (deleted, order) = match reply {
            Reply::Done(sequence) => (None, *sequence),
            Reply::Deleted(deleted, sequence) => (Some(*deleted), Some(*sequence)),
            Reply::NotFound => (Some(Deleted::default()), None),
            other => return Err(format!("a deletion is answered: {other}")),
        };
        let checked = self.check_deleted(number, concept, when, deleted);
        self.deletions.retain(|deletion| deletion.by != number);
        self.concept(concept).end(number, ended, order);
        for history in self.edges.values_mut() {
            history.end(number, ended, None);
        }
        checked
    }

    /// `deleted` is nothing where the answer says no more than that there was something.
    fn check_deleted(
        &self,
        number: Number,
        concept: Concept,
        when: When,
        deleted: Option<Deleted>,
    ) -> Result<(), String> {
        let learned = match self.concepts.get(&concept) {
            Some(history) => history.presence(when, Some(number)),
            None => return Ok(()),
        };
        let edges = self.edges.iter().filter(|(edge, _)| edge.touches(concept));
        let edges: Vec<_> =
            edges.map(|(_, history)| history.presence(when, Some(number))).collect();
        let certain = edges.iter().filter(|edge| edge.is_certain).count() as u64;
        let possible = edges.iter().filter(|edge| edge.is_possible).count() as u64;
        match deleted {
            None if !learned.is_possible && possible == 0 => {
                Err(format!("{concept} is not there, has no associations, and was deleted"))
            }
            None => Ok(()),
            Some(Deleted { concept: true, .. }) if !learned.is_possible => {
                Err(format!("{concept} is not there, and was deleted"))
            }
            Some(Deleted { concept: false, .. }) if learned.is_certain => {
                Err(format!("{concept} is there, and was not deleted"))
            }
            Some(Deleted { associations, .. }) if associations < certain => Err(format!(
                "{concept} has {certain} associations at least, and {associations} were deleted"
            )),
            _ => Ok(()),
        }
    }
}
