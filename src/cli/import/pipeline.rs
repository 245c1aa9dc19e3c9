//! Requests of an import on their way: many at a time, bounded by number and by bytes, each with
//! the line that it came from.
//!
//! Requests under way overtake each other, so no two lines of one key are: the second waits until
//! all before it are done.

use std::collections::{HashMap, HashSet, VecDeque};

use sutra_client::{Association, Client, ClientError, Concept, Neighborhood};
use sutra_wire::{ArchivedConceptRecord, ConceptId, Direction, Status};
use tokio::task::JoinSet;

use super::lines::{AssociationLine, ConceptLine, Times};
use super::origin::Origin;
use super::repeats::Key;

/// Requests under way at a time: enough to fill the group commits of many cores.
const MAX_REQUESTS: usize = 2_048;
/// Bytes of records and replies under way at a time.
const MAX_BYTES: usize = 64 << 20;
/// Keys that are remembered as under way (a few MB) before all of them are waited for.
const MAX_KEYS: usize = 1 << 16;
/// Neighbours asked for in one reply when associations are looked up: a hub's are walked through,
/// never held.
const PAGE: u32 = 4_096;
/// What a line takes in memory beside its texts, roughly.
const LINE_BYTES: usize = 256;
/// What such a reply takes, roughly.
const PAGE_BYTES: usize = PAGE as usize * 32;

/// What the server is asked about a record before it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// Nothing: it is empty.
    No,
    /// Whether it has the record just so; another one is replaced.
    Equal,
    /// Whether it has one at all, which is then kept.
    Any,
}

/// What became of a line.
#[derive(Debug)]
pub(super) enum Settled {
    /// It was written. Also whether the server's vector was removed, as the line has none.
    Written { vector_removed: bool },
    /// The server had it already, just so.
    Unchanged,
    /// The server has it with other values, and keeps those. The length of a concept's vector
    /// there.
    Kept(usize),
    /// The server or the client refused it, and would again.
    Bad(Origin, String),
}

/// The requests under way.
pub(super) struct Pipeline {
    client: Client,
    lookup: Lookup,
    tasks: JoinSet<Done>,
    bytes: usize,
    /// Keys that were sent since nothing was under way.
    keys: HashSet<Key>,
    /// Associations that were looked up and are to be written.
    missing: VecDeque<(Origin, AssociationLine)>,
}

struct Done {
    bytes: usize,
    outcome: Result<Outcome, (Origin, ClientError)>,
}

enum Outcome {
    Settled(Settled),
    LookedUp(LookedUp),
}

/// Of associations from one source: how many the server has, and those that are to be written.
struct LookedUp {
    unchanged: u64,
    kept: u64,
    missing: Vec<(Origin, AssociationLine)>,
}

impl Pipeline {
    pub(super) fn new(client: Client, lookup: Lookup) -> Self {
        Self {
            client,
            lookup,
            tasks: JoinSet::new(),
            bytes: 0,
            keys: HashSet::new(),
            missing: VecDeque::new(),
        }
    }

    /// Whether a request of this key may not be sent before all that are under way are done.
    pub(super) fn must_drain(&self, key: Key) -> bool {
        self.keys.len() >= MAX_KEYS || self.keys.contains(&key)
    }

    /// Starts to write a concept.
    pub(super) fn concept(&mut self, origin: Origin, key: Key, line: ConceptLine) {
        self.keys.insert(key);
        let bytes = line.content.len()
            + line.embedding.as_ref().map_or(0, |embedding| embedding.len() * 4)
            + LINE_BYTES;
        let (client, lookup) = (self.client.clone(), self.lookup);
        self.spawn(bytes, async move {
            let outcome = write_concept(&client, lookup, line).await;
            outcome.map(Outcome::Settled).map_err(|error| (origin, error))
        });
    }

    /// Whether associations are looked up before they are written: then it pays to do so for many
    /// of one source at once.
    pub(super) fn looks_up(&self) -> bool {
        self.lookup != Lookup::No
    }

    /// Starts to write associations that have the same source and namespace.
    pub(super) fn associations(&mut self, run: Vec<(Origin, Key, AssociationLine)>) {
        self.keys.extend(run.iter().map(|(_, key, _)| *key));
        let lines = run.into_iter().map(|(origin, _, line)| (origin, line));
        if !self.looks_up() {
            lines.for_each(|(origin, line)| self.association(origin, line));
            return;
        }
        let run: Vec<_> = lines.collect();
        let Some((origin, _)) = run.first() else { return };
        let (origin, client, keep) = (*origin, self.client.clone(), self.lookup == Lookup::Any);
        self.spawn(run.len() * LINE_BYTES + PAGE_BYTES, async move {
            look_up(&client, keep, run)
                .await
                .map(Outcome::LookedUp)
                .map_err(|error| (origin, error))
        });
    }

    fn association(&mut self, origin: Origin, line: AssociationLine) {
        let client = self.client.clone();
        self.spawn(LINE_BYTES, async move {
            let mut association = Association::between(&line.source, &line.target)
                .kind(line.kind)
                .confidence(line.confidence)
                .times(line.times.created, line.times.updated);
            if let Some(namespace) = line.namespace {
                association = association.namespace(namespace);
            }
            let written = client.associate(association).await;
            written
                .map(|_| Outcome::Settled(Settled::Written { vector_removed: false }))
                .map_err(|error| (origin, error))
        });
    }

