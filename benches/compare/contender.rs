//! Who is compared: each contender's processes, how they are set up and why, and how each is asked.

use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;
use sutra_load::{
    AgentHeartbeats, Echo, GridHeartbeat, Health, KeySpace, Keys, Learn, LegacyHealth, LegacyLearn, LegacyQuery,
    Length, MemcachedGet, MemcachedSet, Plan, Query, RedisGet, RedisPing, RedisSet, RegisterAgents, Report, ServerCpu,
    Spelling, Workload,
};

use super::peers::{self, Keeping};
use super::python;
use super::record::{Described, Shape};
use crate::Outcome;
use crate::process::{Kind, Running};

/// Concepts that are queried, their contents, and what is learned.
pub(crate) const CONCEPTS: u64 = 10_000;
pub(crate) const QUERIED_CONTENT: usize = 200;
pub(crate) const LEARNED_CONTENT: usize = 100;
pub(crate) const DIMENSION: usize = 384;
/// Agents of a grid's master, which are heard of in turn.
const AGENTS: u64 = 100;
/// Concepts that are learned in turn, again and again.
const LEARNED: u64 = 20_000;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Read a record by its key.
    Query,
    /// Write a record.
    Learn,
    /// Ask whether the other side is there.
    Heartbeat,
}

/// How it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Messages of a query's sizes and nothing else.
    Echo,
    Native,
    /// The same; what is learned has a vector.
    NativeVectors,
    Compat(Spelling),
    /// The server that is replaced, in MessagePack; its grid in bincode.
    Old,
    OldGrid,
    /// Agents' heartbeats, natively.
    Grid,
    Grpc,
    Redis,
    Memcached,
    Python(python::Client),
}

/// The processes, by what they serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Instance {
    Bare,
    BarePolling,
    Runtime,
    Sutra,
    SutraPolling,
    SutraVectors,
    SutraOs,
    SutraOsVectors,
    Old,
    OldUnsynced,
    OldGrid,
    GridMaster,
    Grpc,
    Redis,
    RedisEverySecond,
    RedisAlways,
    Memcached,
}

