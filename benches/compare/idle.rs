//! What an idle connection costs each server: its resident memory before and after so many were
//! opened, used once, and fell silent.

use std::process::Command;

use serde::Deserialize;
use sutra_load::{Health, KeySpace, Keys, LegacyHealth, MemcachedGet, Plan, RedisPing, Workload};

use super::contender::{CONCEPTS, Instance, Setup, fill, printed};
use super::peers;
use super::record::Idle;
use crate::Outcome;

/// Connections that pay for what all share.
const FIRST: usize = 100;

const SERVERS: [Instance; 5] =
    [Instance::Sutra, Instance::OldUnsynced, Instance::Grpc, Instance::Redis, Instance::Memcached];

/// Each contender anew, one after the other: memory that an earlier load has left would hide what
/// connections take.
pub(crate) fn measure(setup: &Setup, connections: usize) -> Vec<Idle> {
    let mut measured = Vec::new();
    for instance in SERVERS {
        if instance.version().is_err() {
            continue;
        }
        eprintln!("{connections} idle connections: {}", instance.name());
        let bytes_each = of(instance, setup, connections).map_err(|error| error.to_string());
        measured.push(Idle { contender: instance.name().to_owned(), connections, bytes_each });
    }
    measured
}

/// What the gRPC contender's program prints.
#[derive(Deserialize)]
struct Printed {
    bytes_each: f64,
}

fn of(instance: Instance, setup: &Setup, connections: usize) -> Outcome<f64> {
    let running = instance.start(setup.server_cpu, setup.query_bytes)?;
    if instance == Instance::Grpc {
        fill(instance, &running, setup)?;
        let mut command = Command::new(peers::grpc_binary()?);
        command.args(["idle", "--address", &running.address.to_string(), "--connections", &connections.to_string()]);
        command.args(["--server-pid", &running.pid().to_string()]);
        return Ok(printed::<Printed>(command)?.bytes_each);
    }
    fill(instance, &running, setup)?;
    let open = |count| -> Outcome<_> {
        let workload: Box<dyn Workload> = match instance {
            Instance::Redis => Box::new(RedisPing),
            Instance::Memcached => {
                let keys = Keys::new("bench", KeySpace::Cycling(CONCEPTS));
                Box::new(MemcachedGet::new(keys, setup.archived.0))
            }
            Instance::OldUnsynced => Box::new(LegacyHealth),
            _ => Box::new(Health),
        };
        Ok(sutra_load::open_idle(&Plan { connections: count, ..Plan::new(running.address) }, workload)?)
    };
    let _first = open(FIRST)?;
    let before = running.resident()?;
    let _open = open(connections - FIRST)?;
    let after = running.resident()?;
    Ok(after.saturating_sub(before) as f64 / (connections - FIRST) as f64)
}
