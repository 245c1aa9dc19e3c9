//! `sutra grid spawn`: starts a storage node, and answers when it runs.

use sutra_client::grid::GridClient;
use sutra_wire::grid::SpawnNode;

use super::args::Spawn;
use super::show;
use crate::exit::{Answer, Failure};
use crate::output::Output;

pub(super) async fn run(
    grid: &GridClient,
    spawn: &Spawn,
    output: Output,
) -> Result<Answer, Failure> {
    let request = SpawnNode {
        agent_id: spawn.agent.clone(),
        name: spawn.name.clone(),
        storage_path: spawn.path.clone(),
        cores: spawn.cores.clone(),
        memory_limit_mb: spawn.memory.unwrap_or(0),
        port: spawn.port.into(),
        compat_port: spawn.compat_port.into(),
    };
    let node = grid.spawn_node(&request).await?;
    output.answer(&show::node_json(&node), || show::node(&node))?;
    Ok(Answer::Yes)
}