impl Instance {
    pub(crate) const ALL: [Instance; 17] = [
        Instance::Bare,
        Instance::BarePolling,
        Instance::Runtime,
        Instance::Sutra,
        Instance::SutraPolling,
        Instance::SutraVectors,
        Instance::SutraOs,
        Instance::SutraOsVectors,
        Instance::Old,
        Instance::OldUnsynced,
        Instance::OldGrid,
        Instance::GridMaster,
        Instance::Grpc,
        Instance::Redis,
        Instance::RedisEverySecond,
        Instance::RedisAlways,
        Instance::Memcached,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Instance::Bare => "bare io_uring echo",
            Instance::BarePolling => "bare io_uring echo, polling",
            Instance::Runtime => "echo on our runtime",
            Instance::Sutra => "sutra",
            Instance::SutraPolling => "sutra, polling",
            Instance::SutraVectors => "sutra, vectors indexed",
            Instance::SutraOs => "sutra, `--durability os`",
            Instance::SutraOsVectors => "sutra, `--durability os`, vectors indexed",
            Instance::Old => "old server (tokio, msgpack)",
            Instance::OldUnsynced => "old server, no sync",
            Instance::OldGrid => "old grid (tokio, bincode)",
            Instance::GridMaster => "sutra grid master",
            Instance::Grpc => "gRPC (tonic)",
            Instance::Redis => "Redis",
            Instance::RedisEverySecond => "Redis, `everysec`",
            Instance::RedisAlways => "Redis, `always`",
            Instance::Memcached => "memcached",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Instance::Bare | Instance::BarePolling => {
                "one thread, one ring: multishot accept and receive into provided buffers, registered files, DEFER_TASKRUN; replies of a query's size without looking at the request"
            }
            Instance::Runtime => "the same exchange on our runtime layer: what framing, service and store stand on",
            Instance::Sutra | Instance::SutraPolling | Instance::SutraOs => {
                "this server, one core, as `sutra serve` starts it, all its threads on the one CPU"
            }
            Instance::SutraVectors | Instance::SutraOsVectors => {
                "the same with records that have a vector: each is searchable when it is acknowledged, and the index is built beside, on the same CPU, \
                 by a thread of low priority"
            }
            Instance::Old | Instance::OldUnsynced => {
                "the kind of server that Sutra replaces: tokio, a task a connection, a length and MessagePack, a log"
            }
            Instance::OldGrid => "the old grid master's heartbeat: tokio, a length and bincode",
            Instance::GridMaster => {
                "this grid's master, one core, as `sutra grid master` starts it, with a hundred agents"
            }
            Instance::Grpc => {
                "a tonic server and client with the nine storage calls and the heartbeat over an in-memory store"
            }
            Instance::Redis | Instance::RedisEverySecond | Instance::RedisAlways => "GET and SET of the same bytes",
            Instance::Memcached => "meta get and meta set of the same bytes",
        }
    }

    fn settings(self) -> Vec<(String, String)> {
        let said: &[(&str, &str)] = match self {
            Instance::BarePolling | Instance::SutraPolling => &[(
                "never sleeps, nor does its client",
                "for hosts that give a core to latency; the others sleep when idle",
            )],
            Instance::Bare | Instance::Runtime => &[("sleeps in io_uring_enter", "as Sutra does by default")],
            Instance::Sutra | Instance::SutraVectors => {
                &[("defaults, one core", "`--durability always`: what is acknowledged is on disk")]
            }
            Instance::SutraOs | Instance::SutraOsVectors => {
                &[("--durability os", "acknowledged before it is on disk, as its peers in that table")]
            }
            Instance::Old => &[
                ("fsync for each write", "it acknowledges what is on disk, as the others in that table"),
                ("one worker thread", "what tokio starts on one CPU"),
            ],
            Instance::OldUnsynced => &[
                ("no fsync", "where nobody waits for the disk, and for reads"),
                ("one worker thread", "what tokio starts on one CPU"),
            ],
            Instance::OldGrid => &[("one worker thread", "what tokio starts on one CPU")],
            Instance::GridMaster => {
                &[("defaults", "an agent is on disk once it has answered where it says that it is")]
            }
            Instance::Grpc => &[
                ("one worker thread", "what tokio starts on one CPU"),
                ("TCP_NODELAY", "tonic's default for servers, set for clients too"),
            ],
            Instance::Redis => return Keeping::Memory.settings(),
            Instance::RedisEverySecond => return Keeping::EverySecond.settings(),
            Instance::RedisAlways => return Keeping::Always.settings(),
            Instance::Memcached => &[
                ("-t 1", "one CPU, one thread"),
                ("-m 256", "room for all values: nothing is evicted"),
                ("-c 16000, -U 0", "room for the idle connections; nothing of UDP, which nobody asks"),
                (
                    "meta protocol, `mg KEY k v` and `ms KEY SIZE k`",
                    "answers pipelined gets together, where `get` takes a system call for each; `ms` costs what `set` does",
                ),
            ],
        };
        said.iter().map(|(setting, reason)| ((*setting).to_owned(), (*reason).to_owned())).collect()
    }

    pub(crate) fn start(self, cpu: usize, sizes: (usize, usize)) -> Outcome<Running> {
        match self {
            Instance::Bare => Running::echo(Kind::Bare, cpu, false, sizes),
            Instance::BarePolling => Running::echo(Kind::Bare, cpu, true, sizes),
            Instance::Runtime => Running::echo(Kind::Runtime, cpu, false, sizes),
            Instance::Sutra | Instance::SutraVectors => sutra(cpu, &[]),
            Instance::SutraPolling => sutra(cpu, &["--spin", "always"]),
            Instance::SutraOs | Instance::SutraOsVectors => sutra(cpu, &["--durability", "os"]),
            Instance::Old => Running::contender(Kind::Legacy, cpu, &["--sync", "always"]),
            Instance::OldUnsynced => Running::contender(Kind::Legacy, cpu, &["--sync", "off"]),
            Instance::OldGrid => Running::contender(Kind::LegacyGrid, cpu, &[]),
            Instance::GridMaster => peers::on_cpu(cpu, || Running::grid_master(cpu))?,
            Instance::Grpc => Running::grpc(&peers::grpc_binary()?, cpu),
            Instance::Redis => peers::redis(cpu, Keeping::Memory),
            Instance::RedisEverySecond => peers::redis(cpu, Keeping::EverySecond),
            Instance::RedisAlways => peers::redis(cpu, Keeping::Always),
            Instance::Memcached => peers::memcached(cpu),
        }
    }

    /// What must be there, and its version.
    pub(crate) fn version(self) -> Result<Option<String>, String> {
        match self {
            Instance::Grpc => peers::grpc_binary().map(|_| None),
            Instance::Redis | Instance::RedisEverySecond | Instance::RedisAlways => {
                peers::version("redis-server").map(Some)
            }
            Instance::Memcached => peers::version("memcached").map(Some),
            _ => Ok(None),
        }
    }
}

