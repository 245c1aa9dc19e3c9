//! `sutra grid stop`: stops a storage node, and answers when its process is gone.

use serde_json::json;
use sutra_client::grid::GridClient;
use sutra_wire::grid::NodeState;

use super::args::Stop;
use crate::exit::{Answer, Failure};
use crate::output::Output;
use crate::printable::name;

pub(super) async fn run(grid: &GridClient, stop: &Stop, output: Output) -> Result<Answer, Failure> {
    let before = grid.node(&stop.node).await?;
    let was_lost = before.is_some_and(|node| node.report.state == NodeState::Lost as u8);
    let found = grid.stop_node(&stop.node).await?;
    let value = json!({
        "node": stop.node,
        "stopped": found && !was_lost,
        "forgotten": found && was_lost,
    });
    output.answer(&value, || {
        let node = name(&stop.node);
        match (found, was_lost) {
            (false, _) => format!("there is no node {node}"),
            (true, false) => format!("{node} is stopped; its data stays"),
            (true, true) => {
                format!("{node} was lost and is forgotten; its process, if there is one, goes on")
            }
        }
    })?;
    Ok(if found { Answer::Yes } else { Answer::No })
}
