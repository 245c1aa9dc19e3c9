//! The way through the graph: which concepts are exported, and each of their associations once.

use std::collections::{HashMap, HashSet, VecDeque};

use sutra_client::{Client, ClientError, Neighborhood, View};
use sutra_wire::{AssociationKind, ConceptId, Concepts, Direction, Neighbors};
use tokio::task::JoinHandle;

use super::format::{Edge, End, Format};
use crate::exit::Failure;
use crate::known::{Content, RECORDS, look_up};

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
    target: ConceptId,
    kind: AssociationKind,
    confidence: f32,
}

/// An export on its way.
pub(super) struct Walk<'a> {
    client: &'a Client,
    format: &'a mut dyn Format,
    pub(super) concepts: u64,
    pub(super) associations: u64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(client: &'a Client, format: &'a mut dyn Format) -> Self {
        Self { client, format, concepts: 0, associations: 0 }
    }

    /// Writes everything.
    pub(super) async fn all(&mut self, scope: &Scope) -> Result<(), Failure> {
        match scope {
            Scope::Neighbourhood(nearest, found) => {
                for chunk in nearest.chunks(CHUNK) {
                    let ends = self.concepts(chunk, true).await?;
                    self.associations(&ends, Some(found)).await?;
                }
            }
            Scope::Namespace => {
                let mut pages = self.client.concept_pages();
                while let Some(page) = pages.next().await {
                    for chunk in ids(&page?).chunks(CHUNK) {
                        let ends = self.concepts(chunk, false).await?;
                        self.associations(&ends, None).await?;
                    }
                }
                let mut pages = self.client.unlearned_source_pages();
                while let Some(page) = pages.next().await {
                    for chunk in ids(&page?).chunks(CHUNK) {
                        let ends: Vec<End> = chunk.iter().map(|id| End::new(*id, "")).collect();
                        self.associations(&ends, None).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes some concepts. With `also_unlearned` those that are not learned as well; else they
    /// were listed and deleted meanwhile.
    async fn concepts(
        &mut self,
        ids: &[ConceptId],
        also_unlearned: bool,
    ) -> Result<Vec<End>, Failure> {
        let mut ends = Vec::with_capacity(ids.len());
        let mut records = self.client.query_many(ids.iter().copied()).in_flight(RECORDS);
        for id in ids {
            let Some(record) = records.next().await else { break };
            let record = record?;
            let end = End::new(*id, record.as_ref().map_or("", |record| &record.name));
            if record.is_some() || also_unlearned {
                self.concepts += 1;
                self.format.concept(&end, record.as_deref())?;
                ends.push(end);
            }
        }
        Ok(ends)
    }

    /// Writes the associations that start from some concepts. With `among` those to concepts of
    /// that set.
    async fn associations(
        &mut self,
        ends: &[End],
        among: Option<&HashSet<ConceptId>>,
    ) -> Result<(), Failure> {
        let mut asked = VecDeque::new();
        let mut gathered = Vec::new();
        let mut next = 0;
        for at in 0..ends.len() {
            while next < ends.len() && asked.len() < AHEAD {
                asked.push_back(self.ask(outgoing(&ends[next])));
                next += 1;
            }
            let mut page = answered(asked.pop_front().expect("asked ahead of its turn")).await?;
            loop {
                gathered.extend(page.neighbors.iter().map(|neighbor| Gathered {
                    of: at,
                    target: ConceptId(neighbor.id),
                    kind: AssociationKind(neighbor.kind.to_native()),
                    confidence: neighbor.confidence.to_native(),
                }));
                gathered.retain(|edge| among.is_none_or(|among| among.contains(&edge.target)));
                if gathered.len() >= GATHERED {
                    self.write(ends, std::mem::take(&mut gathered)).await?;
                }
                let cursor = page.cursor.to_native();
                if cursor == 0 {
                    break;
                }
                page = self.client.neighbors(outgoing(&ends[at]).cursor(cursor)).await?;
            }
        }
        self.write(ends, gathered).await
    }

    /// Asks for neighbours without waiting for them.
    fn ask(&self, of: Neighborhood) -> JoinHandle<Result<View<Neighbors>, ClientError>> {
        let client = self.client.clone();
        tokio::spawn(async move { client.neighbors(of).await })
    }

    /// Writes associations, their other ends by name.
    async fn write(&mut self, ends: &[End], edges: Vec<Gathered>) -> Result<(), Failure> {
        let mut targets: Vec<ConceptId> = edges.iter().map(|edge| edge.target).collect();
        targets.sort_unstable();
        targets.dedup();
        let targets = look_up(self.client, targets, Content::FirstLine).await?;
        let targets: HashMap<ConceptId, End> =
            targets.into_iter().map(|known| (known.id, End::new(known.id, &known.name))).collect();
        let keys: Vec<_> =
            edges.iter().map(|edge| (ends[edge.of].id, edge.target, edge.kind)).collect();
        let mut records = self.format.wants_times().then(|| self.client.association_many(keys));
        for Gathered { of, target, kind, confidence } in edges {
            let (source, target) = (&ends[of], &targets[&target]);
            let mut edge = Edge { source, target, kind, confidence, created: 0, updated: 0 };
            if let Some(records) = &mut records {
                let record = records.next().await.expect("an answer for each")?;
                // One that was listed and is gone was removed meanwhile.
                let Some(record) = record else { continue };
                edge.confidence = record.confidence.to_native();
                (edge.created, edge.updated) =
                    (record.created.to_native(), record.updated.to_native());
            }
            self.associations += 1;
            self.format.association(&edge)?;
        }
        Ok(())
    }
}

fn ids(page: &View<Concepts>) -> Vec<ConceptId> {
    page.ids.iter().map(|id| ConceptId(*id)).collect()
}

fn outgoing(of: &End) -> Neighborhood {
    Neighborhood::of(of.id).direction(Direction::Out)
}

async fn answered(
    reply: JoinHandle<Result<View<Neighbors>, ClientError>>,
) -> Result<View<Neighbors>, Failure> {
    Ok(reply
        .await
        .map_err(|error| Failure::Host(format!("cannot ask for neighbours: {error}")))??)
}