/// With every thread on the one CPU, those that make log space and index vectors among them: the
/// load's CPU is not theirs to use.
fn sutra(cpu: usize, arguments: &[&str]) -> Outcome<Running> {
    peers::on_cpu(cpu, || Running::sutra(cpu, arguments))?
}

/// How long a load warms up and is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

/// A contender's process, or why there is none. Frozen unless it is its turn, so that it takes no
/// time from the others.
pub(crate) struct Contender {
    pub(crate) instance: Instance,
    version: Option<String>,
    running: Result<Running, String>,
}

/// What all contenders are told alike.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) server_cpu: usize,
    pub(crate) load_cpu: usize,
    /// Bytes of a query's request and reply.
    pub(crate) query_bytes: (usize, usize),
    /// Bytes of the records that are queried and learned, as they are archived.
    pub(crate) archived: (usize, usize),
}

impl Contender {
    /// Starts it, fills it where it keeps records, and freezes it. One that can't be had is
    /// missing, which is no error.
    pub(crate) fn start(instance: Instance, setup: &Setup) -> Self {
        Self::start_with(instance, setup, |running| fill(instance, running, setup))
    }

    /// The same with other records.
    pub(crate) fn start_with(instance: Instance, setup: &Setup, fill: impl FnOnce(&Running) -> Outcome) -> Self {
        let version = match instance.version() {
            Ok(version) => version,
            Err(missing) => return Self { instance, version: None, running: Err(missing) },
        };
        let running = instance.start(setup.server_cpu, setup.query_bytes).and_then(|running| {
            fill(&running)?;
            freeze(&running, true)?;
            Ok(running)
        });
        Self { instance, version, running: running.map_err(|error| error.to_string()) }
    }

    pub(crate) fn describe(&self) -> Described {
        let what = self.instance.what();
        Described {
            name: self.instance.name().to_owned(),
            what: self.version.as_ref().map_or_else(|| what.to_owned(), |version| format!("{what}; {version}")),
            settings: self.instance.settings(),
            missing: self.running.as_ref().err().cloned(),
        }
    }

    /// Starts it anew, empty but for the records that are queried: what earlier rounds have written
    /// weighs on no later one, and what one process happens to be better or worse at than the next
    /// (where its memory lies, say) shows in the spread.
    pub(crate) fn renew(&mut self, setup: &Setup) {
        let instance = self.instance;
        self.renew_with(setup, |running| fill(instance, running, setup));
    }

    /// The same with other records.
    pub(crate) fn renew_with(&mut self, setup: &Setup, fill: impl FnOnce(&Running) -> Outcome) {
        if self.is_there() {
            // The old one's memory is given back before the new one asks for its own.
            self.running = Err("it is being started anew".into());
            *self = Self::start_with(self.instance, setup, fill);
        }
    }

    /// Lets it run while `turn` uses it.
    pub(crate) fn take_turn<T>(&mut self, turn: impl FnOnce(&Running) -> Outcome<T>) -> Outcome<T> {
        take_turn(self.running.as_mut().map_err(|missing| missing.clone())?, turn)
    }

    pub(crate) fn is_there(&self) -> bool {
        self.running.is_ok()
    }
}

/// Lets a frozen process run while `turn` uses it.
pub(crate) fn take_turn<T>(running: &mut Running, turn: impl FnOnce(&Running) -> Outcome<T>) -> Outcome<T> {
    freeze(running, false)?;
    let done = turn(running);
    // Whatever went wrong in its turn: that it is gone says more.
    if let Some(ended) = running.ended()? {
        return Err(format!("it ended with {ended}").into());
    }
    freeze(running, true)?;
    done
}

