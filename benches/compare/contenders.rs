//! The contenders: each one's name, what it is, how it is started and asked, and each of its
//! settings with the reason.

use std::process::Command;

use sutra_load::Spelling;

use super::python::Client;
use crate::Outcome;
use crate::process::{Running, built, folder, free_address, on_cpu, version};

/// How a contender is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    /// Messages as long as a query's, which nobody reads.
    Echo,
    Native,
    /// The native protocol; records that are learned have a vector.
    NativeVectors,
    Compat(Spelling),
    /// The server that Sutra replaces, in MessagePack.
    Old,
    /// The grid master that Sutra's replaces, in bincode.
    OldGrid,
    /// Agents' heartbeats to Sutra's grid master, in the native protocol.
    Grid,
    Grpc,
    Redis,
    Memcached,
    Python(&'static Client),
}

type Setting = (&'static str, &'static str);

/// A contender.
#[derive(Debug)]
pub(crate) struct Contender {
    /// Its name in tables. No other contender has it.
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    program: Program,
    pub(crate) protocol: Protocol,
    settings: &'static [&'static [Setting]],
}

/// What is started.
#[derive(Clone, Copy, Debug)]
enum Program {
    /// One of this program's own servers, by its name and options.
    Own(&'static [&'static str]),
    Sutra(&'static [&'static str]),
    GridMaster,
    Grpc,
    Redis(&'static [&'static str]),
    Memcached,
}

pub(crate) static ALL: [&Contender; 17] = [
    &BARE,
    &BARE_POLLING,
    &RUNTIME,
    &SUTRA,
    &SUTRA_POLLING,
    &SUTRA_VECTORS,
    &SUTRA_OS,
    &SUTRA_OS_VECTORS,
    &OLD,
    &OLD_UNSYNCED,
    &OLD_GRID,
    &GRID_MASTER,
    &GRPC,
    &REDIS,
    &REDIS_EVERY_SECOND,
    &REDIS_ALWAYS,
    &MEMCACHED,
];

const BARE_ECHO: &str = "one thread, one ring: multishot accept and receive into provided buffers, \
                         registered files, DEFER_TASKRUN. \
                         It sends replies of a query's size without looking at the request";
const THIS_SERVER: &str =
    "this server, one core, as `sutra serve` starts it, all its threads on the one CPU";
const WITH_VECTORS: &str = "the same with records that have a vector. Each is searchable when \
                            it is acknowledged. The index is built beside, on the same CPU, \
                            by a thread of low priority";
const OLD_SERVER: &str = "the kind of server that Sutra replaces: tokio, a task a connection, \
                          a length and MessagePack, a log";
const SAME_BYTES: &str = "GET and SET of the same bytes";

const SLEEPS: &[Setting] = &[("sleeps in io_uring_enter", "as Sutra does by default")];
const NEVER_SLEEPS: &[Setting] = &[(
    "never sleeps, nor does its client",
    "for hosts that give a core to latency; the others sleep when idle",
)];
const DURABLE: &[Setting] =
    &[("defaults, one core", "`--durability always`: what is acknowledged is on disk")];
const RELAXED: &[Setting] =
    &[("--durability os", "acknowledged before it is on disk, as its peers in that table")];
const ONE_WORKER: &[Setting] = &[("one worker thread", "what tokio starts on one CPU")];
const IN_MEMORY: &[Setting] = &[
    ("--save ''", "no snapshots: a fork in the middle of a round would be measured as latency"),
    ("one I/O thread (its default)", "it has one CPU, as every contender"),
    ("--maxclients 16000", "room for the idle connections"),
];
const NO_REWRITING: &[Setting] = &[(
    "--auto-aof-rewrite-percentage 0",
    "no rewriting of the log during a round: ours is not compacted either",
)];

