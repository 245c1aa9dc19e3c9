//! Tasks that run once: filling the store, searches whose recall is counted, opening connections
//! that stay idle, and the first answer on a new connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::Outcome;
use crate::client::{CONCEPTS, Operation, Vectors, call, filled, learn, search};
use crate::transport::connect;

/// How many connections come first and are not counted: they bring memory that all connections
/// share.
const FIRST: usize = 100;
/// Concepts that are learned at a time.
const AT_ONCE: u64 = 64;

#[derive(Args)]
pub(crate) struct Options {
    #[arg(long)]
    address: SocketAddr,
    /// What is learned or searched for
    #[command(flatten)]
    vectors: Vectors,
    /// Connections to open; the first 100 are not counted
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// The server's process, whose memory is measured
    #[arg(long, default_value_t = 0)]
    server_pid: u32,
}

/// Runs one of the tasks below, and prints its result as JSON.
pub(crate) fn run(
    options: &Options,
    what: impl AsyncFnOnce(&Options) -> Outcome<Value>,
) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("{}", runtime.block_on(what(options))?);
    Ok(())
}

/// Fills the store. Returns how many concepts it has learned.
pub(crate) async fn fill(options: &Options) -> Outcome<Value> {
    let count = options.vectors.read()?.unwrap_or(CONCEPTS);
    let channel = connect(options.address, &Arc::default()).await?;
    for first in (0..count).step_by(AT_ONCE as usize) {
        let mut batch = JoinSet::new();
        for number in first..count.min(first + AT_ONCE) {
            let channel = channel.clone();
            batch.spawn(async move { learn(&channel, filled(number)).await });
        }
        while let Some(learned) = batch.join_next().await {
            learned??;
        }
    }
    Ok(json!(count))
}

/// The ids of the concepts nearest to each query.
pub(crate) async fn search_each(options: &Options) -> Outcome<Value> {
    let count = options.vectors.read()?.ok_or("searches need --vectors to ask for")?;
    let channel = connect(options.address, &Arc::default()).await?;
    let mut found = Vec::new();
    for number in 0..count {
        found.push(search(&channel, number).await?);
    }
    Ok(json!(found))
}

/// Resident memory of the server for each idle connection, in bytes.
pub(crate) async fn idle(options: &Options) -> Outcome<Value> {
    let (mut open, mut before) = (Vec::with_capacity(options.connections), 0);
    for number in 0..options.connections {
        if number == FIRST {
            before = resident(options.server_pid)?;
        }
        let channel = connect(options.address, &Arc::default()).await?;
        call(&channel, Operation::Query, number as u64 % CONCEPTS).await?;
        open.push(channel);
    }
    let grown = resident(options.server_pid)?.saturating_sub(before);
    Ok(json!(grown as f64 / open.len().saturating_sub(FIRST) as f64))
}

/// Seconds from connecting to the first answer.
pub(crate) async fn first_answer(options: &Options) -> Outcome<Value> {
    let began = Instant::now();
    let channel = connect(options.address, &Arc::default()).await?;
    call(&channel, Operation::Query, 0).await?;
    Ok(json!(began.elapsed().as_secs_f64()))
}

fn resident(pid: u32) -> Outcome<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .ok_or("/proc/PID/status has no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
}
