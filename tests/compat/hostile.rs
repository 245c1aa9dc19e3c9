//! What is no request, is too long, or comes from those who mean no good.

use std::io::{Read, Write};

use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};
use serde_json::json;

use super::legacy::{json_of, msgpack};
use super::variant;
use crate::support::Server;
use crate::support::legacy::Legacy;

#[test]
fn what_is_no_request_gets_an_error_and_the_connection_goes_on() {
    let server = Server::start(&[]);
    let mut client = Legacy::open(server.compat());
    let mut deep = vec![0x91; 10_000];
    deep.push(0xc0);
    let mut keys = b"\x81\xacQueryConcept\xdf\x00\x0f\x42\x40".to_vec();
    keys.extend(
        (0..1_000_000u32)
            .flat_map(|number| [&b"\xa4"[..], &number.to_le_bytes(), b"\x01"].concat()),
    );
    for (message, words) in [
        (Vec::new(), "empty"),
        (b"{\"type\": \"GetStats\"}".to_vec(), "JSON"),
        (msgpack(&json!({"Unknown": {}})), "Unknown"),
        (msgpack(&json!({"QueryConcept": {}})), "concept_id"),
        (msgpack(&json!({"QueryConcept": ["a", 1]})), "QueryConcept"),
        (msgpack(&json!({"QueryConcept": {"concept_id": 7}})), "concept_id"),
        (msgpack(&json!({"LearnConcept": ["a", "b", ["x"], 1.0, 1.0]})), "embedding"),
        (msgpack(&json!({"LearnConcept": ["a", "b", [], 1e39, 1.0]})), "strength: is inf"),
        (
            b"\x81\xb0LearnAssociation\x94\xa1a\xa1b\x00\xca\x7f\xc0\0\0".to_vec(),
            "confidence: is NaN",
        ),
        (msgpack(&json!({"QueryConcept": ["x".repeat(4097)]})), "limit is 4096"),
        (msgpack(&json!({"VectorSearch": [vec![0; 65_537], 1, 1]})), "limit is 65536"),
        (msgpack(&json!({"LearnConceptV2": ["text", {}]})), "embedder"),
        (msgpack(&json!({"LearnBatch": [["text"], {}]})), "embedder"),
        (msgpack(&json!({"FindCausalChain": {}})), "classify"),
        (b"\x81\xacQueryConcept\x82\xaaconcept_id\xa1a\xaaconcept_id\xa1b".to_vec(), "twice"),
        (deep, ""),
        (keys, ""),
        (b"\xdd\xff\xff\xff\xff".to_vec(), ""),
    ] {
        let error = client.error(&message);
        assert!(error.contains(words), "{error:?} of {:02x?}", &message[..message.len().min(40)]);
        client.is_healthy();
    }
    // In the encoding of the request: a text that claims more bytes than there are.
    let reply = client.ask(&[2, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 127]);
    assert_eq!(variant(&reply).0, 9);
    client.is_healthy();
}

#[test]
fn a_length_over_the_limit_gets_an_error_and_then_the_end() {
    let server = Server::start(&[]);
    let mut client = Legacy::open(server.compat());
    client.stream.write_all(&[0xff; 4]).unwrap();
    let error = json_of(&client.reply());
    assert!(error["Error"]["message"].as_str().unwrap().contains("limit"), "{error}");
    assert_eq!(client.stream.read(&mut [0]).unwrap(), 0);
    // In the encoding of what came before it.
    let mut client = Legacy::open(server.compat());
    client.is_healthy();
    assert_eq!(variant(&client.ask(&[8, 0, 0, 0])).0, 8);
    client.stream.write_all(&[0xff; 4]).unwrap();
    let reply = client.reply();
    let (number, text) = variant(&reply);
    assert!(
        number == 9 && text[8..].starts_with(b"message of 4294967295 bytes is over the limit"),
        "{reply:02x?}"
    );
    Legacy::open(server.compat()).is_healthy();
}

#[test]
fn random_bytes_and_claims_of_many_connections_cost_the_server_little() {
    let server = Server::start(&[]);
    let mut witness = Legacy::open(server.compat());
    witness.is_healthy();
    let before = server.memory_kib();
    let mut random = SmallRng::seed_from_u64(7);
    // Each claims the longest message there is and sends a little of it.
    let claims: Vec<_> = (0..500)
        .map(|_| {
            let mut client = Legacy::open(server.compat());
            client.stream.write_all(&(16u32 << 20).to_be_bytes()).unwrap();
            client.stream.write_all(&[0x91; 100]).unwrap();
            client
        })
        .collect();
    for _ in 0..500 {
        let mut client = Legacy::open(server.compat());
        let mut bytes = vec![0; random.random_range(1..2_000)];
        random.fill_bytes(&mut bytes);
        let whole = random.random_bool(0.5);
        let prefix = if whole { bytes.len() } else { bytes.len() * 2 };
        client.stream.write_all(&u32::try_from(prefix).unwrap().to_be_bytes()).unwrap();
        client.stream.write_all(&bytes).unwrap();
        if whole {
            client.reply();
        }
    }
    witness.is_healthy();
    let grown = server.memory_kib().saturating_sub(before);
    assert!(grown < 100 << 10, "{grown} KiB for {} connections", claims.len());
}