pub(crate) const BARE: Contender = Contender {
    name: "bare io_uring echo",
    what: BARE_ECHO,
    program: Program::Own(&["bare"]),
    protocol: Protocol::Echo,
    settings: &[SLEEPS],
};
pub(crate) const BARE_POLLING: Contender = Contender {
    name: "bare io_uring echo, polling",
    program: Program::Own(&["bare", "--spin"]),
    settings: &[NEVER_SLEEPS],
    ..BARE
};
pub(crate) const RUNTIME: Contender = Contender {
    name: "echo on our runtime",
    what: "the same exchange on our runtime layer: what framing, service and store stand on",
    program: Program::Own(&["runtime"]),
    ..BARE
};
pub(crate) const SUTRA: Contender = Contender {
    name: "sutra",
    what: THIS_SERVER,
    program: Program::Sutra(&[]),
    protocol: Protocol::Native,
    settings: &[DURABLE],
};
pub(crate) const SUTRA_POLLING: Contender = Contender {
    name: "sutra, polling",
    program: Program::Sutra(&["--spin", "always"]),
    settings: &[NEVER_SLEEPS],
    ..SUTRA
};
pub(crate) const SUTRA_VECTORS: Contender = Contender {
    name: "sutra, vectors indexed",
    what: WITH_VECTORS,
    protocol: Protocol::NativeVectors,
    ..SUTRA
};
pub(crate) const SUTRA_OS: Contender = Contender {
    name: "sutra, `--durability os`",
    program: Program::Sutra(&["--durability", "os"]),
    settings: &[RELAXED],
    ..SUTRA
};
pub(crate) const SUTRA_OS_VECTORS: Contender = Contender {
    name: "sutra, `--durability os`, vectors indexed",
    what: WITH_VECTORS,
    protocol: Protocol::NativeVectors,
    ..SUTRA_OS
};
pub(crate) const OLD: Contender = Contender {
    name: "old server (tokio, msgpack)",
    what: OLD_SERVER,
    program: Program::Own(&["legacy", "--sync", "always"]),
    protocol: Protocol::Old,
    settings: &[
        &[("fsync for each write", "it acknowledges what is on disk, as the others in that table")],
        ONE_WORKER,
    ],
};
pub(crate) const OLD_UNSYNCED: Contender = Contender {
    name: "old server, no sync",
    program: Program::Own(&["legacy", "--sync", "off"]),
    settings: &[&[("no fsync", "where nobody waits for the disk, and for reads")], ONE_WORKER],
    ..OLD
};
pub(crate) const OLD_GRID: Contender = Contender {
    name: "old grid (tokio, bincode)",
    what: "the old grid master's heartbeat: tokio, a length and bincode",
    program: Program::Own(&["legacy-grid"]),
    protocol: Protocol::OldGrid,
    settings: &[ONE_WORKER],
};
pub(crate) const GRID_MASTER: Contender = Contender {
    name: "sutra grid master",
    what: "this grid's master, one core, as `sutra grid master` starts it, with a hundred agents",
    program: Program::GridMaster,
    protocol: Protocol::Grid,
    settings: &[&[(
        "defaults",
        "an agent is on disk once the master has asked it back at its address",
    )]],
};
pub(crate) const GRPC: Contender = Contender {
    name: "gRPC (tonic)",
    what: "a tonic server and client with the calls that are measured, over an in-memory store",
    program: Program::Grpc,
    protocol: Protocol::Grpc,
    settings: &[ONE_WORKER, &[("TCP_NODELAY", "tonic's default for servers, set for clients too")]],
};
pub(crate) const REDIS: Contender = Contender {
    name: "Redis",
    what: SAME_BYTES,
    program: Program::Redis(&["--appendonly", "no"]),
    protocol: Protocol::Redis,
    settings: &[IN_MEMORY, &[("--appendonly no", "reads need no log")]],
};
pub(crate) const REDIS_EVERY_SECOND: Contender = Contender {
    name: "Redis, `everysec`",
    program: Program::Redis(&["--appendonly", "yes", "--appendfsync", "everysec"]),
    settings: &[
        IN_MEMORY,
        &[(
            "--appendonly yes --appendfsync everysec",
            "its default for a log: acknowledged before it is on disk",
        )],
        NO_REWRITING,
    ],
    ..REDIS
};
pub(crate) const REDIS_ALWAYS: Contender = Contender {
    name: "Redis, `always`",
    program: Program::Redis(&["--appendonly", "yes", "--appendfsync", "always"]),
    settings: &[
        IN_MEMORY,
        &[("--appendonly yes --appendfsync always", "what is acknowledged is on disk, as ours")],
        NO_REWRITING,
    ],
    ..REDIS
};
pub(crate) const MEMCACHED: Contender = Contender {
    name: "memcached",
    what: "meta get and meta set of the same bytes",
    program: Program::Memcached,
    protocol: Protocol::Memcached,
    settings: &[&[
        ("-t 1", "one CPU, one thread"),
        ("-m 256", "room for all values: nothing is evicted"),
        ("-c 16000, -U 0", "room for the idle connections; no UDP, which nobody uses"),
        (
            "meta protocol, `mg KEY k v` and `ms KEY SIZE k`",
            "answers pipelined gets together, where `get` takes a system call for each; \
             `ms` costs what `set` does",
        ),
    ]],
};

