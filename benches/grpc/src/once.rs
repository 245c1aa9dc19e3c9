//! What is done once: filling the store, opening connections that stay idle, and the first answer
//! on a new connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use serde_json::json;
use tokio::task::JoinSet;

use crate::Outcome;
use crate::client::{CONCEPTS, Operation, Vectors, call, filled, learn, search};
use crate::transport::{Traffic, connect};

/// The first connections, which are not counted: with them come things that all share.
const FIRST: usize = 100;
/// Concepts that are learned at a time.
const AT_ONCE: u64 = 64;

#[derive(Args)]
pub(crate) struct Fill {
    #[arg(long)]
    address: SocketAddr,
    #[arg(long, default_value_t = CONCEPTS)]
    concepts: u64,
    /// Learned instead, where they are given
    #[command(flatten)]
    vectors: Vectors,
}

#[derive(Args)]
pub(crate) struct Search {
    #[arg(long)]
    address: SocketAddr,
    #[command(flatten)]
    queries: Vectors,
}

#[derive(Args)]
pub(crate) struct Idle {
    #[arg(long)]
    address: SocketAddr,
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// The server's process, whose memory is measured
    #[arg(long)]
    server_pid: u32,
}

#[derive(Args)]
pub(crate) struct Connect {
    #[arg(long)]
    address: SocketAddr,
}

impl Fill {
    pub(crate) fn run(&self) -> Outcome {
        let count = self.vectors.read()?.unwrap_or(self.concepts);
        runtime()?.block_on(async {
            let channel = connect(self.address, &Arc::default()).await?;
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
            Ok(())
        })
    }
}

impl Search {
    pub(crate) fn run(&self) -> Outcome {
        let count = self.queries.read()?.ok_or("searches need --vectors to ask for")?;
        runtime()?.block_on(async {
            let channel = connect(self.address, &Arc::default()).await?;
            let mut found = Vec::new();
            for number in 0..count {
                found.push(search(&channel, number).await?);
            }
            println!("{}", json!(found));
            Ok(())
        })
    }
}

impl Idle {
    pub(crate) fn run(&self) -> Outcome {
        if self.connections <= FIRST {
            return Err(format!("--connections must be over {FIRST}: the first ones are not counted").into());
        }
        runtime()?.block_on(async {
            let traffic = Arc::new(Traffic::default());
            let mut open = Vec::with_capacity(self.connections);
            let mut before = 0;
            for number in 0..self.connections {
                if number == FIRST {
                    before = resident(self.server_pid)?;
                }
                let channel = connect(self.address, &traffic).await?;
                call(&channel, Operation::Query, number as u64 % CONCEPTS).await?;
                open.push(channel);
            }
            let after = resident(self.server_pid)?;
            let each = after.saturating_sub(before) as f64 / (self.connections - FIRST) as f64;
            println!("{}", json!({ "bytes_each": each }));
            Ok(())
        })
    }
}

impl Connect {
    pub(crate) fn run(&self) -> Outcome {
        runtime()?.block_on(async {
            let began = Instant::now();
            let channel = connect(self.address, &Arc::default()).await?;
            call(&channel, Operation::Query, 0).await?;
            println!("{}", json!({ "seconds": began.elapsed().as_secs_f64() }));
            Ok(())
        })
    }
}

fn runtime() -> Outcome<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn resident(pid: u32) -> Outcome<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("VmRSS in status")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
}
