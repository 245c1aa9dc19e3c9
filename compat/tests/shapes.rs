//! Every shape that clients in the field send is read as what they mean, and what can't be meant is
//! answered with what is wrong.

use crate::support::{
    Native, archive, golden, id, json_of, manner, msgpack, native, native_of, reply, unprefixed,
};
use serde_json::{Value, json};
use sutra_compat::{CompatError, Decoded, Dialect, decode, encode_error};
use sutra_wire::{
    AssociationKey, AssociationRecord, ConceptId, ConceptKey, ConceptRecord, Concepts,
    ConceptsRequest, FrameBuffer, IdRule, NeighborsRequest, Path, PathRequest, Paths, SearchHit,
    SearchHits, SearchRequest, Status,
};

fn of(value: Value) -> Result<Native, String> {
    native(&msgpack(&value))
}

/// MessagePack put together by hand: what JSON can't say.
fn bytes(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn key(name: &str, namespace: &str) -> ConceptKey {
    ConceptKey { id: id(name), namespace: namespace.into() }
}

fn learn(embedding: &[f32]) -> Native {
    Native::Learn(ConceptRecord {
        id: id("a"),
        name: "a".into(),
        content: "b".into(),
        embedding: embedding.to_vec(),
        strength: 1.0,
        confidence: 1.0,
        ..ConceptRecord::default()
    })
}

#[test]
fn an_operation_without_fields_is_read_in_every_form() {
    for (name, expected) in
        [("GetStats", Native::Stats), ("Flush", Native::Flush), ("HealthCheck", Native::Health)]
    {
        for form in [
            json!(name),
            json!({name: {}}),
            json!({name: null}),
            json!({name: []}),
            json!({"type": name}),
            json!({"type": name, "namespace": null, "options": {"a": [1]}}),
            json!({name: {"namespace": "n", "unknown": [1, {"deep": []}]}}),
        ] {
            assert_eq!(of(form.clone()), Ok(expected.clone()), "{form}");
        }
    }
    assert_eq!(
        native(&[6]),
        Ok(Native::Stats),
        "the first release's number, as its decoder took it"
    );
    assert_eq!(native(&[0x81, 6, 0xc0]), Ok(Native::Stats));
    assert_eq!(native(b"\xc4\x05Flush"), Ok(Native::Flush), "a name as bin");
}

#[test]
fn fields_are_read_by_name_in_any_order_or_by_place() {
    let expected = Native::Associate(AssociationRecord {
        source: id("a"),
        target: id("b"),
        kind: 3,
        confidence: 0.5,
        ..AssociationRecord::default()
    });
    let map = |order: [usize; 4]| {
        let fields: [&[u8]; 4] = [
            b"\xa9source_id\xa1a",
            b"\xa9target_id\xa1b",
            b"\xaaassoc_type\x03",
            b"\xaaconfidence\xca\x3f\0\0\0",
        ];
        order.map(|at| fields[at]).concat()
    };
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let fields = map(order);
        assert_eq!(
            native(&bytes(&[b"\x81\xb0LearnAssociation\x84", &fields])).as_ref(),
            Ok(&expected)
        );
        let tag: &[u8] = b"\xa4type\xb0LearnAssociation";
        let (before, behind) = (bytes(&[b"\x85", tag, &fields]), bytes(&[b"\x85", &fields, tag]));
        assert_eq!(native(&before).as_ref(), Ok(&expected), "the type first");
        assert_eq!(native(&behind).as_ref(), Ok(&expected), "the type last");
    }
    assert_eq!(of(json!({"LearnAssociation": ["a", "b", 3, 0.5]})).as_ref(), Ok(&expected));
    let unknown = json!({"LearnAssociation": {
        "options": {"a": [1, {"b": null}], "c": true}, "source_id": "a", "target_id": "b",
        "assoc_type": 3, "type": "a field like any other here", "more": [[], {}, -1, 1.5, "x"],
        "confidence": 0.5,
    }});
    assert_eq!(of(unknown), Ok(expected));
}