/// Stops all threads of a process, or lets them go on.
pub(crate) fn freeze(running: &Running, frozen: bool) -> Outcome {
    let pid = Pid::from_raw(i32::try_from(running.pid())?).ok_or("a process has a number")?;
    kill_process(pid, if frozen { Signal::STOP } else { Signal::CONT })?;
    Ok(())
}

fn keys(space: KeySpace) -> Keys {
    Keys::new("bench", space)
}

/// The queried records.
pub(crate) fn filling() -> Learn {
    Learn::new("", keys(KeySpace::Once(CONCEPTS)), QUERIED_CONTENT, 0)
}

/// The learned records. They are others than the queried ones, whose size must not change.
pub(crate) fn learning() -> Learn {
    Learn::new("learned", Keys::new("learned", KeySpace::Cycling(LEARNED)), LEARNED_CONTENT, DIMENSION)
}

/// The same number of bytes, all of them content: what a store of bytes is given.
fn learning_bytes() -> Learn {
    let content = LEARNED_CONTENT + DIMENSION * size_of::<f32>();
    Learn::new("learned", Keys::new("learned", KeySpace::Cycling(LEARNED)), content, 0)
}

/// Gives it the records that are queried.
pub(crate) fn fill(instance: Instance, running: &Running, setup: &Setup) -> Outcome {
    let once = || keys(KeySpace::Once(CONCEPTS));
    let workload: Box<dyn Workload> = match instance {
        Instance::Bare | Instance::BarePolling | Instance::Runtime | Instance::OldGrid => return Ok(()),
        Instance::Sutra
        | Instance::SutraPolling
        | Instance::SutraVectors
        | Instance::SutraOs
        | Instance::SutraOsVectors => Box::new(filling()),
        Instance::Old | Instance::OldUnsynced => Box::new(LegacyLearn::new(once(), QUERIED_CONTENT, 0)),
        Instance::Redis | Instance::RedisEverySecond | Instance::RedisAlways => {
            Box::new(RedisSet::new(once(), setup.archived.0))
        }
        Instance::Memcached => Box::new(MemcachedSet::new(once(), setup.archived.0)),
        Instance::GridMaster => return register(running),
        Instance::Grpc => {
            let mut command = Command::new(peers::grpc_binary()?);
            command.args(["fill", "--address", &running.address.to_string(), "--concepts", &CONCEPTS.to_string()]);
            return said(command).map(drop);
        }
    };
    let plan =
        Plan { depth: 64, warm_up: Duration::ZERO, length: Length::Requests(CONCEPTS), ..Plan::new(running.address) };
    let report = sutra_load::run(&plan, vec![workload], None)?;
    if report.requests != CONCEPTS {
        return Err(format!("{} of {CONCEPTS} records were taken: {report}", report.requests).into());
    }
    Ok(())
}

/// Gives a master its agents: those that speak the native way, and the one of the old protocol.
fn register(running: &Running) -> Outcome {
    for (workload, count) in [
        (Box::new(RegisterAgents::new(AGENTS)?) as Box<dyn Workload>, AGENTS),
        (Box::new(GridHeartbeat::registering()), 1),
    ] {
        let plan = Plan { warm_up: Duration::ZERO, length: Length::Requests(count), ..Plan::new(running.address) };
        let report = sutra_load::run(&plan, vec![workload], None)?;
        if report.requests != count {
            return Err(format!("{} of {count} agents were registered: {report}", report.requests).into());
        }
    }
    Ok(())
}

