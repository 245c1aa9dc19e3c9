//! Measures many agents on one master's core. Each agent sends a heartbeat a second, and then more,
//! until the core does not keep up.

use std::time::Duration;

use clap::Args;
use sutra_load::{AgentHeartbeats, Plan, RegisterAgents, Report, ServerCpu};

use crate::Outcome;
use crate::options::{Cpus, filling, load};
use crate::process::Running;

#[derive(Args)]
pub(crate) struct Options {
    /// How many agents; several numbers are measured in turn
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000])]
    agents: Vec<u64>,
    /// Seconds measured for each figure
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    #[command(flatten)]
    cpus: Cpus,
}

/// Agents that register in each second.
const REGISTERED: f64 = 1_000.0;
/// Heartbeats a second of each agent.
const RATES: [f64; 6] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0];
/// The core has not kept up if it answers less than this share of what is due.
const KEPT_UP: f64 = 0.98;

pub(crate) fn run(options: &Options) -> Outcome {
    println!(
        "heartbeats on one master's core, each agent on a connection of its own; \
         latency from when one was due"
    );
    for agents in &options.agents {
        let master = Running::grid_master(options.cpus.server_cpu)?;
        register(*agents, &master)?;
        println!(
            "\n{agents} agents, registered at {REGISTERED:.0}/s and asked back by the master; \
             {:.1} MB resident",
            master.resident()? as f64 / 1e6
        );
        for each in RATES {
            let report = heartbeats(options, *agents, *agents as f64 * each, &master)?;
            let latency = report.latency.ok_or("no heartbeat was answered")?;
            let busy = report.server_cpu.as_ref().map_or(0.0, |cpu| cpu.cores_busy);
            let us = |ns: u64| ns as f64 / 1000.0;
            println!(
                "  {each:>4} a second each: {:>9.0}/s answered, CPU {:>5.1} % of a core, \
                 p50 {:>8.1} µs, p99 {:>9.1} µs, p99.9 {:>9.1} µs",
                report.requests_per_second,
                busy * 100.0,
                us(latency.p50_ns),
                us(latency.p99_ns),
                us(latency.p99_9_ns)
            );
            if report.requests_per_second < KEPT_UP * *agents as f64 * each {
                println!("  it does not keep up");
                break;
            }
        }
    }
    Ok(())
}

fn register(agents: u64, master: &Running) -> Outcome<Report> {
    // A master asks each new agent back at its address. It refuses agents of one address while too
    // many of them are not asked yet, so they come at a rate.
    let plan = Plan { connections: 4, depth: 1, rate: Some(REGISTERED), ..filling(master, agents) };
    let report = sutra_load::run(&plan, vec![RegisterAgents::new(agents)?], None)?;
    if report.requests == agents {
        Ok(report)
    } else {
        Err(format!("not all agents were registered: {report}").into())
    }
}

fn heartbeats(options: &Options, agents: u64, rate: f64, master: &Running) -> Outcome<Report> {
    let load = load(master, usize::try_from(agents)?, 4, options.seconds, options.cpus.load_cpu);
    let plan = Plan { rate: Some(rate), warm_up: Duration::from_secs(1), ..load };
    let cpu = ServerCpu::of_process(master.pid());
    Ok(sutra_load::run(&plan, vec![AgentHeartbeats::new(agents)], Some(cpu))?)
}