#[test]
fn what_is_left_out_or_nil_has_the_old_clients_defaults() {
    for form in [
        json!({"LearnConcept": {"concept_id": "a", "content": "b"}}),
        json!({"LearnConcept": {
            "concept_id": "a", "content": "b", "embedding": null, "strength": null
        }}),
        json!({"LearnConcept": {
            "concept_id": "a", "content": "b", "embedding": [], "namespace": null
        }}),
        json!({"LearnConcept": ["a", "b"]}),
        json!({"LearnConcept": ["a", "b", null, null, null, {"metadata": "of a later release"}]}),
        json!({"type": "LearnConcept", "content": "b", "concept_id": "a"}),
    ] {
        assert_eq!(of(form.clone()), Ok(learn(&[])), "{form}");
    }
    let edge = AssociationRecord {
        source: id("a"),
        target: id("b"),
        confidence: 1.0,
        ..AssociationRecord::default()
    };
    assert_eq!(of(json!({"LearnAssociation": ["a", "b"]})), Ok(Native::Associate(edge)));
    let path = PathRequest {
        start: id("a"),
        end: id("b"),
        max_depth: 6,
        alternatives: 1,
        ..PathRequest::default()
    };
    assert_eq!(of(json!({"FindPath": {"start_id": "a", "end_id": "b"}})), Ok(Native::Path(path)));
    let search =
        SearchRequest { vector: vec![1.0], k: 10, ef_search: 50, ..SearchRequest::default() };
    assert_eq!(
        of(json!({"VectorSearch": {"query_vector": [1]}})),
        Ok(Native::Search(search.clone()))
    );
    assert_eq!(
        of(json!({"VectorSearch": [[1], 10, 50, "a later release's"]})),
        Ok(Native::Search(search))
    );
}

#[test]
fn floats_are_read_from_every_number_and_from_raw_bytes() {
    let learn_with = |embedding: &[u8]| {
        bytes(&[
            b"\x81\xacLearnConcept\x83\xaaconcept_id\xa1a\xa7content\xa1b\xa9embedding",
            embedding,
        ])
    };
    let double = bytes(&[b"\x92\xcb", &0.1_f64.to_be_bytes(), b"\xcb", &(-2.5_f64).to_be_bytes()]);
    let single = bytes(&[b"\x92\xca", &0.1_f32.to_be_bytes(), b"\xca", &(-2.5_f32).to_be_bytes()]);
    let raw = bytes(&[&0.1_f32.to_le_bytes(), &(-2.5_f32).to_le_bytes()]);
    for embedding in [
        double,
        single,
        bytes(&[b"\xc4\x08", &raw]),
        bytes(&[b"\xc5\0\x08", &raw]),
        bytes(&[b"\xc6\0\0\0\x08", &raw]),
        bytes(&[b"\xd7\x01", &raw]),
        bytes(&[b"\xc7\x08\x2a", &raw]),
        bytes(&[b"\xc9\0\0\0\x08\xff", &raw]),
    ] {
        assert_eq!(native(&learn_with(&embedding)), Ok(learn(&[0.1, -2.5])), "{embedding:02x?}");
    }
    let whole = b"\x96\x01\xff\xcc\xc8\xd1\xfe\x00\xce\x01\0\0\0\xcf\0\0\0\x01\0\0\0\0";
    let numbers = [1.0, -1.0, 200.0, -512.0, 16_777_216.0, 4_294_967_296.0];
    assert_eq!(native(&learn_with(whole)), Ok(learn(&numbers)));
    assert_eq!(
        native(&learn_with(b"\xd6\x05\0\0\x80\x3f")),
        Ok(learn(&[1.0])),
        "an extension of four bytes"
    );
    let long: Vec<f32> = (0..1000).map(|number| number as f32 / 7.0).collect();
    assert_eq!(of(json!({"LearnConcept": ["a", "b", long]})), Ok(learn(&long)), "many pieces");
    let error = native(&learn_with(b"\xc4\x03abc")).unwrap_err();
    assert_eq!(error, "embedding: 3 bytes are no whole number of 4-byte floats");
    let strength = of(json!({"LearnConcept": {
        "concept_id": "a", "content": "b", "strength": 2, "confidence": 0
    }}));
    let Ok(Native::Learn(record)) = strength else { panic!("{strength:?}") };
    assert_eq!((record.strength, record.confidence), (2.0, 0.0));
}

