//! Measures what an idle connection costs each server: its resident memory before and after many
//! connections were opened, used once, and left silent.

use sutra_load::Plan;

use super::ask::{fill, grpc, workload};
use super::contenders::{Contender, GRPC, MEMCACHED, OLD_UNSYNCED, REDIS, SUTRA};
use super::record::Idle;
use super::setup::{Operation, Setup};
use crate::Outcome;
use crate::process::printed;

/// How many connections come first and are not counted: they bring memory that all connections
/// share.
const FIRST: usize = 100;

/// Starts each contender anew, one after the other: memory that an earlier load has left would hide
/// what connections take.
pub(crate) fn measure(setup: &Setup, connections: usize) -> Vec<Idle> {
    let mut measured = Vec::new();
    for contender in [&SUTRA, &OLD_UNSYNCED, &GRPC, &REDIS, &MEMCACHED] {
        if contender.version().is_ok() {
            eprintln!("{connections} idle connections: {}", contender.name);
            let bytes_each = of(contender, setup, connections).map_err(|error| error.to_string());
            measured.push(Idle { contender: contender.name.to_owned(), connections, bytes_each });
        }
    }
    measured
}

fn of(contender: &Contender, setup: &Setup, connections: usize) -> Outcome<f64> {
    let running = contender.start(setup.server_cpu, setup.query_bytes)?;
    fill(contender, &running, setup)?;
    if contender.name == GRPC.name {
        let mut command = grpc("idle", running.address)?;
        command.args([
            "--connections",
            &connections.to_string(),
            "--server-pid",
            &running.pid().to_string(),
        ]);
        return printed(command);
    }
    // The smallest exchange of the protocol.
    let operation =
        if contender.name == MEMCACHED.name { Operation::Query } else { Operation::Heartbeat };
    let open = |count| -> Outcome<_> {
        let workload = workload(contender.protocol, operation, setup)?;
        Ok(sutra_load::open_idle(
            &Plan { connections: count, ..Plan::new(running.address) },
            workload,
        )?)
    };
    let _first = open(FIRST)?;
    let before = running.resident()?;
    let _open = open(connections - FIRST)?;
    let after = running.resident()?;
    Ok(after.saturating_sub(before) as f64 / (connections - FIRST) as f64)
}
