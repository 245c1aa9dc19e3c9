//! What clients ask for: drawn by number, and worded as frames.

use std::fmt;

use sutra_wire::{
    AssociationKey, AssociationRecord, CHECKSUM, ConceptKey, ConceptRecord, ConceptsRequest,
    Direction, FrameBuffer, Header, Near, NeighborsRequest, Opcode, PathMode, PathRequest,
    SearchRequest, encode_archive, encode_empty,
};

use crate::plan::Plan;
use crate::random::{Random, Stream};

/// Kinds of associations that there are here.
pub(crate) const KINDS: u32 = 3;
/// Concepts of a crowd that are asked for often.
const FEW: u64 = 30;

/// A concept, by the places of its namespace and its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Concept {
    pub(crate) space: usize,
    pub(crate) id: usize,
}

impl fmt::Display for Concept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.id)?;
        if self.space > 0 { write!(f, "@{}", self.space) } else { Ok(()) }
    }
}

/// An association, likewise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    pub(crate) space: usize,
    pub(crate) source: usize,
    pub(crate) target: usize,
    pub(crate) kind: u32,
}

impl Edge {
    /// Whether it is one of this concept's.
    pub(crate) fn touches(&self, concept: Concept) -> bool {
        self.space == concept.space && (self.source == concept.id || self.target == concept.id)
    }

    fn key(&self, plan: &Plan, any_kind: bool) -> AssociationKey {
        AssociationKey {
            source: plan.ids[self.source],
            target: plan.ids[self.target],
            namespace: plan.spaces[self.space].name.clone(),
            kind: (!any_kind).then_some(self.kind),
        }
    }
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Edge { space, source, target, kind } = self;
        write!(f, "c{source} -{kind}-> c{target}")?;
        if *space > 0 { write!(f, " @{space}") } else { Ok(()) }
    }
}

/// Which associations of a concept are meant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) concept: Concept,
    pub(crate) direction: Direction,
    /// All where there is none.
    pub(crate) kinds: Vec<u32>,
    pub(crate) minimum_confidence: f32,
    /// Of a page.
    pub(crate) limit: u32,
}

/// How two concepts are connected.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Way {
    pub(crate) space: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) direction: Direction,
    pub(crate) max_depth: u32,
    pub(crate) alternatives: u32,
    pub(crate) mode: PathMode,
}

/// Concepts like a vector.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Likeness {
    pub(crate) space: usize,
    pub(crate) vector: Vec<f32>,
    pub(crate) k: u32,
    pub(crate) exact: bool,
    /// Only those so near to this concept.
    pub(crate) near: Option<(usize, u32)>,
}

impl Likeness {
    fn request(&self, plan: &Plan) -> SearchRequest {
        SearchRequest {
            namespace: plan.spaces[self.space].name.clone(),
            vector: self.vector.clone(),
            k: self.k,
            ef_search: 0,
            minimum_strength: 0.0,
            minimum_confidence: 0.0,
            near: self.near.map(|(id, edges)| Near { id: plan.ids[id], edges }),
            exact: self.exact,
        }
    }
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operation {
    Learn(Concept, Box<ConceptRecord>),
    Associate(Edge, Box<AssociationRecord>),
    Delete {
        concept: Concept,
        is_counted: bool,
    },
    /// Removes one association.
    Dissociate(Edge),
    Query(Concept),
    /// Of this kind, or of the lowest.
    Association {
        edge: Edge,
        any_kind: bool,
    },
    Neighbors(Wanted),
    Concepts {
        space: usize,
        limit: u32,
    },
    Path(Way),
    Search(Likeness),
    Stats,
    Flush,
    Health,
    /// Where all logs end, for a backup.
    Cut,
}

impl Operation {
    /// The operation of this number.
    pub(crate) fn draw(plan: &Plan, seed: u64, number: u64) -> Operation {
        let random = &mut Random::of(seed, Stream::Operation, number);
        if number < plan.crowd {
            let of = Concept { space: 0, id: number as usize };
            let embedding = vector(plan.spaces[0].dimension, random);
            return Self::learn(plan, random, number, of, embedding);
        }
        if random.below(10) < plan.writes {
            return Self::draw_write(plan, random, number);
        }
        match random.below(20) {
            0..6 => Operation::Query(concept(plan, random)),
            6..8 => Operation::Association { edge: edge(plan, random), any_kind: random.one_in(2) },
            8..11 => Operation::Neighbors(Wanted {
                concept: concept(plan, random),
                direction: direction(random),
                kinds: if random.one_in(3) {
                    vec![random.below(u64::from(KINDS)) as u32]
                } else {
                    vec![]
                },
                minimum_confidence: if random.one_in(4) { 0.5 } else { 0.0 },
                limit: *random.pick(&[0, 1, 2, 7]),
            }),
            11..13 => {
                let limit = random.below(6) as u32;
                let limit = if plan.crowd > 0 { 1_000 * limit } else { limit };
                Operation::Concepts { space: space(plan, random), limit }
            }
            13..15 => Self::draw_path(plan, random),
            15..17 => Operation::Search(Self::draw_likeness(plan, random)),
            17 if random.one_in(2) => Operation::Cut,
            17 => Operation::Stats,
            18 => Operation::Flush,
            _ => Operation::Health,
        }
    }

