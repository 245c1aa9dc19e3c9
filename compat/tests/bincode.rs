//! Held against bincode 1.3.3 itself, over enums as the old servers and clients had them: what it
//! writes is read, and what is written it reads, in both numberings.

use crate::support::{Native, archive, id, native_of, reply};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use sutra_compat::{Dialect, Numbering};
use sutra_wire::{
    AssociationRecord, ConceptId, ConceptKey, ConceptRecord, Counter, ErrorMessage, FrameBuffer,
    Health, IdRule, Neighbor, Neighbors, NeighborsRequest, Path, PathRequest, Paths, SearchHit,
    SearchHits, SearchRequest, Stats, Status,
};

macro_rules! requests {
    (
        $name:ident,
        [$($metadata:ident: $metadata_type:ty)?],
        [$($filter:ident: $filter_type:ty)?],
        [$($extra:ident { $($field:ident: $type:ty),* })?]
    ) => {
        #[derive(Serialize, Clone, Debug)]
        #[allow(dead_code, reason = "a variant that stands only for its number")]
        enum $name {
            LearnConcept {
                concept_id: String,
                content: String,
                embedding: Vec<f32>,
                strength: f32,
                confidence: f32,
                $($metadata: $metadata_type,)?
            },
            LearnAssociation {
                source_id: String,
                target_id: String,
                assoc_type: u32,
                confidence: f32,
            },
            QueryConcept { concept_id: String },
            GetNeighbors { concept_id: String },
            FindPath { start_id: String, end_id: String, max_depth: u32 },
            VectorSearch {
                query_vector: Vec<f32>,
                k: u32,
                ef_search: u32,
                $($filter: $filter_type,)?
            },
            $($extra { $($field: $type),* },)?
            GetStats,
            Flush,
            HealthCheck,
        }
    };
}

requests!(First, [], [], []);
requests!(
    Later,
    [metadata: Option<String>],
    [filter: Option<String>],
    [QueryByMetadata { query: String }]
);

macro_rules! replies {
    ($name:ident, [$($extra:ident { $($field:ident: $type:ty),* })?]) => {
        #[derive(Serialize, Deserialize, Debug, PartialEq)]
        #[allow(dead_code, reason = "a variant that stands only for its number")]
        enum $name {
            LearnConceptOk { sequence: u64 },
            LearnAssociationOk { sequence: u64 },
            QueryConceptOk {
                found: bool,
                concept_id: String,
                content: String,
                strength: f32,
                confidence: f32,
            },
            GetNeighborsOk { neighbor_ids: Vec<String> },
            FindPathOk { found: bool, path: Vec<String> },
            VectorSearchOk { results: Vec<(String, f32)> },
            $($extra { $($field: $type),* },)?
            StatsOk {
                concepts: u64,
                edges: u64,
                written: u64,
                dropped: u64,
                pending: u64,
                reconciliations: u64,
                uptime_seconds: u64,
            },
            FlushOk,
            HealthCheckOk { healthy: bool, status: String, uptime_seconds: u64 },
            Error { message: String },
        }
    };
}

replies!(FirstReply, []);
replies!(LaterReply, [QueryByMetadataOk { concept_ids: Vec<String> }]);

fn dialect(numbering: Numbering) -> Dialect {
    Dialect { numbering, id_rule: IdRule::Md5OrHex }
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zé犬]{1,20}", "[0-9a-f]{31}[1-9a-f]"]
}

