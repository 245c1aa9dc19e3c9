//! Every request of the old protocol in every encoding asks for what it asked for, and every reply
//! is, byte for byte, the one that clients in the field were written to read.

use crate::support::{
    Golden, Native, archive, golden, id, json_of, manner, msgpack, native_of, reply, unprefixed,
};
use sutra_compat::{Dialect, Manner, Numbering, encode_error};
use sutra_wire::{
    AssociationRecord, ConceptKey, ConceptRecord, Counter, ErrorMessage, FrameBuffer, Health,
    Neighbor, Neighbors, NeighborsRequest, Path, PathRequest, Paths, SearchHit, SearchHits,
    SearchRequest, Stats, Status,
};

const LATER: Dialect =
    Dialect { numbering: Numbering::Later, id_rule: sutra_wire::IdRule::Md5OrHex };

fn find(title: &str) -> Golden {
    golden()
        .into_iter()
        .find(|golden| golden.title == title)
        .unwrap_or_else(|| panic!("{title} is in the file"))
}

fn concept(embedding: &[f32]) -> ConceptRecord {
    ConceptRecord {
        id: id("test"),
        name: "test".into(),
        content: "content".into(),
        embedding: embedding.to_vec(),
        strength: 1.0,
        confidence: 1.0,
        ..ConceptRecord::default()
    }
}

fn requests() -> Vec<(&'static str, Native)> {
    let key = ConceptKey { id: id("test"), namespace: String::new() };
    let edge = AssociationRecord {
        source: id("a"),
        target: id("b"),
        confidence: 1.0,
        ..AssociationRecord::default()
    };
    let neighbors = NeighborsRequest { id: id("test"), ..NeighborsRequest::default() };
    let path = PathRequest {
        start: id("a"),
        end: id("b"),
        max_depth: 6,
        alternatives: 1,
        ..PathRequest::default()
    };
    let search =
        SearchRequest { vector: vec![0.1, 0.2], k: 10, ef_search: 50, ..SearchRequest::default() };
    vec![
        ("request LearnConcept(no embedding)", Native::Learn(concept(&[]))),
        ("request LearnConcept(embedding [0.1,0.2])", Native::Learn(concept(&[0.1, 0.2]))),
        ("request LearnAssociation", Native::Associate(edge)),
        ("request QueryConcept", Native::Query(key)),
        ("request GetNeighbors", Native::Neighbors(neighbors)),
        ("request FindPath", Native::Path(path)),
        ("request VectorSearch", Native::Search(search)),
        ("request GetStats", Native::Stats),
        ("request Flush", Native::Flush),
        ("request HealthCheck", Native::Health),
    ]
}

/// A bincode message as the later releases number it.
fn renumbered(message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    message[0] += u8::from(message[0] >= 6);
    message
}

#[test]
fn every_old_request_asks_for_the_same_in_every_encoding() {
    let known = requests();
    assert_eq!(
        known.len(),
        golden().iter().filter(|golden| golden.title.starts_with("request ")).count()
    );
    for (title, expected) in known {
        let golden = find(title);
        for message in [&golden.array, &golden.named, &golden.bincode] {
            assert_eq!(
                native_of(message, Dialect::default()).unwrap().0,
                expected,
                "{title}: {message:02x?}"
            );
        }
        assert_eq!(
            native_of(&renumbered(&golden.bincode), LATER).unwrap().0,
            expected,
            "{title}, numbered anew"
        );
        for (message, dialect) in [
            (golden.array, Dialect::default()),
            (golden.named, Dialect::default()),
            (golden.bincode.clone(), Dialect::default()),
            (renumbered(&golden.bincode), LATER),
        ] {
            // As the last releases do with their optional fields.
            let trailing = [message, vec![0]].concat();
            assert_eq!(
                native_of(&trailing, dialect).unwrap().0,
                expected,
                "{title}, with a byte behind it"
            );
        }
    }
}

/// The golden id, `test`.
fn test_id() -> [u8; 16] {
    id("test")
}

/// A reply of the golden file: the request that it answers, the native reply, and whether old
/// clients read it in an array.
struct Answer {
    title: &'static str,
    request: &'static str,
    status: Status,
    sequence: u64,
    payload: FrameBuffer,
    in_array: bool,
}

