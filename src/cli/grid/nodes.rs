//! `sutra grid nodes`: lists the storage nodes.

use sutra_client::grid::GridClient;

use super::args::Nodes;
use super::show;
use crate::exit::{Answer, Failure};
use crate::output::Output;

pub(super) async fn run(
    grid: &GridClient,
    asked: &Nodes,
    output: Output,
) -> Result<Answer, Failure> {
    let nodes = grid.nodes(asked.agent.as_deref()).await?;
    let value: Vec<_> = nodes.iter().map(show::node_json).collect();
    output.answer(&value, || {
        if nodes.is_empty() { "no nodes".into() } else { show::nodes(&nodes) }
    })?;
    Ok(Answer::Yes)
}