/// A request of the first release, the same of a later one, and what both ask for.
fn request() -> impl Strategy<Value = (First, Later, Native)> {
    let learn =
        (name(), ".{0,40}", prop::collection::vec(-1e30_f32..1e30, 0..40), 0_f32..9.0, 0_f32..=1.0)
            .prop_map(|(concept_id, content, embedding, strength, confidence)| {
                let name = if ConceptId::from_digits(&concept_id).is_some() {
                    String::new()
                } else {
                    concept_id.clone()
                };
                let record = ConceptRecord {
                    id: id(&concept_id),
                    name,
                    content: content.clone(),
                    embedding: embedding.clone(),
                    strength,
                    confidence,
                    ..ConceptRecord::default()
                };
                let (one, two, three) = (concept_id.clone(), content.clone(), embedding.clone());
                (
                    First::LearnConcept {
                        concept_id: one,
                        content: two,
                        embedding: three,
                        strength,
                        confidence,
                    },
                    Later::LearnConcept {
                        concept_id,
                        content,
                        embedding,
                        strength,
                        confidence,
                        metadata: None,
                    },
                    Native::Learn(record),
                )
            });
    let associate = (name(), name(), any::<u32>(), 0_f32..=1.0).prop_map(
        |(source, target, kind, confidence)| {
            let record = AssociationRecord {
                source: id(&source),
                target: id(&target),
                kind,
                confidence,
                ..AssociationRecord::default()
            };
            let (source_id, target_id, assoc_type) = (source.clone(), target.clone(), kind);
            (
                First::LearnAssociation { source_id, target_id, assoc_type, confidence },
                Later::LearnAssociation {
                    source_id: source,
                    target_id: target,
                    assoc_type,
                    confidence,
                },
                Native::Associate(record),
            )
        },
    );
    let query = name().prop_map(|concept_id| {
        let key = ConceptKey { id: id(&concept_id), namespace: String::new() };
        (
            First::QueryConcept { concept_id: concept_id.clone() },
            Later::QueryConcept { concept_id },
            Native::Query(key),
        )
    });
    let neighbors = name().prop_map(|concept_id| {
        let request = NeighborsRequest { id: id(&concept_id), ..NeighborsRequest::default() };
        let first = First::GetNeighbors { concept_id: concept_id.clone() };
        (first, Later::GetNeighbors { concept_id }, Native::Neighbors(request))
    });
    let path = (name(), name(), any::<u32>()).prop_map(|(start_id, end_id, max_depth)| {
        let request = PathRequest {
            start: id(&start_id),
            end: id(&end_id),
            max_depth,
            alternatives: 1,
            ..PathRequest::default()
        };
        let first =
            First::FindPath { start_id: start_id.clone(), end_id: end_id.clone(), max_depth };
        (first, Later::FindPath { start_id, end_id, max_depth }, Native::Path(request))
    });
    let search = (prop::collection::vec(-9_f32..9.0, 1..40), 0_u32..=1000, 0_u32..=10_000)
        .prop_map(|(query_vector, k, ef_search)| {
            let vector = query_vector.clone();
            let request =
                SearchRequest { vector: vector.clone(), k, ef_search, ..SearchRequest::default() };
            let first = First::VectorSearch { query_vector: vector, k, ef_search };
            (
                first,
                Later::VectorSearch { query_vector, k, ef_search, filter: None },
                Native::Search(request),
            )
        });
    prop_oneof![
        learn,
        associate,
        query,
        neighbors,
        path,
        search,
        Just((First::GetStats, Later::GetStats, Native::Stats)),
        Just((First::Flush, Later::Flush, Native::Flush)),
        Just((First::HealthCheck, Later::HealthCheck, Native::Health)),
    ]
}

/// What replies are made of: archives of native ones.
struct Archives {
    record: FrameBuffer,
    neighbors: FrameBuffer,
    paths: FrameBuffer,
    stats: FrameBuffer,
}

impl Archives {
    fn of(ids: &[[u8; 16]], content: &str, number: u64, float: f32) -> Self {
        let neighbors = ids.iter().map(|id| Neighbor { id: *id, ..Neighbor::default() }).collect();
        let path = Path { concepts: ids.to_vec(), edges: Vec::new() };
        Self {
            record: archive(&ConceptRecord {
                id: first(ids),
                content: content.to_owned(),
                strength: float,
                confidence: float,
                ..ConceptRecord::default()
            }),
            neighbors: archive(&Neighbors { neighbors, cursor: 0 }),
            paths: archive(&Paths { paths: vec![path] }),
            stats: archive(&Stats {
                concepts: number,
                associations: 4,
                written: 5,
                pending: 6,
                uptime: number,
                counters: vec![Counter { name: "commits".into(), value: 7 }],
                ..Stats::default()
            }),
        }
    }
}

fn first(ids: &[[u8; 16]]) -> [u8; 16] {
    ids.first().copied().unwrap_or([7; 16])
}

fn digits(ids: &[[u8; 16]]) -> Vec<String> {
    ids.iter().map(|id| ConceptId(*id).to_string()).collect()
}

