//! A storage node by the grid: found by its name, wherever it runs.
//!
//!     cargo run -p sutra-client --example grid
//!
//! Needs a master and an agent "rack-1" (src/grid/README.md); the first argument is the master's
//! address, 127.0.0.1:7001 without one.

#![allow(clippy::print_stdout, reason = "an example shows what it gets")]

use sutra_client::grid::SpawnNode;
use sutra_client::{Client, ClientError, Concept, GridClient};

/// Starts a node, writes to it by its name, and stops it. Returns what was read back.
pub(crate) async fn run(master: &str, agent: &str) -> Result<Option<String>, ClientError> {
    let grid = GridClient::new(master);
    let wanted = SpawnNode { agent_id: agent.into(), name: "notes".into(), ..SpawnNode::default() };
    grid.spawn_node(&wanted).await?;

    let client = Client::connect(format!("grid://{master}/notes")).await?;
    client.learn(Concept::new("today").content("a node was started")).await?;
    let content = client.query("today").await?.map(|today| today.content.to_string());
    println!("{content:?}");
    grid.stop_node("notes").await?;
    Ok(content)
}

#[tokio::main]
async fn main() -> Result<(), ClientError> {
    let master = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7001".to_owned());
    run(&master, "rack-1").await.map(drop)
}
