//! Measures how long protobuf takes for the messages that are compared.

use std::hint::black_box;
use std::time::{Duration, Instant};

use prost::Message;
use serde_json::{Value, json};

use crate::Outcome;
use crate::calls::*;
use crate::client::{heartbeat, learned, queried};

const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(20);

/// Prints a JSON object for each message: its bytes and the medians of encoding and decoding it, in
/// ns.
pub(crate) fn run() -> Outcome {
    let reply = HeartbeatReply { acknowledged: true, timestamp: heartbeat().timestamp };
    let figures = json!([
        measured("learn_request", &learned(0))?,
        measured("query_reply", &queried(0)?)?,
        measured("heartbeat_request", &heartbeat())?,
        measured("heartbeat_reply", &reply)?,
    ]);
    println!("{figures}");
    Ok(())
}

fn measured<M: Message + Default>(name: &str, message: &M) -> Outcome<Value> {
    let bytes = message.encode_to_vec();
    M::decode(&bytes[..])?;
    let mut buffer = Vec::with_capacity(bytes.len());
    let encode_ns = median(|| {
        buffer.clear();
        let encoded = black_box(message).encode(&mut buffer);
        black_box((encoded.is_ok(), &buffer));
    });
    let decode_ns = median(|| {
        black_box(M::decode(black_box(&bytes[..])).is_ok());
    });
    let bytes = bytes.len();
    Ok(json!({
        "encoding": "protobuf", "message": name, "bytes": bytes, "encode_ns": encode_ns,
        "decode_ns": decode_ns
    }))
}

fn median(mut work: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let (began, mut count) = (Instant::now(), 0u32);
            while began.elapsed() < ROUND {
                (0..100).for_each(|_| work());
                count += 100;
            }
            began.elapsed().as_nanos() as f64 / f64::from(count)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}