proptest! {
    #[test]
    fn what_bincode_writes_is_read_in_the_numbering_that_it_was_written_in(
        (first, later, expected) in request(),
    ) {
        let first = bincode::serialize(&first).unwrap();
        let (read, _) = native_of(&first, dialect(Numbering::First)).unwrap();
        prop_assert_eq!(&read, &expected);
        let later = bincode::serialize(&later).unwrap();
        let (read, _) = native_of(&later, dialect(Numbering::Later)).unwrap();
        prop_assert_eq!(&read, &expected);
    }

    #[test]
    fn every_reply_reads_as_the_old_enum(
        ids in prop::collection::vec(any::<[u8; 16]>(), 0..40),
        text in ".{0,40}",
        number in any::<u64>(),
        float in 0_f32..=1.0,
    ) {
        let digits = digits(&ids);
        let mut sorted = digits.clone();
        sorted.sort_unstable();
        sorted.dedup();
        let Archives { record, neighbors, paths, stats } = Archives::of(&ids, &text, number, float);
        let error = archive(&ErrorMessage { message: text.clone() });
        let health = archive(&Health { healthy: false, status: text.clone(), uptime: number });
        let uptime_seconds = number / 1_000_000;
        let id = || "a".to_owned();
        macro_rules! hold {
            ($numbering:ident, $request:ident, $reply:ident) => {{
                let query = $request::QueryConcept { concept_id: id() };
                let cases = [
                    (query.clone(), Status::Ok, &record, $reply::QueryConceptOk {
                        found: true, concept_id: ConceptId(first(&ids)).to_string(),
                        content: text.clone(), strength: float, confidence: float,
                    }),
                    (query.clone(), Status::NotFound, &record, $reply::QueryConceptOk {
                        found: false, concept_id: String::new(),
                        content: String::new(), strength: 0.0, confidence: 0.0,
                    }),
                    (query, Status::Busy, &error, $reply::Error { message: text.clone() }),
                    (
                        $request::GetNeighbors { concept_id: id() }, Status::Ok, &neighbors,
                        $reply::GetNeighborsOk { neighbor_ids: sorted.clone() },
                    ),
                    (
                        $request::FindPath { start_id: id(), end_id: id(), max_depth: 6 },
                        Status::Ok, &paths,
                        $reply::FindPathOk { found: true, path: digits.clone() },
                    ),
                    ($request::GetStats, Status::Ok, &stats, $reply::StatsOk {
                        concepts: number, edges: 4, written: 5, dropped: 0, pending: 6,
                        reconciliations: 7, uptime_seconds,
                    }),
                    ($request::Flush, Status::Ok, &stats, $reply::FlushOk),
                    ($request::HealthCheck, Status::Ok, &health, $reply::HealthCheckOk {
                        healthy: false, status: text.clone(), uptime_seconds,
                    }),
                    (
                        $request::LearnAssociation {
                            source_id: id(), target_id: id(), assoc_type: 0, confidence: 1.0,
                        },
                        Status::Ok, &stats, $reply::LearnAssociationOk { sequence: number },
                    ),
                ];
                for (request, status, payload, expected) in cases {
                    let request = bincode::serialize(&request).unwrap();
                    let manner = native_of(&request, dialect(Numbering::$numbering)).unwrap().1;
                    let made = reply(manner, status, number, payload);
                    prop_assert_eq!(&bincode::deserialize::<$reply>(&made).unwrap(), &expected);
                    prop_assert_eq!(made, bincode::serialize(&expected).unwrap());
                }
            }};
        }
        hold!(First, First, FirstReply);
        hold!(Later, Later, LaterReply);
    }

    #[test]
    fn what_a_search_found_reads_as_rows(
        ids in prop::collection::vec(any::<[u8; 16]>(), 0..40),
        number in any::<u64>(),
        similarity in 0_f32..=1.0,
    ) {
        let request = First::VectorSearch { query_vector: vec![1.0], k: 9, ef_search: 9 };
        let request = bincode::serialize(&request).unwrap();
        let manner = native_of(&request, dialect(Numbering::First)).unwrap().1;
        let hits = ids.iter().map(|id| SearchHit { id: *id, similarity }).collect();
        let made = reply(manner, Status::Ok, number, &archive(&SearchHits { hits }));
        let results = digits(&ids).into_iter().map(|id| (id, similarity)).collect();
        let expected = FirstReply::VectorSearchOk { results };
        prop_assert_eq!(made, bincode::serialize(&expected).unwrap());
    }
}
