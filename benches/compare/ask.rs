//! How each contender is filled and asked, protocol by protocol.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use sutra_load::{
    AgentHeartbeats, Echo, GridHeartbeat, Health, KeySpace, LegacyHealth, LegacyLearn, LegacyQuery,
    Plan, Query, RegisterAgents, Report, ServerCpu, Spelling, ValueStore, Workload,
};

use super::cell::Shape;
use super::contenders::{Contender, Protocol};
use super::python;
use super::setup::{
    CONCEPTS, DIMENSION, LEARNED_CONTENT, Operation, QUERIED_CONTENT, Setup, Timing, learned_bytes,
    learned_keys, learned_records, queried_keys, queried_records,
};
use crate::Outcome;
use crate::options::filling;
use crate::process::{Running, built, printed, said};

/// Agents of a grid's master. They send their heartbeats in turn.
const AGENTS: u64 = 100;

/// A workload of any kind.
pub(crate) type Asked = Box<dyn Workload>;

/// Gives a contender the records that are queried.
pub(crate) fn fill(contender: &Contender, running: &Running, setup: &Setup) -> Outcome {
    let keys = || queried_keys(KeySpace::Once(CONCEPTS));
    let workload: Asked = match contender.protocol {
        Protocol::Native | Protocol::NativeVectors | Protocol::Compat(_) => {
            Box::new(queried_records())
        }
        Protocol::Old => Box::new(LegacyLearn::new(keys(), QUERIED_CONTENT, 0)),
        Protocol::Redis => Box::new(ValueStore::Redis.set(keys(), setup.archived.0)),
        Protocol::Memcached => Box::new(ValueStore::Memcached.set(keys(), setup.archived.0)),
        Protocol::Grid => return register(running),
        Protocol::Grpc => return said(grpc("fill", running.address)?).map(drop),
        Protocol::Echo | Protocol::OldGrid | Protocol::Python(_) => return Ok(()),
    };
    write_all(running, workload, CONCEPTS)
}

/// Writes `count` records to a server. Fails unless the server takes all of them.
pub(crate) fn write_all(running: &Running, workload: Asked, count: u64) -> Outcome {
    let report = sutra_load::run(&filling(running, count), vec![workload], None)?;
    if report.requests != count {
        return Err(format!("{} of {count} records were taken: {report}", report.requests).into());
    }
    Ok(())
}

/// Registers a master's agents: those that speak the native protocol, and one that speaks the old
/// one.
fn register(running: &Running) -> Outcome {
    for (workload, count) in [
        (Box::new(RegisterAgents::new(AGENTS)?) as Asked, AGENTS),
        (Box::new(GridHeartbeat::registering()), 1),
    ] {
        let plan = Plan { depth: 1, ..filling(running, count) };
        let report = sutra_load::run(&plan, vec![workload], None)?;
        if report.requests != count {
            return Err(
                format!("{} of {count} agents were registered: {report}", report.requests).into()
            );
        }
    }
    Ok(())
}

/// One measurement of one contender.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) protocol: Protocol,
    pub(crate) operation: Operation,
    pub(crate) shape: Shape,
    /// The client never sleeps.
    pub(crate) spin: bool,
    pub(crate) timing: Timing,
}

impl Question {
    /// Puts the load on a contender, and checks every answer.
    pub(crate) fn ask(&self, running: &Running, setup: &Setup) -> Outcome<Report> {
        match self.protocol {
            Protocol::Grpc => {
                return ask_grpc(
                    running,
                    self.operation.name(),
                    self.shape,
                    self.timing,
                    setup,
                    &[],
                );
            }
            Protocol::Python(client) => {
                return python::ask(
                    running,
                    client,
                    self.operation,
                    self.shape,
                    self.timing,
                    setup,
                );
            }
            _ => {}
        }
        let address = if let Protocol::Compat(_) = self.protocol {
            running.compat()?
        } else {
            running.address
        };
        let plan = Plan { spin: self.spin, ..setup.plan(address, self.shape, self.timing) };
        let workload = workload(self.protocol, self.operation, setup)?;
        Ok(sutra_load::run(&plan, vec![workload], Some(ServerCpu::of_process(running.pid())))?)
    }
}

