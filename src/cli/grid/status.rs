//! `sutra grid status`: the grid on one page; the exit code says to scripts whether it is healthy.

use std::time::Duration;

use serde_json::json;
use sutra_client::grid::GridClient;
use sutra_wire::Health;
use sutra_wire::grid::ClusterState;

use super::show;
use crate::exit::{Answer, Failure};
use crate::output::Output;
use crate::printable::name;
use crate::words::duration;

pub(super) async fn run(
    grid: &GridClient,
    address: &str,
    output: Output,
) -> Result<Answer, Failure> {
    let cluster = grid.cluster().await?;
    let health = grid.health().await?;
    let agents = grid.agents().await?;
    let nodes = grid.nodes(None).await?;
    let state = ClusterState::from_number(cluster.state);
    let word =
        state.map_or_else(|| format!("state {}", cluster.state), |state| state.name().to_owned());
    // Not heard of since the master's start.
    let unknown =
        cluster.agents.saturating_sub(cluster.healthy + cluster.degraded + cluster.offline);
    let value = json!({
        "state": word, "status": health.status, "version": cluster.version,
        "uptime_us": cluster.uptime,
        "agents": {
            "total": cluster.agents, "healthy": cluster.healthy, "degraded": cluster.degraded,
            "offline": cluster.offline, "unknown": unknown,
        },
        "nodes": { "total": cluster.nodes, "running": cluster.running },
        "agent_list": agents.iter().map(show::agent_json).collect::<Vec<_>>(),
        "node_list": nodes.iter().map(show::node_json).collect::<Vec<_>>(),
    });
    output.answer(&value, || {
        let mut text = format!(
            "grid at {}: {word}{}\n\
             agents  {}: {} healthy, {} degraded, {} offline{}\n\
             nodes   {}: {} running\n\
             master  {}, up {}",
            name(address),
            why(&health),
            cluster.agents,
            cluster.healthy,
            cluster.degraded,
            cluster.offline,
            if unknown == 0 {
                String::new()
            } else {
                format!(", {unknown} not heard of since the master's start")
            },
            cluster.nodes,
            cluster.running,
            name(&cluster.version),
            duration(Duration::from_micros(cluster.uptime)),
        );
        if agents.is_empty() {
            text.push_str(
                "\n\nno agents yet; on each host run `sutra grid agent --id NAME --master ADDRESS`",
            );
        } else {
            text = text + "\n\n" + &show::agents(&agents);
        }
        if !nodes.is_empty() {
            text = text + "\n\n" + &show::nodes(&nodes);
        }
        text
    })?;
    Ok(if state == Some(ClusterState::Healthy) && health.healthy {
        Answer::Yes
    } else {
        Answer::No
    })
}

/// What is not as it should be, a line each.
fn why(health: &Health) -> String {
    if health.healthy {
        return String::new();
    }
    let problems = health.status.split_once(": ").map_or(&*health.status, |(_, problems)| problems);
    problems.split("; ").map(|problem| format!("\n  {}", name(problem))).collect()
}
