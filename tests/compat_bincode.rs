//! A Rust client of the old protocol, with the enums that such clients have and bincode's own
//! serializer, against the real server.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use crate::support::legacy::Legacy;
use crate::support::{Server, wordnet};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sutra_wire::{AssociationKind, ConceptId};

/// Requests of the first release, in the order of its enum.
#[derive(Clone, Serialize)]
#[allow(dead_code, reason = "a variant that stands only for its number")]
enum Request {
    LearnConcept {
        concept_id: String,
        content: String,
        embedding: Vec<f32>,
        strength: f32,
        confidence: f32,
    },
    LearnAssociation {
        source_id: String,
        target_id: String,
        assoc_type: u32,
        confidence: f32,
    },
    QueryConcept {
        concept_id: String,
    },
    GetNeighbors {
        concept_id: String,
    },
    FindPath {
        start_id: String,
        end_id: String,
        max_depth: u32,
    },
    VectorSearch {
        query_vector: Vec<f32>,
        k: u32,
        ef_search: u32,
    },
    GetStats,
}

/// The replies of the old protocol.
#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "a field or variant that stands only for its place")]
#[allow(clippy::enum_variant_names, reason = "the protocol's own names")]
enum Reply {
    LearnConceptOk {
        sequence: u64,
    },
    LearnAssociationOk {
        sequence: u64,
    },
    QueryConceptOk {
        found: bool,
        concept_id: String,
        content: String,
        strength: f32,
        confidence: f32,
    },
    GetNeighborsOk {
        neighbor_ids: Vec<String>,
    },
    FindPathOk {
        found: bool,
        path: Vec<String>,
    },
    VectorSearchOk {
        results: Vec<(String, f32)>,
    },
    StatsOk {
        concepts: u64,
        edges: u64,
        written: u64,
        dropped: u64,
        pending: u64,
        reconciliations: u64,
        uptime: u64,
    },
}

#[derive(Deserialize)]
struct Concept {
    id: String,
    content: String,
}

#[derive(Deserialize)]
struct Association {
    source: String,
    target: String,
    r#type: String,
}

fn lines<T: DeserializeOwned>(file: &str) -> Vec<T> {
    let text = std::fs::read_to_string(wordnet().join(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Sends all requests ahead; their replies in order.
fn ask_all(client: &mut Legacy, requests: impl Iterator<Item = Request>) -> Vec<Reply> {
    let requests: Vec<Vec<u8>> =
        requests.map(|request| bincode::serialize(&request).unwrap()).collect();
    let count = requests.len();
    let mut writer = Legacy { stream: client.stream.try_clone().unwrap() };
    let writing = thread::spawn(move || requests.iter().for_each(|request| writer.send(request)));
    let replies = (0..count).map(|_| bincode::deserialize(&client.reply()).unwrap()).collect();
    writing.join().unwrap();
    replies
}

/// The digits that replies give for a name.
fn id(name: &str) -> String {
    ConceptId::from_name(name).unwrap().to_string()
}

#[test]
fn a_bincode_client_fills_a_store_with_wordnet_and_finds_all_of_it() {
    let server = Server::start(&["--cores", "3"]);
    let mut client = Legacy::open(server.compat());
    let (concepts, associations) =
        (lines::<Concept>("concepts.jsonl"), lines::<Association>("associations.jsonl"));
    let learn =
        concepts.iter().zip((0_u8..=255).cycle()).map(|(concept, number)| Request::LearnConcept {
            concept_id: concept.id.clone(),
            content: concept.content.clone(),
            embedding: vec![f32::from(number); 8],
            strength: 1.0,
            confidence: f32::from(number) / 255.0,
        });
    for reply in ask_all(&mut client, learn) {
        assert!(matches!(reply, Reply::LearnConceptOk { .. }), "{reply:?}");
    }
    let mut neighbors: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let associate = associations.iter().map(|Association { source, target, r#type }| {
        neighbors.entry(source).or_default().insert(id(target));
        neighbors.entry(target).or_default().insert(id(source));
        let assoc_type = r#type.parse::<AssociationKind>().unwrap().0;
        Request::LearnAssociation {
            source_id: source.clone(),
            target_id: target.clone(),
            assoc_type,
            confidence: 1.0,
        }
    });
    for reply in ask_all(&mut client, associate) {
        assert!(matches!(reply, Reply::LearnAssociationOk { .. }), "{reply:?}");
    }
    let query =
        concepts.iter().map(|concept| Request::QueryConcept { concept_id: concept.id.clone() });
    for ((expected, number), reply) in
        concepts.iter().zip((0_u8..=255).cycle()).zip(ask_all(&mut client, query))
    {
        let Reply::QueryConceptOk { found: true, concept_id, content, strength, confidence } =
            reply
        else {
            panic!("{}: {reply:?}", expected.id)
        };
        assert_eq!((concept_id, content), (id(&expected.id), expected.content.clone()));
        assert_eq!((strength, confidence), (1.0, f32::from(number) / 255.0));
    }
    let around =
        concepts.iter().map(|concept| Request::GetNeighbors { concept_id: concept.id.clone() });
    for (concept, reply) in concepts.iter().zip(ask_all(&mut client, around)) {
        let Reply::GetNeighborsOk { neighbor_ids } = reply else {
            panic!("{}: {reply:?}", concept.id)
        };
        let expected = neighbors.remove(concept.id.as_str()).unwrap_or_default();
        assert!(neighbor_ids.iter().eq(&expected), "{}: {neighbor_ids:?}", concept.id);
    }
    let stats = ask_all(&mut client, [Request::GetStats].into_iter()).remove(0);
    let Reply::StatsOk { concepts: learned, edges, dropped: 0, .. } = stats else {
        panic!("{stats:?}")
    };
    assert_eq!((learned, edges), (concepts.len() as u64, associations.len() as u64));
}
