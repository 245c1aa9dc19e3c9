//! What is the same for all contenders: the records, the sizes, the CPUs, the time.

use std::time::Duration;

use sutra_load::{KeySpace, Keys, Learn, Length, Plan, Query};

use super::cell::Shape;
use crate::Outcome;
use crate::options::{Cpus, filling};
use crate::process::Running;

/// How many concepts are queried, and the bytes of content of each.
pub(crate) const CONCEPTS: u64 = 10_000;
pub(crate) const QUERIED_CONTENT: usize = 200;
/// Bytes of content of a concept that is learned, and how many numbers its vector has.
pub(crate) const LEARNED_CONTENT: usize = 100;
pub(crate) const DIMENSION: usize = 384;
/// How many concepts are learned, again and again.
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

impl Operation {
    /// Its name on the command lines of helper programs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Operation::Query => "query",
            Operation::Learn => "learn",
            Operation::Heartbeat => "heartbeat",
        }
    }
}

/// How long a load warms up and is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) server_cpu: usize,
    pub(crate) load_cpu: usize,
    /// Bytes of a query's request and reply.
    pub(crate) query_bytes: (usize, usize),
    /// Bytes of the records that are queried and learned, as they are archived.
    pub(crate) archived: (usize, usize),
}

impl Setup {
    /// Measures the sizes of a query's messages, which the echoes copy. The server that it asks is
    /// gone again when the contenders start.
    pub(crate) fn measure(cpus: &Cpus) -> Outcome<Self> {
        let Cpus { server_cpu, load_cpu } = *cpus;
        if server_cpu == load_cpu {
            return Err("the server and the load each need a CPU of their own; \
                        say --server-cpu and --load-cpu"
                .into());
        }
        let archived = (queried_records().archived_bytes(), learned_records().archived_bytes());
        let server = Running::sutra(&format!("{server_cpu},"), &[])?;
        let plan = filling(&server, CONCEPTS);
        sutra_load::run(&plan, vec![queried_records()], None)?;
        let query = Query::new("", queried_keys(KeySpace::Once(CONCEPTS)), Some(archived.0));
        let queried = sutra_load::run(&plan, vec![query], None)?;
        let query_bytes =
            (queried.bytes_sent.round() as usize, queried.bytes_received.round() as usize);
        Ok(Self { server_cpu, load_cpu, query_bytes, archived })
    }

    /// A load on the server at `address`.
    pub(crate) fn plan(&self, address: std::net::SocketAddr, shape: Shape, timing: Timing) -> Plan {
        Plan {
            connections: shape.connections,
            depth: shape.depth,
            rate: shape.rate,
            warm_up: timing.warm_up,
            length: Length::Duration(timing.measured),
            pin: vec![self.load_cpu],
            ..Plan::new(address)
        }
    }
}

pub(crate) fn queried_keys(space: KeySpace) -> Keys {
    Keys::new("bench", space)
}

pub(crate) fn learned_keys() -> Keys {
    Keys::new("learned", KeySpace::Cycling(LEARNED))
}

/// The records that are queried, each once.
pub(crate) fn queried_records() -> Learn {
    Learn::new("", queried_keys(KeySpace::Once(CONCEPTS)), QUERIED_CONTENT, 0)
}

/// The records that are learned. They are not those that are queried, as the size of those must not
/// change.
pub(crate) fn learned_records() -> Learn {
    Learn::new("learned", learned_keys(), LEARNED_CONTENT, DIMENSION)
}

/// Records of as many bytes, all of them content: a store of bytes is given these.
pub(crate) fn learned_bytes() -> Learn {
    Learn::new("learned", learned_keys(), LEARNED_CONTENT + DIMENSION * size_of::<f32>(), 0)
}