#[test]
fn bytes_stand_for_text_wherever_text_is_read() {
    let message =
        b"\x81\xc4\x0cLearnConcept\x82\xc4\x0aconcept_id\xc4\x01a\xc5\0\x07content\xc6\0\0\0\x01b";
    assert_eq!(native(message), Ok(learn(&[])));
}

#[test]
fn a_namespace_is_honoured_by_every_operation_that_has_one() {
    let namespace = "a namespace that is longer than inline";
    for (form, expected) in [
        (
            json!({"QueryConcept": {"concept_id": "a", "namespace": namespace}}),
            Native::Query(key("a", namespace)),
        ),
        (
            json!({"type": "DeleteConcept", "namespace": namespace, "id": "a"}),
            Native::Delete(key("a", namespace)),
        ),
        (json!({"DeleteConcept": [namespace, "a"]}), Native::Delete(key("a", namespace))),
        (json!({"DeleteConcept": {"id": "a", "namespace": null}}), Native::Delete(key("a", ""))),
        (
            json!({"GetNeighbors": {"namespace": namespace, "concept_id": "a"}}),
            Native::Neighbors(NeighborsRequest {
                id: id("a"),
                namespace: namespace.into(),
                ..NeighborsRequest::default()
            }),
        ),
    ] {
        assert_eq!(of(form.clone()), Ok(expected), "{form}");
    }
    let named = |form: Value| match of(form).unwrap() {
        Native::Learn(record) => record.namespace,
        Native::Associate(record) => record.namespace,
        Native::Path(request) => request.namespace,
        Native::Search(request) => request.namespace,
        other => panic!("{other:?}"),
    };
    for form in [
        json!({"LearnConcept": {"concept_id": "a", "content": "b", "namespace": namespace}}),
        json!({"LearnAssociation": {"source_id": "a", "target_id": "b", "namespace": namespace}}),
        json!({"FindPath": {"start_id": "a", "end_id": "b", "namespace": namespace}}),
        json!({"VectorSearch": {"query_vector": [1.0], "namespace": namespace}}),
    ] {
        assert_eq!(named(form.clone()), namespace, "{form}");
    }
}

#[test]
fn an_id_in_digits_is_itself_and_any_other_is_kept_as_the_name() {
    let learned = |concept_id: &str, id_rule| {
        let message = msgpack(&json!({"LearnConcept": [concept_id, "b"]}));
        match native_of(&message, Dialect { id_rule, ..Dialect::default() }).unwrap().0 {
            Native::Learn(record) => (sutra_wire::ConceptId(record.id).to_string(), record.name),
            other => panic!("{other:?}"),
        }
    };
    let digits = "550e8400e29b41d4a716446655440000";
    for rule in [IdRule::Md5OrHex, IdRule::Legacy] {
        assert_eq!(learned(digits, rule), (digits.into(), String::new()));
        assert_eq!(learned(&digits.to_uppercase(), rule), (digits.into(), String::new()));
        assert_eq!(
            learned("test", rule),
            ("098f6bcd4621d373cade4e832627b4f6".into(), "test".into())
        );
    }
    assert_eq!(
        learned("cafe", IdRule::Legacy),
        ("cafe0000000000000000000000000000".into(), "cafe".into())
    );
    assert_ne!(learned("cafe", IdRule::Md5OrHex).0, "cafe0000000000000000000000000000");
    // No native id is all zeros, and no native name is empty: these have ids of their own.
    let (zeros, of_zeros, of_nothing) =
        ("0".repeat(32), "cd9e459ea708a948d5c2f5a6ca8838cf", "d41d8cd98f00b204e9800998ecf8427e");
    for rule in [IdRule::Md5OrHex, IdRule::Legacy] {
        assert_eq!(learned(&zeros, rule), (of_zeros.into(), String::new()));
    }
    assert_eq!(learned("00", IdRule::Legacy), (of_zeros.into(), "00".into()));
    assert_eq!(
        learned("", IdRule::Legacy),
        (of_zeros.into(), String::new()),
        "the old decoder read no digits as zeros"
    );
    assert_eq!(learned("", IdRule::Md5OrHex), (of_nothing.into(), String::new()));
}