    fn spawn(
        &mut self,
        bytes: usize,
        task: impl Future<Output = Result<Outcome, (Origin, ClientError)>> + Send + 'static,
    ) {
        self.bytes += bytes;
        self.tasks.spawn(async move { Done { bytes, outcome: task.await } });
    }

    /// Whether another request should wait.
    pub(super) fn is_full(&self) -> bool {
        self.has_most_requests() || !self.missing.is_empty()
    }

    fn has_most_requests(&self) -> bool {
        self.tasks.len() >= MAX_REQUESTS || self.bytes >= MAX_BYTES
    }

    /// Waits for the next request to end and adds what became of its lines to `settled`; `false`
    /// when none is under way. An error that is not its line's fault ends the import. Dropping the
    /// future loses nothing.
    pub(super) async fn settle(&mut self, settled: &mut Vec<Settled>) -> Result<bool, ClientError> {
        let Some(done) = self.tasks.join_next().await else {
            self.keys.clear();
            return Ok(false);
        };
        let done = done.expect("tasks of an import neither panic nor are aborted while it waits");
        let mut ended = self.settle_one(done, settled);
        if ended.is_err() {
            // What was written before is still told.
            while let Some(Ok(done)) = self.tasks.try_join_next() {
                ended = ended.and(self.settle_one(done, settled));
            }
        }
        ended?;
        while !self.has_most_requests()
            && let Some((origin, line)) = self.missing.pop_front()
        {
            self.association(origin, line);
        }
        Ok(true)
    }

    fn settle_one(&mut self, done: Done, settled: &mut Vec<Settled>) -> Result<(), ClientError> {
        self.bytes -= done.bytes;
        match done.outcome {
            Ok(Outcome::Settled(outcome)) => settled.push(outcome),
            Ok(Outcome::LookedUp(LookedUp { unchanged, kept, missing })) => {
                settled.extend((0..unchanged).map(|_| Settled::Unchanged));
                settled.extend((0..kept).map(|_| Settled::Kept(0)));
                self.missing.extend(missing);
            }
            Err((origin, error)) if is_the_lines_fault(&error) => {
                settled.push(Settled::Bad(origin, error.to_string()));
            }
            Err((_, error)) => return Err(error),
        }
        Ok(())
    }
}

fn is_the_lines_fault(error: &ClientError) -> bool {
    match error {
        ClientError::InvalidName(_) | ClientError::TooLarge { .. } => true,
        ClientError::Refused { status, .. } => {
            matches!(status, Status::InvalidArgument | Status::InvalidArchive | Status::TooLarge)
        }
        _ => false,
    }
}

async fn write_concept(
    client: &Client,
    lookup: Lookup,
    line: ConceptLine,
) -> Result<Settled, ClientError> {
    let other = line.namespace.as_deref().map(|namespace| client.namespace(namespace));
    let client = other.as_ref().unwrap_or(client);
    let mut kept = String::new();
    let mut vector_removed = false;
    if lookup != Lookup::No
        && let Some(stored) = client.query(&line.name).await?
    {
        if is_stored(&line, &stored) {
            return Ok(Settled::Unchanged);
        }
        if lookup == Lookup::Any {
            return Ok(Settled::Kept(stored.embedding.len()));
        }
        vector_removed =
            !stored.embedding.is_empty() && line.embedding.as_ref().is_none_or(Vec::is_empty);
        if ConceptId::from_digits(&stored.name).is_none() {
            stored.name.as_str().clone_into(&mut kept);
        }
    }
    // As on the compat port: what goes by its id's digits has no name, but for the one that it has.
    let concept = match (ConceptId::from_digits(&line.name), line.called) {
        (Some(id), called) => Concept::with_id(id).name(called.unwrap_or(kept)),
        (None, Some(called)) => Concept::new(line.name).name(called),
        (None, None) => Concept::new(line.name),
    };
    let concept = concept
        .content(line.content)
        .embedding(line.embedding.unwrap_or_default())
        .strength(line.strength)
        .confidence(line.confidence)
        .times(line.times.created, line.times.updated);
    client.learn(concept).await?;
    Ok(Settled::Written { vector_removed })
}

/// Whether the stored record is what this line would make it.
fn is_stored(line: &ConceptLine, stored: &ArchivedConceptRecord) -> bool {
    let embedding = line.embedding.as_deref().unwrap_or_default();
    let is_named = match (&line.called, ConceptId::from_digits(&line.name)) {
        (Some(called), _) => stored.name == *called,
        // Whatever it is called, the line does not change that; only the spelling of its id is no
        // name.
        (None, Some(_)) => ConceptId::from_digits(&stored.name).is_none(),
        (None, None) => stored.name == line.name,
    };
    is_named
        && stored.content == line.content
        && stored.strength == line.strength
        && stored.confidence == line.confidence
        && line.times.are(stored.created.to_native(), stored.updated.to_native())
        && stored.embedding.len() == embedding.len()
        && stored.embedding.iter().zip(embedding).all(|(stored, number)| stored == number)
}

