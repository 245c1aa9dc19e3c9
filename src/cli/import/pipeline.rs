//! Requests of an import on their way: many at a time, bounded by number and by bytes, each with the line that it came from.

use std::collections::HashMap;

use sutra_client::{Association, Client, ClientError, Concept, Neighborhood};
use sutra_wire::{ArchivedConceptRecord, ConceptId, Direction, Status};
use tokio::task::JoinSet;

use super::lines::{AssociationLine, ConceptLine};

/// Requests under way at a time: enough to fill the group commits of many cores.
const MAX_REQUESTS: usize = 2_048;
/// Bytes of records under way at a time.
const MAX_BYTES: usize = 64 << 20;

/// Which line of which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) source: usize,
    pub(super) line: u64,
}

/// What became of one or several lines.
pub(super) enum Settled {
    /// It was written.
    Written,
    /// The server had it already, just so.
    Unchanged,
    /// The server or the client refused it, and would again.
    Bad(Place, String),
}

/// The requests under way.
pub(super) struct Pipeline {
    client: Client,
    /// Whether the server may have the records already: then it is asked before anything is written.
    check: bool,
    tasks: JoinSet<Done>,
    bytes: usize,
}

struct Done {
    bytes: usize,
    outcome: Result<Outcome, (Place, ClientError)>,
}

enum Outcome {
    Settled(Settled),
    /// Of a run of associations from one source: how many the server has, and those that it has not.
    Missing(u64, Vec<(Place, AssociationLine)>),
}

impl Pipeline {
    pub(super) fn new(client: Client, check: bool) -> Self {
        Self { client, check, tasks: JoinSet::new(), bytes: 0 }
    }

    /// Starts to write a concept.
    pub(super) fn concept(&mut self, place: Place, line: ConceptLine) {
        let bytes = line.content.len() + line.embedding.as_ref().map_or(0, |embedding| embedding.len() * 4) + 256;
        let (client, check) = (self.client.clone(), self.check);
        self.spawn(bytes, async move {
            let outcome = write_concept(&client, check, line).await;
            outcome.map(Outcome::Settled).map_err(|error| (place, error))
        });
    }

    /// Starts to write associations that have the same source and namespace.
    pub(super) fn associations(&mut self, run: Vec<(Place, AssociationLine)>) {
        if !self.check {
            run.into_iter().for_each(|(place, line)| self.association(place, line));
            return;
        }
        let Some((place, _)) = run.first() else { return };
        let (place, client) = (*place, self.client.clone());
        self.spawn(run.len() * 256, async move { without_known(&client, run).await.map_err(|error| (place, error)) });
    }

    fn association(&mut self, place: Place, line: AssociationLine) {
        let client = self.client.clone();
        self.spawn(256, async move {
            let mut association =
                Association::between(&line.source, &line.target).kind(line.kind).confidence(line.confidence);
            if let Some(namespace) = line.namespace {
                association = association.namespace(namespace);
            }
            let written = client.associate(association).await;
            written.map(|_| Outcome::Settled(Settled::Written)).map_err(|error| (place, error))
        });
    }

    fn spawn(
        &mut self,
        bytes: usize,
        task: impl Future<Output = Result<Outcome, (Place, ClientError)>> + Send + 'static,
    ) {
        self.bytes += bytes;
        self.tasks.spawn(async move { Done { bytes, outcome: task.await } });
    }

    /// Whether another request should wait.
    pub(super) fn is_full(&self) -> bool {
        self.tasks.len() >= MAX_REQUESTS || self.bytes >= MAX_BYTES
    }