    fn draw_write(plan: &Plan, random: &mut Random, number: u64) -> Operation {
        match random.below(20) {
            0..10 => {
                let of = concept(plan, random);
                let dimension = plan.spaces[of.space].dimension;
                let embedding = if random.one_in(2) { vector(dimension, random) } else { vec![] };
                Self::learn(plan, random, number, of, embedding)
            }
            10..17 => {
                let of = edge(plan, random);
                let times = if random.one_in(4) { 0 } else { number + 1 };
                let record = AssociationRecord {
                    source: plan.ids[of.source],
                    target: plan.ids[of.target],
                    namespace: plan.spaces[of.space].name.clone(),
                    kind: of.kind,
                    confidence: mark(number),
                    created: times,
                    updated: times,
                };
                Operation::Associate(of, Box::new(record))
            }
            17 => Operation::Dissociate(edge(plan, random)),
            _ => Operation::Delete { concept: concept(plan, random), is_counted: random.one_in(2) },
        }
    }

    fn learn(
        plan: &Plan,
        random: &mut Random,
        number: u64,
        of: Concept,
        embedding: Vec<f32>,
    ) -> Operation {
        let length = random.magnitude(1, plan.content) as usize;
        let times = if random.one_in(4) { 0 } else { number + 1 };
        let record = ConceptRecord {
            id: plan.ids[of.id],
            namespace: plan.spaces[of.space].name.clone(),
            name: Plan::name(of.id),
            content: format!("{number} {}", "x".repeat(length)),
            embedding,
            strength: random.below(8) as f32 / 4.0,
            confidence: random.below(5) as f32 / 4.0,
            created: times,
            updated: times,
        };
        Operation::Learn(of, Box::new(record))
    }

    pub(crate) fn draw_path(plan: &Plan, random: &mut Random) -> Operation {
        let mode = *random.pick(&[PathMode::Shortest, PathMode::Shortest, PathMode::MostConfident]);
        let from = concept(plan, random);
        Operation::Path(Way {
            space: from.space,
            start: from.id,
            end: id(plan, random),
            direction: direction(random),
            max_depth: random.between(1, 6) as u32,
            alternatives: if mode == PathMode::Shortest { random.between(1, 3) as u32 } else { 1 },
            mode,
        })
    }

    pub(crate) fn draw_likeness(plan: &Plan, random: &mut Random) -> Likeness {
        let of = concept(plan, random);
        Likeness {
            space: of.space,
            vector: vector(plan.spaces[of.space].dimension, random),
            k: random.between(1, 12) as u32,
            exact: random.one_in(2),
            near: random.one_in(4).then(|| (of.id, random.between(0, 2) as u32)),
        }
    }

    /// What it asks for, as the wire names it.
    pub(crate) fn opcode(&self) -> Opcode {
        match self {
            Operation::Learn(..) => Opcode::Learn,
            Operation::Associate(..) => Opcode::Associate,
            Operation::Delete { is_counted: false, .. } => Opcode::Delete,
            Operation::Delete { is_counted: true, .. } => Opcode::DeleteCounted,
            Operation::Dissociate(_) => Opcode::Dissociate,
            Operation::Query(_) => Opcode::Query,
            Operation::Association { .. } => Opcode::Association,
            Operation::Neighbors(_) => Opcode::Neighbors,
            Operation::Concepts { .. } => Opcode::Concepts,
            Operation::Path(_) => Opcode::Path,
            Operation::Search(_) => Opcode::Search,
            Operation::Stats => Opcode::Stats,
            Operation::Flush => Opcode::Flush,
            Operation::Health => Opcode::Health,
            Operation::Cut => Opcode::BackupCut,
        }
    }

