//! In-edges on their way between shards while all are recovered.
//!
//! Each shard sends what it finds for others in batches. It takes in what others found whenever it
//! has applied a commit. So where each has a thread, what is under way stays a small share of the
//! log. Nobody waits for room: two shards could then wait for each other. Shards that are read one
//! after the other take in the rest when all were read.

use std::sync::mpsc::{Receiver, Sender, channel};

use crate::graph::{Graph, InEdge};

/// Edges sent at a time: 56 KiB.
const BATCH: usize = 1024;

/// A shard's end of the exchange.
pub(crate) struct Exchange {
    outboxes: Vec<(Sender<Vec<InEdge>>, Vec<InEdge>)>,
    inbox: Receiver<Vec<InEdge>>,
}

impl Exchange {
    /// The ends of an exchange among so many shards.
    pub(crate) fn among(shards: usize) -> Vec<Self> {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..shards).map(|_| channel()).unzip();
        let outboxes =
            || senders.iter().map(|sender: &Sender<_>| (sender.clone(), Vec::new())).collect();
        receivers.into_iter().map(|inbox| Self { outboxes: outboxes(), inbox }).collect()
    }

    /// Tells a shard of an edge.
    pub(crate) fn tell(&mut self, shard: usize, edge: InEdge) {
        let (sender, batch) = &mut self.outboxes[shard];
        batch.push(edge);
        if batch.len() == BATCH {
            // A shard that is gone has failed, and its error ends the start.
            let _ = sender.send(std::mem::replace(batch, Vec::with_capacity(BATCH)));
        }
    }

    /// Applies what others have told so far.
    pub(crate) fn take_in(&mut self, graph: &mut Graph) {
        self.inbox.try_iter().flatten().for_each(|edge| graph.apply_in_edge(&edge));
    }

    /// Tells the rest. What is left to be taken in comes from others.
    pub(crate) fn tell_rest(self) -> Rest {
        for (sender, batch) in self.outboxes {
            let _ = sender.send(batch);
        }
        Rest(self.inbox)
    }
}

/// What others have told a shard, or will, that has told them everything itself.
pub(crate) struct Rest(Receiver<Vec<InEdge>>);

impl Rest {
    /// Applies it. Blocks until all others have told theirs.
    pub(crate) fn take_in(self, graph: &mut Graph) {
        self.0.iter().flatten().for_each(|edge| graph.apply_in_edge(&edge));
    }
}
