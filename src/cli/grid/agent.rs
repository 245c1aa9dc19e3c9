//! `sutra grid agent`: runs an agent until it is told to stop.

use std::sync::Arc;

use serde_json::json;
use sutra_grid_agent::{Agent, AgentConfig, AgentStart};
use tokio::sync::Notify;

use super::args::RunAgent;
use crate::connect::runtime;
use crate::exit::{Answer, Failure};
use crate::exposure;
use crate::output::Output;
use crate::printable::name;
use crate::signals;
use crate::systemd::{notify, watchdog};

pub(super) fn run(agent: RunAgent, output: Output) -> Result<Answer, Failure> {
    let config = AgentConfig {
        id: agent.id,
        master: agent.master,
        data: agent.data,
        max_nodes: u32::try_from(agent.max_nodes).unwrap_or(u32::MAX),
        listen: agent.listen,
        advertise: agent.advertise,
        admin: agent.admin.address(),
        on_stop: agent.on_stop,
        program: agent.program,
        ..AgentConfig::default()
    };
    let (id, master) = (config.id.clone(), config.master.clone());
    let asked = Arc::new(Notify::new());
    let is_asked = Arc::clone(&asked);
    let mut signalled = false;
    signals::heed_as_service(move |signal| {
        let is_first = !std::mem::replace(&mut signalled, true);
        if is_first {
            tracing::info!(signal, "stopping; a second signal ends at once");
            notify::stopping("leaving the nodes, or stopping them, as it was told to");
            is_asked.notify_one();
        }
        is_first
    })?;
    runtime()?.block_on(async {
        let agent = Agent::start(config).await?;
        let report = agent.report();
        let may = "may start and stop storage nodes on this host";
        exposure::warn("agent's", &[report.listening], may);
        // Its nodes' are on the same address.
        let may = "may read which nodes there are, and what they store";
        exposure::warn("admin", report.admin.as_slice(), may);
        announce(&id, &master, report, output)?;
        let endpoint = &report.endpoint;
        notify::ready(&format!("agent {id} of the grid at {master}, reached as {endpoint}"));
        tokio::select! {
            () = agent.run(asked.notified()) => Ok(Answer::Yes),
            // It goes on for ever.
            () = watchdog::report_rounds() => Ok(Answer::Yes),
        }
    })
}

fn announce(id: &str, master: &str, start: &AgentStart, output: Output) -> Result<(), Failure> {
    let value = json!({
        "agent_id": id,
        "listening": start.listening,
        "endpoint": start.endpoint,
        "master": master,
        "admin": start.admin,
        "data": start.data,
        "adopted": start.adopted,
        "started": start.started,
        "memory_limits": start.memory,
    });
    output.answer(&value, || {
        let nodes = match (start.adopted, start.started) {
            (0, 0) => String::new(),
            (adopted, started) => {
                format!("\nnodes      {adopted} adopted, {started} started again")
            }
        };
        let admin = start.admin.map_or_else(String::new, |at| {
            format!(
                "\nadmin      http://{at} (a page; /metrics; the master's /api/v1/targets lists it)"
            )
        });
        format!(
            "agent      {}\n\
             listening  {} (the master reaches it as {})\n\
             master     {}\n\
             data       {}\n\
             memory     limits: {}{admin}{nodes}",
            name(id),
            start.listening,
            name(&start.endpoint),
            name(master),
            start.data.display(),
            start.memory,
        )
    })
}