    /// Its frame; of a page, the one from this cursor on.
    pub(crate) fn frame(&self, plan: &Plan, request: u64, cursor: u64) -> FrameBuffer {
        let mut out = FrameBuffer::new();
        let flags = if request.is_multiple_of(3) { CHECKSUM } else { 0 };
        let header = Header { opcode: self.opcode() as u8, request, flags, ..Header::default() };
        let name = |space: usize| plan.spaces[space].name.clone();
        match self {
            Operation::Learn(_, record) => encode_archive(&mut out, header, &**record),
            Operation::Associate(_, record) => encode_archive(&mut out, header, &**record),
            Operation::Search(likeness) => {
                encode_archive(&mut out, header, &likeness.request(plan));
            }
            Operation::Delete { concept, .. } | Operation::Query(concept) => {
                let key = ConceptKey { id: plan.ids[concept.id], namespace: name(concept.space) };
                encode_archive(&mut out, header, &key);
            }
            Operation::Association { edge, any_kind } => {
                encode_archive(&mut out, header, &edge.key(plan, *any_kind));
            }
            Operation::Dissociate(edge) => {
                encode_archive(&mut out, header, &edge.key(plan, false));
            }
            Operation::Neighbors(wanted) => {
                let request = NeighborsRequest {
                    id: plan.ids[wanted.concept.id],
                    namespace: name(wanted.concept.space),
                    kinds: wanted.kinds.clone(),
                    minimum_confidence: wanted.minimum_confidence,
                    limit: wanted.limit,
                    cursor,
                    direction: wanted.direction as u8,
                };
                encode_archive(&mut out, header, &request);
            }
            Operation::Concepts { space, limit } => {
                let request = ConceptsRequest { namespace: name(*space), limit: *limit, cursor };
                encode_archive(&mut out, header, &request);
            }
            Operation::Path(way) => {
                let request = PathRequest {
                    start: plan.ids[way.start],
                    end: plan.ids[way.end],
                    namespace: name(way.space),
                    kinds: vec![],
                    max_depth: way.max_depth,
                    alternatives: way.alternatives,
                    max_visited: 0,
                    direction: way.direction as u8,
                    mode: way.mode as u8,
                };
                encode_archive(&mut out, header, &request);
            }
            Operation::Stats | Operation::Flush | Operation::Health | Operation::Cut => {
                encode_empty(&mut out, header);
            }
        }
        out
    }
}

/// A confidence that tells which operation wrote it: exact in 24 bits.
fn mark(number: u64) -> f32 {
    ((number + 1) & 0xf_ffff) as f32 / f32::from(1u16 << 10) / f32::from(1u16 << 10)
}

fn space(plan: &Plan, random: &mut Random) -> usize {
    random.below(plan.spaces.len() as u64) as usize
}

/// Of a crowd some few are asked for often.
fn id(plan: &Plan, random: &mut Random) -> usize {
    let is_of_few = plan.crowd > 0 && random.one_in(2);
    random.below(if is_of_few { FEW } else { plan.ids.len() as u64 }) as usize
}

fn concept(plan: &Plan, random: &mut Random) -> Concept {
    Concept { space: space(plan, random), id: id(plan, random) }
}

fn edge(plan: &Plan, random: &mut Random) -> Edge {
    let Concept { space, id: source } = concept(plan, random);
    let target = id(plan, random);
    Edge { space, source, target, kind: random.below(u64::from(KINDS)) as u32 }
}

fn direction(random: &mut Random) -> Direction {
    *random.pick(&[Direction::Both, Direction::Out, Direction::In])
}

/// One of few directions, so that some are equal; never zero.
fn vector(dimension: usize, random: &mut Random) -> Vec<f32> {
    let mut vector: Vec<f32> = (0..dimension).map(|_| random.below(7) as f32 - 3.0).collect();
    if vector.iter().all(|number| *number == 0.0) {
        vector[0] = 1.0;
    }
    vector
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operation::Learn(concept, record) => {
                write!(f, "learn {concept}, {} bytes", record.content.len())?;
                match record.embedding.is_empty() {
                    true => Ok(()),
                    false => write!(f, ", embedding {:?}", record.embedding),
                }
            }
            Operation::Associate(edge, record) => {
                write!(f, "associate {edge}, confidence {}", record.confidence)
            }
            Operation::Delete { concept, is_counted: false } => write!(f, "delete {concept}"),
            Operation::Delete { concept, .. } => write!(f, "delete {concept} and count"),
            Operation::Dissociate(edge) => write!(f, "dissociate {edge}"),
            Operation::Query(concept) => write!(f, "query {concept}"),
            Operation::Association { edge, any_kind: false } => write!(f, "association {edge}"),
            Operation::Association { edge, .. } => write!(f, "association {edge}, of any kind"),
            Operation::Neighbors(wanted) => write!(
                f,
                "neighbors {} {:?}, kinds {:?}, from {} on, {} a page",
                wanted.concept,
                wanted.direction,
                wanted.kinds,
                wanted.minimum_confidence,
                wanted.limit
            ),
            Operation::Concepts { space, limit } => {
                write!(f, "concepts of namespace {space}, {limit} a page")
            }
            Operation::Path(way) => write!(
                f,
                "path c{} to c{} @{} {:?} {:?}, at most {}, {} of them",
                way.start,
                way.end,
                way.space,
                way.direction,
                way.mode,
                way.max_depth,
                way.alternatives
            ),
            Operation::Search(likeness) => write!(
                f,
                "search @{} {:?}, k {}, near {:?}{}",
                likeness.space,
                likeness.vector,
                likeness.k,
                likeness.near,
                if likeness.exact { ", exact" } else { "" }
            ),
            Operation::Stats => f.write_str("stats"),
            Operation::Flush => f.write_str("flush"),
            Operation::Health => f.write_str("health"),
            Operation::Cut => f.write_str("backup cut"),
        }
    }
}