/// Puts the load on a contender, and checks every answer.
pub(crate) fn ask(
    running: &Running,
    protocol: Protocol,
    operation: Operation,
    shape: Shape,
    spin: bool,
    timing: Timing,
    setup: &Setup,
) -> Outcome<Report> {
    match protocol {
        Protocol::Grpc => return ask_grpc(running, operation, shape, timing, setup),
        Protocol::Python(client) => return python::ask(running, client, operation, shape, timing, setup),
        _ => {}
    }
    let address = match protocol {
        Protocol::Compat(_) => running.compat.ok_or("the server named no compat port")?,
        _ => running.address,
    };
    let plan = Plan {
        connections: shape.connections,
        depth: shape.depth,
        rate: shape.rate,
        warm_up: timing.warm_up,
        length: Length::Duration(timing.measured),
        spin,
        pin: vec![setup.load_cpu],
        ..Plan::new(address)
    };
    let queried = || keys(KeySpace::Random(CONCEPTS));
    let learned = || Keys::new("learned", KeySpace::Cycling(LEARNED));
    let (request, reply) = setup.query_bytes;
    let workload: Box<dyn Workload> = match (protocol, operation) {
        (Protocol::Echo, _) => Box::new(Echo::new(request, reply)),
        (Protocol::Native | Protocol::NativeVectors, Operation::Query) => {
            Box::new(Query::new("", queried(), Some(setup.archived.0)))
        }
        (Protocol::Native, Operation::Learn) => Box::new(learning_bytes()),
        (Protocol::NativeVectors, Operation::Learn) => Box::new(learning()),
        (Protocol::Native | Protocol::NativeVectors, Operation::Heartbeat) => Box::new(Health),
        (Protocol::Compat(spelling), Operation::Query) => Box::new(LegacyQuery::new(queried(), spelling)),
        (Protocol::Old, Operation::Query) => Box::new(LegacyQuery::new(queried(), Spelling::Msgpack)),
        (Protocol::Compat(_) | Protocol::Old, Operation::Learn) => {
            Box::new(LegacyLearn::new(learned(), LEARNED_CONTENT, DIMENSION))
        }
        (Protocol::Compat(_) | Protocol::Old, Operation::Heartbeat) => Box::new(LegacyHealth),
        (Protocol::Grid, _) => Box::new(AgentHeartbeats::new(AGENTS)),
        (Protocol::OldGrid, _) => Box::new(GridHeartbeat::new()),
        (Protocol::Redis, Operation::Query) => Box::new(RedisGet::new(queried(), setup.archived.0)),
        (Protocol::Redis, Operation::Learn) => Box::new(RedisSet::new(learned(), setup.archived.1)),
        (Protocol::Redis, Operation::Heartbeat) => Box::new(RedisPing),
        (Protocol::Memcached, Operation::Query) => Box::new(MemcachedGet::new(queried(), setup.archived.0)),
        (Protocol::Memcached, Operation::Learn) => Box::new(MemcachedSet::new(learned(), setup.archived.1)),
        (Protocol::Memcached, Operation::Heartbeat) => return Err("memcached has no heartbeat".into()),
        (Protocol::Grpc | Protocol::Python(_), _) => unreachable!("asked above"),
    };
    Ok(sutra_load::run(&plan, vec![workload], Some(ServerCpu::of_process(running.pid())))?)
}

fn ask_grpc(running: &Running, operation: Operation, shape: Shape, timing: Timing, setup: &Setup) -> Outcome<Report> {
    let mut command = Command::new(peers::grpc_binary()?);
    command.args(["load", "--address", &running.address.to_string()]);
    command.args([
        "--operation",
        match operation {
            Operation::Query => "query",
            Operation::Learn => "learn",
            Operation::Heartbeat => "heartbeat",
        },
    ]);
    command.args(["--connections", &shape.connections.to_string(), "--depth", &shape.depth.to_string()]);
    command.args(["--seconds", &timing.measured.as_secs_f64().to_string()]);
    command.args(["--warm-up", &timing.warm_up.as_secs_f64().to_string()]);
    command.args(["--cpu", &setup.load_cpu.to_string(), "--server-pid", &running.pid().to_string()]);
    if let Some(rate) = shape.rate {
        command.args(["--rate", &rate.to_string()]);
    }
    printed(command)
}

/// Runs a helper program to its end and reads the line of JSON that it prints.
pub(crate) fn printed<T: DeserializeOwned>(command: Command) -> Outcome<T> {
    let said = said(command)?;
    Ok(serde_json::from_str(said.trim())
        .map_err(|error| format!("not the JSON that was expected ({error}): {said}"))?)
}

pub(crate) fn said(mut command: Command) -> Outcome<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {}", output.status, words.trim()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