    /// Waits for the next request to end and adds what became of its lines to `settled`; `false` when none is under way. An error that is
    /// not its line's fault ends the import.
    pub(super) async fn settle(&mut self, settled: &mut Vec<Settled>) -> Result<bool, ClientError> {
        let Some(done) = self.tasks.join_next().await else { return Ok(false) };
        let done = done.expect("tasks of an import neither panic nor are aborted while it waits");
        self.bytes -= done.bytes;
        match done.outcome {
            Ok(Outcome::Settled(outcome)) => settled.push(outcome),
            Ok(Outcome::Missing(known, missing)) => {
                (0..known).for_each(|_| settled.push(Settled::Unchanged));
                missing.into_iter().for_each(|(place, line)| self.association(place, line));
            }
            Err((place, error)) if is_the_lines_fault(&error) => settled.push(Settled::Bad(place, error.to_string())),
            Err((_, error)) => return Err(error),
        }
        Ok(true)
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

async fn write_concept(client: &Client, check: bool, line: ConceptLine) -> Result<Settled, ClientError> {
    let other = line.namespace.as_deref().map(|namespace| client.namespace(namespace));
    let client = other.as_ref().unwrap_or(client);
    if check
        && let Some(stored) = client.query(&line.name).await?
        && is_stored(&line, &stored)
    {
        return Ok(Settled::Unchanged);
    }
    let concept = Concept::new(line.name)
        .content(line.content)
        .embedding(line.embedding.unwrap_or_default())
        .strength(line.strength)
        .confidence(line.confidence);
    client.learn(concept).await?;
    Ok(Settled::Written)
}

/// Whether the stored record is what this line would make it.
fn is_stored(line: &ConceptLine, stored: &ArchivedConceptRecord) -> bool {
    let embedding = line.embedding.as_deref().unwrap_or_default();
    stored.name == line.name
        && stored.content == line.content
        && stored.strength == line.strength
        && stored.confidence == line.confidence
        && stored.embedding.len() == embedding.len()
        && stored.embedding.iter().zip(embedding).all(|(stored, number)| stored == number)
}

/// Asks for the source's associations and leaves out those that the server has just so.
async fn without_known(client: &Client, run: Vec<(Place, AssociationLine)>) -> Result<Outcome, ClientError> {
    let Some((_, first)) = run.first() else { return Ok(Outcome::Missing(0, run)) };
    let mut of = Neighborhood::of(&first.source).direction(Direction::Out);
    if let Some(namespace) = &first.namespace {
        of = of.namespace(namespace);
    }
    let mut known = HashMap::new();
    let mut pages = client.neighbor_pages(of);
    while let Some(page) = pages.next().await {
        let page = page?;
        known.extend(page.neighbors.iter().map(|edge| ((edge.id, edge.kind.to_native()), edge.confidence.to_native())));
    }
    let lines = run.len();
    let missing: Vec<_> = run
        .into_iter()
        .filter(|(_, line)| {
            let target = ConceptId::from_name(&line.target).map(|id| id.0);
            target.map_or(true, |target| known.get(&(target, line.kind.0)) != Some(&line.confidence))
        })
        .collect();
    Ok(Outcome::Missing((lines - missing.len()) as u64, missing))
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
            ..ConceptRecord::default()
        };
        let mut out = FrameBuffer::new();
        encode_archive(&mut out, Header::default(), &record);
        let Ok(Parsed::Frame(frame, _)) = parse(&out, u32::MAX) else { panic!("a whole frame") };
        let stored = Checked::<ConceptRecord>::new(frame.payload).expect("valid");
        let line = ConceptLine {
            name: "dog".into(),
            content: "barks".into(),
            embedding: Some(vec![0.5]),
            strength: 1.0,
            confidence: 1.0,
            namespace: None,
        };
        assert!(is_stored(&line, &stored));
        for other in [
            ConceptLine { content: "meows".into(), ..line.clone() },
            ConceptLine { embedding: Some(vec![0.25]), ..line.clone() },
            ConceptLine { embedding: None, ..line.clone() },
            ConceptLine { confidence: 0.5, ..line.clone() },
        ] {
            assert!(!is_stored(&other, &stored), "{other:?}");
        }
    }

    #[test]
    fn a_full_disk_is_not_the_lines_fault_and_a_wrong_value_is() {
        let refused = |status| ClientError::Refused { status, message: String::new() };
        assert!(is_the_lines_fault(&refused(Status::InvalidArgument)));
        assert!(!is_the_lines_fault(&refused(Status::StorageFull)));
    }
}
