//! What it costs to turn the same messages into bytes and back, by encoding. Protobuf is measured
//! by the gRPC contender's program. MessagePack and bincode encode the old server's own types.
//! Sutra's archives are checked and read in place.

use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use rkyv::api::high::HighSerializer;
use rkyv::rancor::Error;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::util::AlignedVec;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sutra_wire::grid::{AgentHeartbeat, HeartbeatAck};
use sutra_wire::{
    Checked, ConceptId, ConceptRecord, FrameBuffer, Header, Opcode, Payload, encode_archive,
};

use super::record::Serialized;
use super::setup::{DIMENSION, LEARNED_CONTENT, QUERIED_CONTENT};
use crate::Outcome;
use crate::legacy::messages::{GridRequest, GridResponse, Request, Response};
use crate::process::{built, printed};

const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(10);

/// Measures all messages in all encodings; in protobuf only if its program is there.
pub(crate) fn measure(problems: &mut Vec<String>) -> Vec<Serialized> {
    let learn = Request::LearnConcept {
        concept_id: sutra_load::key_name("learned", 0),
        content: text(LEARNED_CONTENT),
        embedding: vector(),
        strength: 1.0,
        confidence: 1.0,
    };
    let queried = Response::QueryConceptOk {
        found: true,
        concept_id: id("bench").to_string(),
        content: text(QUERIED_CONTENT),
        strength: 1.0,
        confidence: 1.0,
    };
    let beat = GridRequest::Heartbeat {
        agent_id: "agent-001".into(),
        storage_node_count: 5,
        timestamp: 1_230_000_000,
    };
    let answered = GridResponse::HeartbeatOk { acknowledged: true, timestamp: 1_230_000_000 };
    let mut serialized = Vec::new();
    both("learn_request", &learn, &mut serialized);
    both("query_reply", &queried, &mut serialized);
    both("heartbeat_request", &beat, &mut serialized);
    both("heartbeat_reply", &answered, &mut serialized);
    let record = |name: &str, content, embedding| ConceptRecord {
        id: id(name).0,
        name: sutra_load::key_name(name, 0),
        content: text(content),
        embedding,
        strength: 1.0,
        confidence: 1.0,
        ..ConceptRecord::default()
    };
    serialized.push(archived("learn_request", &record("learned", LEARNED_CONTENT, vector())));
    serialized.push(archived("query_reply", &record("bench", QUERIED_CONTENT, Vec::new())));
    let agent_id = "agent-001".to_owned();
    let beat =
        AgentHeartbeat { agent_id, incarnation: 7, revision: 5, sent: 1_230_000_000_000_000 };
    serialized.push(archived("heartbeat_request", &beat));
    serialized
        .push(archived("heartbeat_reply", &HeartbeatAck { sent: beat.sent, wants_report: false }));
    match protobuf() {
        Ok(more) => serialized.extend(more),
        Err(error) => problems.push(format!("Serialization by protobuf FAILED: {error}")),
    }
    serialized
}

fn text(bytes: usize) -> String {
    "sutra ".chars().cycle().take(bytes).collect()
}

fn vector() -> Vec<f32> {
    (0..DIMENSION).map(|at| at as f32 / DIMENSION as f32).collect()
}

fn id(prefix: &str) -> ConceptId {
    ConceptId::from_name(&sutra_load::key_name(prefix, 0))
        .expect("a name that is not empty has an id")
}

fn both<T: Serialize + DeserializeOwned>(message: &str, value: &T, into: &mut Vec<Serialized>) {
    let mut buffer = Vec::new();
    let encode = |buffer: &mut Vec<u8>| rmp_serde::encode::write_named(buffer, value).is_ok();
    into.push(one("msgpack", message, &mut buffer, encode, |bytes| {
        rmp_serde::from_slice::<T>(bytes).is_ok()
    }));
    let encode = |buffer: &mut Vec<u8>| bincode::serialize_into(buffer, value).is_ok();
    into.push(one("bincode", message, &mut buffer, encode, |bytes| {
        bincode::deserialize::<T>(bytes).is_ok()
    }));
}

fn one(
    encoding: &str,
    message: &str,
    buffer: &mut Vec<u8>,
    encode: impl Fn(&mut Vec<u8>) -> bool,
    decode: impl Fn(&[u8]) -> bool,
) -> Serialized {
    let encode_ns = median(|| {
        buffer.clear();
        encode(buffer)
    });
    let decode_ns = median(|| decode(black_box(buffer)));
    Serialized {
        encoding: encoding.into(),
        message: message.into(),
        bytes: buffer.len(),
        encode_ns,
        decode_ns,
    }
}

/// The serializer with which the wire archives.
type Archiving<'a> = HighSerializer<AlignedVec<16>, ArenaHandle<'a>, Error>;

/// Measures archiving into a buffer that is used again, and checking the archive in place. After
/// that its fields are read in place.
fn archived<T: Payload + for<'a> rkyv::Serialize<Archiving<'a>>>(
    message: &str,
    value: &T,
) -> Serialized {
    let header = Header { opcode: Opcode::Learn as u8, ..Header::default() };
    let mut buffer = FrameBuffer::new();
    let encode_ns = median(|| {
        buffer.clear();
        encode_archive(&mut buffer, header, black_box(value));
        !buffer.is_empty()
    });
    let payload = match sutra_wire::parse(&buffer, u32::MAX) {
        Ok(sutra_wire::Parsed::Frame(frame, _)) => frame.payload,
        _ => unreachable!("a frame that was just encoded parses"),
    };
    let decode_ns = median(|| Checked::<T>::new(black_box(payload)).is_ok());
    Serialized {
        encoding: "rkyv".into(),
        message: message.into(),
        bytes: payload.len(),
        encode_ns,
        decode_ns,
    }
}

/// The median time of `work`, in ns, over short rounds.
fn median(mut work: impl FnMut() -> bool) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let (began, mut count) = (Instant::now(), 0u32);
            while began.elapsed() < ROUND {
                for _ in 0..100 {
                    assert!(black_box(work()), "what was encoded can be decoded");
                }
                count += 100;
            }
            began.elapsed().as_nanos() as f64 / f64::from(count)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

/// Protobuf's figures, which the gRPC contender's program prints as the record has them.
fn protobuf() -> Outcome<Vec<Serialized>> {
    let mut command = Command::new(built("sutra-bench-grpc")?);
    command.arg("serialize");
    printed(command)
}
