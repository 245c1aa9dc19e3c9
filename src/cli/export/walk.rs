//! The way through the graph: which concepts are exported, and each of their associations once.

use std::collections::{HashMap, HashSet, VecDeque};

use sutra_client::{Client, ClientError, Neighborhood, View};
use sutra_wire::{AssociationKind, ConceptId, Direction, Neighbors};
use tokio::task::JoinHandle;

use super::destination::Destination;
use super::format::{Edge, End, Format};
use crate::exit::Failure;
use crate::known::{Content, Known, RECORDS, look_up};

/// Concepts that are exported together: first they, then their associations.
const CHUNK: usize = 1024;
/// Concepts whose associations are asked for at a time, each a reply of up to 112 KiB.
const AHEAD: usize = 16;
/// Associations whose other ends are looked up together.
const GATHERED: usize = 4096;

/// What is exported.
pub(super) enum Scope {
    Namespace,
    /// These concepts, the nearest first, and the associations between them.
    Neighbourhood(Vec<ConceptId>, HashSet<ConceptId>),
}

/// The concepts within so many associations of one, the nearest first, at most `most`; also whether
/// there are more.
pub(super) async fn neighbourhood(
    client: &Client,
    middle: ConceptId,
    within: u32,
    most: usize,
) -> Result<(Scope, bool), Failure> {
    let (mut nearest, mut found) = (vec![middle], HashSet::from([middle]));
    let mut cut = false;
    let mut level = 0..1;
    'search: for _ in 0..within {
        for at in level.clone() {
            let mut pages = client.neighbor_pages(nearest[at]);
            while let Some(page) = pages.next().await {
                for id in page?.neighbors.iter().map(|neighbor| ConceptId(neighbor.id)) {
                    if found.contains(&id) {
                        continue;
                    }
                    if nearest.len() == most {
                        cut = true;
                        break 'search;
                    }
                    found.insert(id);
                    nearest.push(id);
                }
            }
        }
        level = level.end..nearest.len();
        if level.is_empty() {
            break;
        }
    }
    Ok((Scope::Neighbourhood(nearest, found), cut))
}

/// An association whose other end has no name yet.
struct Gathered {
    /// Which concept of the chunk it was asked of.
    of: usize,
    peer: ConceptId,
    outgoing: bool,
    kind: AssociationKind,
    confidence: f32,
}

/// An export on its way.
pub(super) struct Walk<'a> {
    client: &'a Client,
    format: &'a dyn Format,
    out: Destination,
    pub(super) concepts: u64,
    pub(super) associations: u64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(client: &'a Client, format: &'a dyn Format, out: Destination) -> Self {
        Self { client, format, out, concepts: 0, associations: 0 }
    }

    /// What was written to.
    pub(super) fn into_out(self) -> Destination {
        self.out
    }

    /// Writes everything.
    pub(super) async fn all(&mut self, scope: &Scope) -> Result<(), Failure> {
        self.format.begin(&mut self.out)?;
        match scope {
            Scope::Neighbourhood(nearest, found) => {
                for chunk in nearest.chunks(CHUNK) {
                    self.chunk(chunk, Some(found)).await?;
                }
            }
            Scope::Namespace => {
                let mut pages = self.client.concept_pages();
                while let Some(page) = pages.next().await {
                    let ids: Vec<ConceptId> = page?.ids.iter().map(|id| ConceptId(*id)).collect();
                    for chunk in ids.chunks(CHUNK) {
                        self.chunk(chunk, None).await?;
                    }
                }
            }
        }
        self.format.end(&mut self.out)?;
        Ok(())
    }

    /// Writes some concepts with their associations. With `among` these are the ones from them to
    /// concepts of that set. Without it they are all from them, and those to them from concepts
    /// that are not learned, which no list has.
    async fn chunk(
        &mut self,
        ids: &[ConceptId],
        among: Option<&HashSet<ConceptId>>,
    ) -> Result<(), Failure> {
        let mut ends = Vec::with_capacity(ids.len());
        let mut records = self.client.query_many(ids.iter().copied()).in_flight(RECORDS);
        for id in ids {
            let Some(record) = records.next().await else { break };
            let record = record?;
            let end = End::new(*id, record.as_ref().map_or("", |record| &record.name));
            // One that was listed and is gone was deleted meanwhile.
            if record.is_some() || among.is_some() {
                self.concepts += 1;
                self.format.concept(&mut self.out, &end, record.as_deref())?;
                ends.push(end);
            }
        }
        let direction = if among.is_some() { Direction::Out } else { Direction::Both };
        let mut asked = VecDeque::new();
        let mut gathered = Vec::new();
        let mut next = 0;
        for at in 0..ends.len() {
            while next < ends.len() && asked.len() < AHEAD {
                asked.push_back(self.ask(Neighborhood::of(ends[next].id).direction(direction)));
                next += 1;
            }
            let mut page = answered(asked.pop_front().expect("asked ahead of its turn")).await?;
            loop {
                gathered.extend(page.neighbors.iter().map(|neighbor| Gathered {
                    of: at,
                    peer: ConceptId(neighbor.id),
                    outgoing: neighbor.direction == Direction::Out as u8,
                    kind: AssociationKind(neighbor.kind.to_native()),
                    confidence: neighbor.confidence.to_native(),
                }));
                gathered.retain(|edge| among.is_none_or(|among| among.contains(&edge.peer)));
                if gathered.len() >= GATHERED {
                    self.write(&ends, std::mem::take(&mut gathered)).await?;
                }
                let cursor = page.cursor.to_native();
                if cursor == 0 {
                    break;
                }
                let rest = Neighborhood::of(ends[at].id).direction(direction).cursor(cursor);
                page = self.client.neighbors(rest).await?;
            }
        }
        self.write(&ends, gathered).await
    }

    /// Asks for neighbours without waiting for them.
    fn ask(&self, of: Neighborhood) -> JoinHandle<Result<View<Neighbors>, ClientError>> {
        let client = self.client.clone();
        tokio::spawn(async move { client.neighbors(of).await })
    }

    /// Writes associations, their other ends by name.
    async fn write(&mut self, ends: &[End], edges: Vec<Gathered>) -> Result<(), Failure> {
        let mut peers: Vec<ConceptId> = edges.iter().map(|edge| edge.peer).collect();
        peers.sort_unstable();
        peers.dedup();
        let peers = look_up(self.client, peers, Content::FirstLine).await?;
        let peers: HashMap<ConceptId, Known> =
            peers.into_iter().map(|known| (known.id, known)).collect();
        for Gathered { of, peer, outgoing, kind, confidence } in edges {
            let known = peers.get(&peer);
            if !outgoing && known.is_some_and(|known| known.learned) {
                continue;
            }
            let (here, there) = (&ends[of], &End::new(peer, known.map_or("", |known| &known.name)));
            let (source, target) = if outgoing { (here, there) } else { (there, here) };
            self.associations += 1;
            self.format.association(&mut self.out, &Edge { source, target, kind, confidence })?;
        }
        Ok(())
    }
}

async fn answered(
    reply: JoinHandle<Result<View<Neighbors>, ClientError>>,
) -> Result<View<Neighbors>, Failure> {
    Ok(reply
        .await
        .map_err(|error| Failure::Host(format!("cannot ask for neighbours: {error}")))??)
}