impl Contender {
    /// Each setting with its reason.
    pub(crate) fn settings(&self) -> Vec<Setting> {
        self.settings.concat()
    }

    /// Whether it never sleeps while it waits. Then its client does not either.
    pub(crate) fn never_sleeps(&self) -> bool {
        matches!(self.program, Program::Own([.., "--spin"]) | Program::Sutra(["--spin", ..]))
    }

    /// The version that an installed program prints, or why it can't be had. The project's own
    /// programs have none.
    pub(crate) fn version(&self) -> Outcome<Option<String>> {
        match self.program {
            Program::Grpc => built("sutra-bench-grpc").map(|_| None),
            Program::Redis(_) => version("redis-server").map(Some),
            Program::Memcached => version("memcached").map(Some),
            Program::Own(_) | Program::Sutra(_) | Program::GridMaster => Ok(None),
        }
    }

    /// Starts it with all its threads on the one CPU. Those that make log space and index vectors
    /// must not use the load's CPU either. Echoes are told the sizes of their messages.
    pub(crate) fn start(&self, cpu: usize, (request, reply): (usize, usize)) -> Outcome<Running> {
        on_cpu(cpu, || match self.program {
            Program::Own(arguments) => {
                let sizes =
                    ["--request-bytes", &request.to_string(), "--reply-bytes", &reply.to_string()];
                Running::own(cpu, &[arguments, &sizes].concat())
            }
            Program::Sutra(arguments) => Running::sutra(&format!("{cpu},"), arguments),
            Program::GridMaster => Running::grid_master(cpu),
            Program::Grpc => {
                let mut command = Command::new(built("sutra-bench-grpc")?);
                command.args(["serve", "--cpu", &cpu.to_string()]);
                Running::announced(command, None)
            }
            Program::Redis(keeping) => {
                let (folder, address) = (folder()?, free_address()?);
                let mut command = Command::new("redis-server");
                command.args(
                    "--bind 127.0.0.1 --maxclients 16000 --auto-aof-rewrite-percentage 0"
                        .split(' '),
                );
                command.args(keeping).args(["--save", "", "--port", &address.port().to_string()]);
                command.arg("--dir").arg(folder.path());
                Running::silent(command, address, Some(folder))
            }
            Program::Memcached => {
                let address = free_address()?;
                let mut command = Command::new("memcached");
                command.args("-l 127.0.0.1 -t 1 -m 256 -c 16000 -U 0".split(' '));
                command.args(["-p", &address.port().to_string()]);
                if rustix::process::geteuid().is_root() {
                    command.args(["-u", "root"]);
                }
                Running::silent(command, address, None)
            }
        })
    }
}