fn answers() -> Vec<Answer> {
    let answer = |title, request, payload| Answer {
        title,
        request,
        status: Status::Ok,
        sequence: 0,
        payload,
        in_array: false,
    };
    let neighbor = Neighbor { id: test_id(), kind: 0, confidence: 1.0, direction: 1 };
    let again = Neighbor { kind: 3, direction: 2, ..neighbor.clone() };
    let hits = SearchHits { hits: vec![SearchHit { id: test_id(), similarity: 0.5 }] };
    let path = Path { concepts: vec![test_id()], edges: Vec::new() };
    let health = Health { healthy: true, status: "ok".into(), uptime: 9_999_999 };
    vec![
        Answer {
            sequence: 42,
            in_array: true,
            ..answer(
                "reply LearnConceptOk{42}",
                "request LearnConcept(no embedding)",
                FrameBuffer::new(),
            )
        },
        Answer {
            sequence: 43,
            in_array: true,
            ..answer("reply LearnAssociationOk{43}", "request LearnAssociation", FrameBuffer::new())
        },
        answer("reply QueryConceptOk(found)", "request QueryConcept", archive(&concept(&[0.5]))),
        Answer {
            status: Status::NotFound,
            ..answer("reply QueryConceptOk(missing)", "request QueryConcept", FrameBuffer::new())
        },
        answer(
            "reply GetNeighborsOk",
            "request GetNeighbors",
            archive(&Neighbors { neighbors: vec![neighbor, again], cursor: 0 }),
        ),
        answer("reply FindPathOk", "request FindPath", archive(&Paths { paths: vec![path] })),
        answer("reply FindPathOk(none)", "request FindPath", archive(&Paths::default())),
        answer("reply VectorSearchOk (rows of two)", "request VectorSearch", archive(&hits)),
        answer("reply FlushOk", "request Flush", FrameBuffer::new()),
        answer("reply HealthCheckOk", "request HealthCheck", archive(&health)),
        Answer {
            status: Status::StorageFull,
            ..answer(
                "reply Error",
                "request Flush",
                archive(&ErrorMessage { message: "boom".into() }),
            )
        },
    ]
}

#[test]
fn every_reply_is_the_old_servers_bytes_in_the_shape_that_clients_read() {
    for Answer { title, request, status, sequence, payload, in_array } in answers() {
        let (request, golden) = (find(request), find(title));
        let expected = if in_array { &golden.array } else { &golden.named };
        for message in [&request.array, &request.named] {
            let made = reply(manner(message, Dialect::default()), status, sequence, &payload);
            assert_eq!(made, *expected, "{title}");
        }
        let made = reply(manner(&request.bincode, Dialect::default()), status, sequence, &payload);
        assert_eq!(made, golden.bincode, "{title}, in bincode");
        let made = reply(manner(&renumbered(&request.bincode), LATER), status, sequence, &payload);
        assert_eq!(made, renumbered(&golden.bincode), "{title}, numbered anew");
    }
    let covered = answers().len() + ["reply StatsOk", "reply VectorSearchOk (rows as maps)"].len();
    assert_eq!(
        covered,
        golden().iter().filter(|golden| golden.title.starts_with("reply ")).count()
    );
}

#[test]
fn a_client_that_sends_a_type_gets_maps_everywhere() {
    for Answer { title, request, status, sequence, payload, .. } in answers() {
        let json = json_of(&find(request).named);
        let mut tagged = serde_json::Map::new();
        match &json {
            serde_json::Value::String(name) => {
                drop(tagged.insert("type".into(), name.clone().into()));
            }
            other => {
                let (name, fields) = other.as_object().unwrap().iter().next().unwrap();
                tagged.extend(fields.as_object().unwrap().clone());
                tagged.insert("type".into(), name.clone().into());
            }
        }
        let made =
            reply(manner(&msgpack(&tagged.into()), Dialect::default()), status, sequence, &payload);
        match title {
            "reply FlushOk" => assert_eq!(json_of(&made), serde_json::json!({"FlushOk": {}})),
            _ => assert_eq!(made, find(title).named, "{title}"),
        }
    }
}

#[test]
fn stats_have_both_spellings_in_msgpack_and_the_old_fields_in_bincode() {
    let stats = Stats {
        concepts: 3,
        associations: 4,
        vectors: 7,
        written: 5,
        pending: 0,
        uptime: 9_000_001,
        counters: vec![Counter { name: "commits".into(), value: 2 }],
        ..Stats::default()
    };
    let (request, golden) = (find("request GetStats"), find("reply StatsOk"));
    let made = json_of(&reply(
        manner(&request.named, Dialect::default()),
        Status::Ok,
        0,
        &archive(&stats),
    ));
    let fields = &made["StatsOk"];
    for (name, value) in json_of(&golden.named)["StatsOk"].as_object().unwrap() {
        assert_eq!(fields[name], *value, "{name}");
    }
    for (name, value) in [
        ("total_concepts", 3),
        ("total_edges", 4),
        ("total_associations", 4),
        ("writes", 5),
        ("drops", 0),
        ("vectors", 7),
    ] {
        assert_eq!(fields[name], value, "{name}");
    }
    let made = reply(manner(&request.bincode, Dialect::default()), Status::Ok, 0, &archive(&stats));
    assert_eq!(made, golden.bincode);
}

#[test]
fn an_error_to_a_message_nothing_is_known_of_is_the_map_that_all_clients_read() {
    let mut out = Vec::new();
    encode_error(Manner::default(), "boom", &mut out);
    assert_eq!(unprefixed(&out), find("reply Error").named);
}