#[test]
fn the_id_of_zeros_is_spelled_as_zeros_in_every_reply() {
    let (zeros, digits) = ("0".repeat(32), "cd9e459ea708a948d5c2f5a6ca8838cf");
    let id = ConceptId::from_digits(digits).unwrap().0;
    let replied = |message: &Value, archive: &[u8]| {
        json_of(&reply(manner(&msgpack(message), Dialect::default()), Status::Ok, 0, archive))
    };
    let record = archive(&ConceptRecord { id, ..ConceptRecord::default() });
    assert_eq!(
        replied(&json!({"QueryConcept": [zeros]}), &record)["QueryConceptOk"]["concept_id"],
        zeros
    );
    let ids = archive(&Concepts { ids: vec![id, [255; 16]], cursor: 0 });
    let listed = replied(&json!("GetAllConceptIds"), &ids);
    assert_eq!(listed["GetAllConceptIdsOk"]["concept_ids"], json!([zeros, "ff".repeat(16)]));
    let path = archive(&Paths { paths: vec![Path { concepts: vec![id], edges: Vec::new() }] });
    assert_eq!(
        replied(&json!({"FindPath": [zeros, zeros]}), &path)["FindPathOk"]["path"],
        json!([zeros])
    );
    let hits = archive(&SearchHits { hits: vec![SearchHit { id, similarity: 0.5 }] });
    assert_eq!(
        replied(&json!({"VectorSearch": [[1.0]]}), &hits)["VectorSearchOk"]["results"][0][0],
        zeros
    );
    let ends =
        archive(&AssociationRecord { source: id, target: id, ..AssociationRecord::default() });
    let association =
        &replied(&json!({"GetAssociation": [zeros, zeros]}), &ends)["GetAssociationOk"];
    assert_eq!(
        (&association["source_id"], &association["target_id"]),
        (&json!(zeros), &json!(zeros))
    );
}

#[test]
fn strengths_and_confidences_are_taken_to_the_nearest_that_a_record_may_have() {
    for (given, kept) in [
        ([1.0000002, 1.0000002], [1.0000002, 1.0]),
        ([-0.25, -1e30], [0.0, 0.0]),
        ([1e30, 7.0], [1e30, 1.0]),
    ] {
        let Ok(Native::Learn(record)) =
            of(json!({"LearnConcept": ["a", "b", [], given[0], given[1]]}))
        else {
            panic!()
        };
        assert_eq!([record.strength, record.confidence], kept, "{given:?}");
        let Ok(Native::Associate(edge)) = of(json!({"LearnAssociation": ["a", "b", 0, given[1]]}))
        else {
            panic!()
        };
        assert_eq!(edge.confidence, kept[1], "{given:?}");
    }
}

#[test]
fn what_a_search_asks_for_reaches_the_native_request_whatever_it_is() {
    let search = |form: Value| match of(form).unwrap() {
        Native::Search(request) => (request.vector, request.k, request.ef_search),
        other => panic!("{other:?}"),
    };
    let zeros = vec![0.0; 768];
    assert_eq!(
        search(json!({"VectorSearch": [zeros, 200, 50]})),
        (zeros, 200, 50),
        "a zero vector is none's error"
    );
    assert_eq!(
        search(json!({"VectorSearch": [[1.0], 0, 0]})),
        (vec![1.0], 0, 0),
        "k = 0 is for no rows"
    );
    assert_eq!(
        search(json!({"VectorSearch": [[1.0], 5, 4_000_000_000_u32]})),
        (vec![1.0], 5, 10_000)
    );
    let Ok(Native::Path(path)) = of(json!({"FindPath": ["a", "a", 0]})) else { panic!("a path") };
    assert_eq!((path.start, path.max_depth), (path.end, 0));
    let Ok(Native::Associate(edge)) = of(json!({"LearnAssociation": ["a", "b", 70_000]})) else {
        panic!("an edge")
    };
    assert_eq!(edge.kind, 70_000, "an unknown type is kept");
}