/// Walks through the source's associations, page by page, and leaves out of `run` those that the
/// server has just so, or, where others are kept, at all.
async fn look_up(
    client: &Client,
    keep: bool,
    run: Vec<(Origin, AssociationLine)>,
) -> Result<LookedUp, ClientError> {
    let mut found = LookedUp { unchanged: 0, kept: 0, missing: Vec::new() };
    let Some((_, first)) = run.first() else { return Ok(found) };
    let other = first.namespace.as_deref().map(|namespace| client.namespace(namespace));
    let client = other.as_ref().unwrap_or(client);
    let of = Neighborhood::of(&first.source).direction(Direction::Out).limit(PAGE);
    let target = |line: &AssociationLine| {
        ConceptId::from_name(&line.target).map(|id| (id.0, line.kind.0)).ok()
    };
    let asked: HashMap<_, usize> =
        run.iter().enumerate().filter_map(|(at, (_, line))| Some((target(line)?, at))).collect();
    let mut confidences = vec![None; run.len()];
    let mut pages = client.neighbor_pages(of);
    while let Some(page) = pages.next().await {
        for edge in page?.neighbors.iter() {
            if let Some(at) = asked.get(&(edge.id, edge.kind.to_native())) {
                confidences[*at] = Some(edge.confidence.to_native());
            }
        }
    }
    let mut same: Vec<bool> = run
        .iter()
        .zip(&confidences)
        .map(|((_, line), confidence)| *confidence == Some(line.confidence))
        .collect();
    if !keep {
        compare_times(client, &run, &mut same).await?;
    }
    for (((origin, line), confidence), same) in run.into_iter().zip(confidences).zip(same) {
        match confidence {
            Some(_) if same => found.unchanged += 1,
            Some(_) if keep => found.kept += 1,
            _ => found.missing.push((origin, line)),
        }
    }
    Ok(found)
}

/// Neighbours come without their times: those that are the same so far, and whose lines say times,
/// are asked for one by one.
async fn compare_times(
    client: &Client,
    run: &[(Origin, AssociationLine)],
    same: &mut [bool],
) -> Result<(), ClientError> {
    let mut timed = Vec::new();
    for ((_, line), same) in run.iter().zip(same) {
        if *same && line.times != Times::default() {
            let (source, target) =
                (ConceptId::from_name(&line.source)?, ConceptId::from_name(&line.target)?);
            timed.push(((source, target, line.kind), line.times, same));
        }
    }
    let mut records =
        client.association_many(timed.iter().map(|(key, ..)| *key).collect::<Vec<_>>());
    for (_, times, same) in timed {
        let record = records.next().await.expect("an answer for each")?;
        *same = record.is_some_and(|record| {
            times.are(record.created.to_native(), record.updated.to_native())
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sutra_wire::{Checked, ConceptRecord, FrameBuffer, Header, Parsed, encode_archive, parse};

    use super::*;

    #[test]
    fn only_an_equal_record_counts_as_stored() {
        let record = ConceptRecord {
            id: [1; 16],
            name: "dog".into(),
            content: "barks".into(),
            embedding: vec![0.5],
            strength: 1.0,
            confidence: 1.0,
            created: 7,
            updated: 9,
            ..ConceptRecord::default()
        };
        let mut out = FrameBuffer::new();
        encode_archive(&mut out, Header::default(), &record);
        let Ok(Parsed::Frame(frame, _)) = parse(&out, u32::MAX) else { panic!("a whole frame") };
        let stored = Checked::<ConceptRecord>::new(frame.payload).expect("valid");
        let line = ConceptLine {
            name: "dog".into(),
            called: None,
            content: "barks".into(),
            embedding: Some(vec![0.5]),
            strength: 1.0,
            confidence: 1.0,
            times: Times { created: 7, updated: 0 },
            namespace: None,
        };
        assert!(is_stored(&line, &stored));
        for other in [
            ConceptLine { content: "meows".into(), ..line.clone() },
            ConceptLine { embedding: Some(vec![0.25]), ..line.clone() },
            ConceptLine { embedding: None, ..line.clone() },
            ConceptLine { confidence: 0.5, ..line.clone() },
            ConceptLine { called: Some("hound".into()), ..line.clone() },
            ConceptLine { times: Times { created: 8, updated: 0 }, ..line.clone() },
            ConceptLine { times: Times { created: 7, updated: 8 }, ..line.clone() },
        ] {
            assert!(!is_stored(&other, &stored), "{other:?}");
        }
        let by_id = ConceptLine { name: "01".repeat(16), ..line };
        assert!(is_stored(&by_id, &stored), "a line without a name leaves it its own");
    }

    #[test]
    fn a_full_disk_is_not_the_lines_fault_and_a_wrong_value_is() {
        let refused = |status| ClientError::Refused { status, message: String::new() };
        assert!(is_the_lines_fault(&refused(Status::InvalidArgument)));
        assert!(!is_the_lines_fault(&refused(Status::StorageFull)));
    }
}
