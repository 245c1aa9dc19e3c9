//! What a cut for a backup has to cover.

use super::{Model, Write};

impl Model {
    /// A cut that was asked for at the moment `began` covers each shard's log up to a sequence. It
    /// has to have every write that was acknowledged before; and before any write that it has was
    /// sent. Namespaces of all that it has are among `namespaces`.
    pub(crate) fn check_cut(
        &self,
        began: u64,
        sequences: &[u64],
        namespaces: &[String],
    ) -> Result<(), String> {
        let concepts = self.concepts.iter().flat_map(|(concept, history)| {
            let writes = history.writes.iter().filter_map(seen);
            writes.map(move |write| (concept.space, concept.id, write))
        });
        let edges = self.edges.iter().flat_map(|(edge, history)| {
            let writes = history.writes.iter().filter_map(seen);
            writes.map(move |write| (edge.space, edge.source, write))
        });
        let all: Vec<(usize, usize, Seen)> = concepts.chain(edges).collect();
        let has = |id: usize, write: &Seen| write.sequence <= sequences[self.owner(id)];
        let (covered, left_out): (Vec<_>, Vec<_>) =
            all.iter().partition(|(_, id, write)| has(*id, write));
        let last = covered.iter().map(|(.., write)| write.began).max().unwrap_or(0).max(began);
        if let Some((.., write)) = left_out.iter().find(|(.., write)| write.ended < last) {
            return Err(format!(
                "a cut leaves out write {} of sequence {}, which was acknowledged before \
                 something that it has was sent",
                write.by, write.sequence
            ));
        }
        let is_named = |space: usize| namespaces.contains(&self.plan.spaces[space].name);
        match covered.iter().find(|(space, ..)| !is_named(*space)) {
            Some((space, ..)) => Err(format!("a cut does not name namespace {space}")),
            None => Ok(()),
        }
    }
}

/// A write that put something there, and was acknowledged by this server.
struct Seen {
    by: u64,
    began: u64,
    ended: u64,
    sequence: u64,
}

fn seen<V>(write: &Write<V>) -> Option<Seen> {
    let (ended, sequence) = (write.ended?, write.order?);
    let is_one = write.by > 0 && write.value.is_some() && sequence > 0;
    is_one.then_some(Seen { by: write.by, began: write.began, ended, sequence })
}
