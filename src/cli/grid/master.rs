//! `sutra grid master`: runs a master until it is told to stop.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use serde_json::json;
use sutra_grid_master::{MasterConfig, StartReport};

use super::args::RunMaster;
use crate::exit::{Answer, Failure};
use crate::exposure;
use crate::output::Output;
use crate::signals;
use crate::systemd::{notify, watchdog};
use crate::values::compat_addresses;

/// Stops the master; set once there is one.
type Stopper = OnceLock<Box<dyn Fn() + Send + Sync>>;

pub(super) fn run(run: RunMaster, output: Output) -> Result<Answer, Failure> {
    let config = MasterConfig {
        compat: compat_addresses(&run.compat)?,
        data: run.data,
        listen: run.listen,
        admin: run.admin.address(),
        degraded_after: run.degraded_after,
        offline_after: run.offline_after,
        heartbeat: run.heartbeat,
        cpu: run.cpu.map(|cpu| usize::try_from(cpu).unwrap_or(usize::MAX)),
        ..MasterConfig::default()
    };
    let stop_master = Arc::new(Stopper::new());
    let stopping = Arc::clone(&stop_master);
    let mut was_asked = false;
    signals::heed_as_service(move |signal| {
        // A master that still reads its log has answered nobody yet: it ends with the first signal.
        let Some(stop) = stopping.get() else { return false };
        let is_first = !std::mem::replace(&mut was_asked, true);
        if is_first {
            tracing::info!(signal, "stopping; a second signal ends at once");
            notify::stopping("finishing what was received");
            stop();
        }
        is_first
    })?;
    notify::starting(&format!("reading {}", config.data.display()));
    let master = sutra_grid_master::start(config)?;
    stop_master.get_or_init(|| Box::new(master.stopper()));
    let report = master.report();
    let may = "may have storage nodes started and stopped, and register agents";
    exposure::warn("native", &report.listening, may);
    exposure::warn("compat", &report.compat, may);
    exposure::warn("admin", report.admin.as_slice(), "may read which agents and nodes there are");
    announce(report, output)?;
    let status = format!("the grid's master on {}", listed(&report.listening));
    notify::ready(&status);
    watchdog::watch(master.pulse(), status)?;
    master.wait()?;
    tracing::info!("stopped; the agents and their nodes go on");
    Ok(Answer::Yes)
}

fn listed(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn announce(report: &StartReport, output: Output) -> Result<(), Failure> {
    let value = json!({
        "listening": report.listening,
        "compat": report.compat,
        "admin": report.admin,
        "data": report.data,
        "agents": report.agents,
        "nodes": report.nodes,
        "recovered": report.recovery.fields().into_iter().collect::<BTreeMap<_, _>>(),
    });
    output.answer(&value, || report.to_string())
}
