//! `sutra grid agents`: lists the agents.

use sutra_client::grid::GridClient;

use super::show;
use crate::exit::{Answer, Failure};
use crate::output::Output;

pub(super) async fn run(grid: &GridClient, output: Output) -> Result<Answer, Failure> {
    let agents = grid.agents().await?;
    let value: Vec<_> = agents.iter().map(show::agent_json).collect();
    output.answer(&value, || {
        if agents.is_empty() { "no agents".into() } else { show::agents(&agents) }
    })?;
    Ok(Answer::Yes)
}
