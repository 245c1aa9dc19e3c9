//! `sutra grid unregister`: has the master forget an agent.

use serde_json::json;
use sutra_client::grid::GridClient;

use super::args::Unregister;
use crate::exit::{Answer, Failure};
use crate::output::Output;
use crate::printable::name;

pub(super) async fn run(
    grid: &GridClient,
    unregister: &Unregister,
    output: Output,
) -> Result<Answer, Failure> {
    let found = grid.unregister_agent(&unregister.agent).await?;
    output.answer(&json!({ "agent_id": unregister.agent, "unregistered": found }), || {
        let agent = name(&unregister.agent);
        if found {
            format!("{agent} is forgotten; one that still runs registers again")
        } else {
            format!("there is no agent {agent}")
        }
    })?;
    Ok(if found { Answer::Yes } else { Answer::No })
}
