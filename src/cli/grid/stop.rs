//! `sutra grid stop`: stops a storage node, and answers when its process is gone.

use serde_json::json;
use sutra_client::grid::GridClient;

use super::args::Stop;
use crate::exit::{Answer, Failure};
use crate::output::{Output, name};

pub(super) async fn run(grid: &GridClient, stop: &Stop, output: Output) -> Result<Answer, Failure> {
    let found = grid.stop_node(&stop.node).await?;
    output.answer(&json!({ "node": stop.node, "stopped": found }), || {
        let node = name(&stop.node);
        if found { format!("{node} is stopped; its data stays") } else { format!("there is no node {node}") }
    })?;
    Ok(if found { Answer::Yes } else { Answer::No })
}
