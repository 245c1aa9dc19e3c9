//! Learn many concepts over one client, with many requests in flight.
//!
//!     cargo run -p sutra-client --example bulk_load
//!
//! Needs a server; the first argument is its address, 127.0.0.1:50050 without one.

#![allow(clippy::print_stdout, reason = "an example shows what it gets")]

use std::time::Instant;

use sutra_client::{Client, ClientError, Concept};

/// Returns how many were answered as stored.
pub(crate) async fn run(address: &str, count: u32) -> Result<u32, ClientError> {
    let client = Client::connect(address).await?.namespace("bulk-load");
    let concepts = (0..count).map(|number| {
        let angle = number as f32;
        Concept::new(format!("number {number}")).embedding(vec![angle.sin(), angle.cos()])
    });
    let began = Instant::now();
    // Answers come in the order of the concepts. An error belongs to one of them, and the others go
    // on.
    let mut answers = client.learn_many(concepts).in_flight(1024);
    let mut stored = 0;
    while let Some(answer) = answers.next().await {
        answer?;
        stored += 1;
    }
    println!("{stored} concepts in {:.1?}", began.elapsed());
    Ok(stored)
}

#[tokio::main]
async fn main() -> Result<(), ClientError> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:50050".to_owned());
    run(&address, 100_000).await.map(drop)
}