/// What the load generator sends for an operation in a protocol.
pub(crate) fn workload(protocol: Protocol, operation: Operation, setup: &Setup) -> Outcome<Asked> {
    let queried = || queried_keys(KeySpace::Random(CONCEPTS));
    let store = |store: ValueStore| -> Asked {
        match operation {
            Operation::Learn => Box::new(store.set(learned_keys(), setup.archived.1)),
            _ => Box::new(store.get(queried(), setup.archived.0)),
        }
    };
    let (request, reply) = setup.query_bytes;
    Ok(match (protocol, operation) {
        (Protocol::Echo, _) => Box::new(Echo::new(request, reply)),
        (Protocol::Native | Protocol::NativeVectors, Operation::Query) => {
            Box::new(Query::new("", queried(), Some(setup.archived.0)))
        }
        (Protocol::Native, Operation::Learn) => Box::new(learned_bytes()),
        (Protocol::NativeVectors, Operation::Learn) => Box::new(learned_records()),
        (Protocol::Native | Protocol::NativeVectors, Operation::Heartbeat) => Box::new(Health),
        (Protocol::Compat(spelling), Operation::Query) => {
            Box::new(LegacyQuery::new(queried(), spelling))
        }
        (Protocol::Old, Operation::Query) => {
            Box::new(LegacyQuery::new(queried(), Spelling::Msgpack))
        }
        (Protocol::Compat(_) | Protocol::Old, Operation::Learn) => {
            Box::new(LegacyLearn::new(learned_keys(), LEARNED_CONTENT, DIMENSION))
        }
        (Protocol::Compat(_) | Protocol::Old, Operation::Heartbeat) => Box::new(LegacyHealth),
        (Protocol::Grid, _) => Box::new(AgentHeartbeats::new(AGENTS)),
        (Protocol::OldGrid, _) => Box::new(GridHeartbeat::new()),
        (Protocol::Redis, Operation::Heartbeat) => Box::new(sutra_load::RedisPing),
        (Protocol::Redis, _) => store(ValueStore::Redis),
        (Protocol::Memcached, Operation::Heartbeat) => {
            return Err("memcached has no heartbeat".into());
        }
        (Protocol::Memcached, _) => store(ValueStore::Memcached),
        (Protocol::Grpc | Protocol::Python(_), _) => {
            return Err("its client is a program of its own".into());
        }
    })
}

/// The command that has the gRPC contender's program do `what` with the server at `address`.
pub(crate) fn grpc(what: &str, address: SocketAddr) -> Outcome<Command> {
    let mut command = Command::new(built("sutra-bench-grpc")?);
    command.args([what, "--address", &address.to_string()]);
    Ok(command)
}

/// Has the gRPC contender's program put a load on its server.
pub(crate) fn ask_grpc(
    running: &Running,
    operation: &str,
    shape: Shape,
    timing: Timing,
    setup: &Setup,
    more: &[&str],
) -> Outcome<Report> {
    let mut command = grpc("load", running.address)?;
    let seconds = |duration: Duration| duration.as_secs_f64().to_string();
    command.args(["--operation", operation, "--connections", &shape.connections.to_string()]);
    command.args(["--depth", &shape.depth.to_string(), "--seconds", &seconds(timing.measured)]);
    command.args(["--warm-up", &seconds(timing.warm_up), "--cpu", &setup.load_cpu.to_string()]);
    command.args(["--server-pid", &running.pid().to_string()]).args(more);
    if let Some(rate) = shape.rate {
        command.args(["--rate", &rate.to_string()]);
    }
    printed(command)
}