#[test]
fn a_message_that_means_nothing_is_answered_with_what_is_wrong_in_its_own_encoding() {
    let long = "x".repeat(5000);
    for (form, wrong) in [
        (json!({"QueryConcept": {}}), "QueryConcept: missing field concept_id"),
        (json!({"QueryConcept": null}), "QueryConcept: missing field concept_id"),
        (json!("QueryConcept"), "QueryConcept: missing field concept_id"),
        (json!({"QueryConcept": ["a", 1]}), "QueryConcept: an array of 2 values, it has 1 fields"),
        (json!({"GetStats": [1]}), "GetStats: an array of 1 values, it has 0 fields"),
        (
            json!({"QueryConcept": "a"}),
            "QueryConcept: expected its fields as a map or an array, found text",
        ),
        (
            json!({"QueryConcept": {"concept_id": 7}}),
            "concept_id: expected text, found a whole number",
        ),
        (json!({"QueryConcept": [["a"]]}), "concept_id: expected text, found an array"),
        (json!({"QueryConcept": [long]}), "concept_id: has 5000 bytes, the limit is 4096"),
        (json!({"LearnConcept": ["a", "b", [1, "2"]]}), "embedding: expected a number, found text"),
        (
            json!({"LearnConcept": ["a", "b", "text"]}),
            "embedding: expected an array of numbers, or the bytes of",
        ),
        (
            json!({"LearnConcept": ["a", "b", [], true]}),
            "strength: expected a number, found a boolean",
        ),
        (json!({"FindPath": ["a", "b", -1]}), "max_depth: is -1; it must not be negative"),
        (json!({"FindPath": ["a", "b", 1.5]}), "max_depth: expected a whole number, found a float"),
        (
            json!({"FindPath": ["a", "b", 1_u64 << 32]}),
            "max_depth: is 4294967296, the limit is 4294967295",
        ),
        (json!({"Unknown": {}}), "unknown operation \"Unknown\""),
        (json!({"type": "Unknown"}), "unknown operation \"Unknown\""),
        (json!({"type": {}}), "the request: expected a map or an operation's name, found a map"),
        (json!({"a": 1, "b": 2}), "a map of 2 entries without a \"type\" names no operation"),
        (json!({}), "a map of 0 entries without a \"type\" names no operation"),
        (json!(["GetStats"]), "the request: expected a map or an operation's name, found an array"),
        (json!(null), "the request: expected a map or an operation's name, found nil"),
        (json!(77), "unknown operation 77"),
    ] {
        let message = msgpack(&form);
        let error = decode(&message, Dialect::default(), &mut FrameBuffer::new()).unwrap_err();
        assert!(error.to_string().starts_with(wrong), "{form}: {error}");
        let mut out = Vec::new();
        encode_error(error.manner, &error.to_string(), &mut out);
        assert_eq!(json_of(&unprefixed(&out)), json!({"Error": {"message": error.to_string()}}));
    }
    let error = decode(&[99, 0, 0, 0, 1], Dialect::default(), &mut FrameBuffer::new()).unwrap_err();
    assert_eq!(error.to_string(), "unknown operation 99");
    let mut out = Vec::new();
    encode_error(error.manner, &error.to_string(), &mut out);
    assert_eq!(unprefixed(&out), bincode::serialize(&(9_u32, error.to_string())).unwrap());
    assert_eq!(native(b""), Err(CompatError::Empty.to_string()));
    assert_eq!(native(br#"{"type": "GetStats"}"#), Err(CompatError::Json.to_string()));
    assert_eq!(
        native(b"\x81\xacQueryConcept\x91\xa2\xc3\x28"),
        Err("concept_id: is not UTF-8 from byte 0 on".into())
    );
    assert_eq!(
        native(b"\xc1"),
        Err("the request: expected a map or an operation's name, \
             found a byte that MessagePack never uses"
            .into(),)
    );
}

#[test]
fn a_field_that_is_given_twice_is_refused() {
    let twice = b"\x81\xacQueryConcept\x82\xaaconcept_id\xa1a\xaaconcept_id\xa1b";
    assert_eq!(native(twice), Err("QueryConcept: field concept_id is given twice".into()));
    let with_nil = b"\x81\xacQueryConcept\x82\xaaconcept_id\xa1a\xaaconcept_id\xc0";
    assert_eq!(native(with_nil), Err("QueryConcept: field concept_id is given twice".into()));
    let two_types = b"\x82\xa4type\xa8GetStats\xa4type\xa5Flush";
    assert_eq!(native(two_types), Err("GetStats: field type is given twice".into()));
    let unknown = b"\x81\xa8GetStats\x82\xa1x\x01\xa1x\x02";
    assert_eq!(native(unknown), Ok(Native::Stats), "unknown fields are not looked at");
}

#[test]
fn an_operation_that_is_not_served_is_refused_by_name_in_the_clients_own_shape() {
    for (name, reason) in [
        ("LearnConceptV2", "no embedder is configured"),
        ("LearnBatch", "no embedder is configured"),
        ("FindPathSemantic", "does not classify text"),
        ("FindTemporalChain", "does not classify text"),
        ("FindCausalChain", "does not classify text"),
        ("FindContradictions", "does not classify text"),
        ("QueryBySemantic", "does not classify text"),
        ("ListRecent", "no list of what was learned last"),
        ("QueryByMetadata", "keeps no metadata"),
    ] {
        for form in [
            json!({name: {"contents": ["a"], "options": {"generate_embedding": true}}}),
            json!({name: [["a"], [true, null]]}),
            json!({"type": name, "content": "a", "options": [1]}),
        ] {
            let Ok(Decoded::Refused { manner, message }) =
                decode(&msgpack(&form), Dialect::default(), &mut FrameBuffer::new())
            else {
                panic!("{form} is refused")
            };
            assert!(
                message.starts_with(&format!("{name} is not served: ")) && message.contains(reason),
                "{message}"
            );
            assert_eq!(manner.operation_name(), Some(name));
        }
    }
    let later = Dialect { numbering: sutra_compat::Numbering::Later, ..Dialect::default() };
    assert!(matches!(
        decode(&[6, 0, 0, 0, 1], later, &mut FrameBuffer::new()),
        Ok(Decoded::Refused { .. })
    ));
}

#[test]
fn a_delete_says_whether_there_was_anything() {
    let manner = manner(&msgpack(&json!({"DeleteConcept": {"id": "a"}})), Dialect::default());
    for (status, deleted) in [(Status::Ok, true), (Status::NotFound, false)] {
        assert_eq!(
            json_of(&reply(manner, status, 5, &[])),
            json!({"DeleteConceptOk": {"deleted": deleted}})
        );
    }
}

#[test]
fn one_association_is_asked_for_by_its_ends_and_answered_with_its_type_as_a_number() {
    let key =
        AssociationKey { source: id("a"), target: id("b"), namespace: String::new(), kind: None };
    for form in [
        json!({"GetAssociation": {"source_id": "a", "target_id": "b"}}),
        json!({"GetAssociation": ["a", "b"]}),
        json!({"target_id": "b", "type": "GetAssociation", "source_id": "a", "namespace": null}),
    ] {
        assert_eq!(native(&msgpack(&form)), Ok(Native::Association(key.clone())), "{form}");
    }
    let in_another =
        json!({"GetAssociation": {"source_id": "a", "target_id": "b", "namespace": "other"}});
    let other = AssociationKey { namespace: "other".into(), ..key };
    assert_eq!(native(&msgpack(&in_another)), Ok(Native::Association(other)));
    assert_eq!(
        native(&msgpack(&json!({"GetAssociation": {"source_id": "a"}}))),
        Err("GetAssociation: missing field target_id".into())
    );

    let manner = manner(&msgpack(&in_another), Dialect::default());
    let (source, target) = (id("a"), id("b"));
    let record = AssociationRecord {
        source,
        target,
        kind: 77,
        confidence: 0.25,
        ..AssociationRecord::default()
    };
    let found = json!({
        "found": true,
        "source_id": ConceptId(source).to_string(),
        "target_id": ConceptId(target).to_string(),
        "assoc_type": 77,
        "confidence": 0.25,
    });
    assert_eq!(
        json_of(&reply(manner, Status::Ok, 5, &archive(&record))),
        json!({"GetAssociationOk": found})
    );
    let missing = json!({
        "found": false, "source_id": "", "target_id": "", "assoc_type": 0, "confidence": 0.0
    });
    assert_eq!(
        json_of(&reply(manner, Status::NotFound, 5, &[])),
        json!({"GetAssociationOk": missing})
    );
}

#[test]
fn one_association_is_removed_by_its_ends_and_its_type() {
    let key = |kind| AssociationKey {
        source: id("a"),
        target: id("b"),
        namespace: String::new(),
        kind: Some(kind),
    };
    for (form, kind) in [
        (json!({"DeleteAssociation": {"source_id": "a", "target_id": "b"}}), 0),
        (json!({"DeleteAssociation": ["a", "b", 3]}), 3),
        (json!({"type": "DeleteAssociation", "source_id": "a", "target_id": "b"}), 0),
    ] {
        assert_eq!(native(&msgpack(&form)), Ok(Native::Dissociate(key(kind))), "{form}");
    }
    let form = json!({"DeleteAssociation": ["a", "b", 3]});
    let manner = manner(&msgpack(&form), Dialect::default());
    for (status, deleted) in [(Status::Ok, true), (Status::NotFound, false)] {
        assert_eq!(
            json_of(&reply(manner, status, 5, &[])),
            json!({"DeleteAssociationOk": {"deleted": deleted}})
        );
    }
}

#[test]
fn all_ids_are_asked_for_of_one_namespace() {
    for form in [
        json!("GetAllConceptIds"),
        json!({"GetAllConceptIds": {}}),
        json!({"type": "GetAllConceptIds"}),
    ] {
        assert_eq!(
            native(&msgpack(&form)),
            Ok(Native::Concepts(ConceptsRequest::default())),
            "{form}"
        );
    }
    let in_another = ConceptsRequest { namespace: "other".into(), ..ConceptsRequest::default() };
    let form = json!({"GetAllConceptIds": {"namespace": "other"}});
    assert_eq!(native(&msgpack(&form)), Ok(Native::Concepts(in_another)));
}

#[test]
fn what_was_not_found_has_no_neighbours_no_path_and_no_rows() {
    for (form, expected) in [
        (json!({"GetNeighbors": ["a"]}), json!({"GetNeighborsOk": {"neighbor_ids": []}})),
        (json!("GetAllConceptIds"), json!({"GetAllConceptIdsOk": {"concept_ids": []}})),
        (json!({"FindPath": ["a", "b"]}), json!({"FindPathOk": {"found": false, "path": []}})),
        (json!({"VectorSearch": [[1.0]]}), json!({"VectorSearchOk": {"results": []}})),
    ] {
        let manner = manner(&msgpack(&form), Dialect::default());
        assert_eq!(json_of(&reply(manner, Status::NotFound, 0, &[])), expected);
    }
}

#[test]
fn a_status_without_its_message_is_told_by_name() {
    let message =
        golden().into_iter().find(|golden| golden.title == "request Flush").unwrap().named;
    let said = reply(manner(&message, Dialect::default()), Status::Busy, 0, b"not an archive");
    assert_eq!(json_of(&said), json!({"Error": {"message": "busy"}}));
}

#[test]
fn a_reply_that_can_not_be_a_message_leaves_nothing_behind() {
    let manner = manner(&msgpack(&json!({"QueryConcept": ["a"]})), Dialect::default());
    let record =
        ConceptRecord { id: id("a"), content: "x".repeat(16 << 20), ..ConceptRecord::default() };
    let mut out = b"earlier".to_vec();
    let encoded = sutra_compat::encode_reply(manner, Status::Ok, 0, &archive(&record), &mut out);
    assert!(matches!(encoded, Err(CompatError::ReplyTooLong { .. })), "{encoded:?}");
    let encoded = sutra_compat::encode_reply(manner, Status::Ok, 0, b"not an archive", &mut out);
    assert!(matches!(encoded, Err(CompatError::Reply(_))), "{encoded:?}");
    assert_eq!(out, b"earlier");
}
