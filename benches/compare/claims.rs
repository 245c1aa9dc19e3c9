//! The old documentation's claims, row by row: what it promised of the way from gRPC to a lean TCP
//! protocol, and what is measured.

use super::contender::Instance;
use super::record::{Figure, Record, Shape};
use super::tables::{DURABLE, HEARTBEAT, QUERY, RELAXED};

/// One claim with what was measured of the three generations. A figure that could not be measured
/// is absent.
pub(crate) struct Claim {
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    /// Of gRPC, and of what replaced it.
    pub(crate) claimed: (&'static str, &'static str),
    pub(crate) grpc: Option<f64>,
    pub(crate) old: Option<f64>,
    pub(crate) sutra: Option<f64>,
    /// What exactly was measured.
    pub(crate) measured: &'static str,
}

const ONE: Shape = Shape { connections: 1, depth: 1, rate: None };
const MANY: Shape = Shape { connections: 64, depth: 1, rate: None };

pub(crate) fn rows(record: &Record) -> Vec<Claim> {
    let figure = |section, instance: Instance, shape, figure| {
        Some(record.cell(section, instance.name(), shape)?.figures(figure)?.median)
    };
    let serialized = |encoding: &str| {
        let found = record.serialized.iter().find(|one| one.encoding == encoding && one.message == "learn_request")?;
        Some((found.encode_ns + found.decode_ns) / 1000.0)
    };
    let round_trips =
        |name: &str| record.round_trips.iter().find(|one| one.contender == name)?.round_trips.as_ref().ok().copied();
    let idle = |instance: Instance| {
        let found = record.idle.iter().find(|idle| idle.contender == instance.name())?;
        Some(found.bytes_each.as_ref().ok()? / 1000.0)
    };
    let thousand = |rate: Option<f64>| rate.map(|rate| rate / 1000.0);
    vec![
        Claim {
            what: "heartbeat",
            unit: "bytes",
            claimed: ("70\u{2013}80", "21"),
            grpc: figure(HEARTBEAT, Instance::Grpc, ONE, Figure::Bytes),
            old: figure(HEARTBEAT, Instance::OldGrid, ONE, Figure::Bytes),
            sutra: figure(HEARTBEAT, Instance::GridMaster, ONE, Figure::Bytes),
            measured: "request and reply on the TCP stream, in steady state",
        },
        Claim {
            what: "serialization",
            unit: "µs",
            claimed: ("50\u{2013}200", "5\u{2013}10"),
            grpc: serialized("protobuf"),
            old: serialized("msgpack"),
            sutra: serialized("rkyv"),
            measured: "encoding and decoding one learn of 100 bytes and 384 numbers; Sutra: archiving, and checking in place",
        },
        Claim {
            what: "round trips to connect",
            unit: "",
            claimed: ("3", "1"),
            grpc: round_trips(Instance::Grpc.name()),
            old: round_trips(Instance::OldUnsynced.name()),
            sutra: round_trips(Instance::Sutra.name()),
            measured: "from connect to the first answer, TCP's handshake included, over a link that was slowed down",
        },
        Claim {
            what: "memory a connection",
            unit: "KB",
            claimed: ("5,000", "50"),
            grpc: idle(Instance::Grpc),
            old: idle(Instance::OldUnsynced),
            sutra: idle(Instance::Sutra),
            measured: "the server's resident memory for each of the idle connections, of which each was used once",
        },
        Claim {
            what: "learn latency",
            unit: "µs",
            claimed: ("200\u{2013}500", "20\u{2013}50"),
            grpc: figure(RELAXED, Instance::Grpc, ONE, Figure::P50),
            old: figure(RELAXED, Instance::OldUnsynced, ONE, Figure::P50),
            sutra: figure(RELAXED, Instance::SutraOsVectors, ONE, Figure::P50),
            measured: "p50, one connection, acknowledged before it is on disk",
        },
        Claim {
            what: "learn latency, on disk",
            unit: "µs",
            claimed: ("200\u{2013}500", "20\u{2013}50"),
            grpc: None,
            old: figure(DURABLE, Instance::Old, ONE, Figure::P50),
            sutra: figure(DURABLE, Instance::SutraVectors, ONE, Figure::P50),
            measured: "p50, one connection, on disk before the answer; the gRPC store keeps nothing on disk",
        },
        Claim {
            what: "heartbeat latency",
            unit: "µs",
            claimed: ("200\u{2013}1000", "20\u{2013}50"),
            grpc: figure(HEARTBEAT, Instance::Grpc, ONE, Figure::P50),
            old: figure(HEARTBEAT, Instance::OldGrid, ONE, Figure::P50),
            sutra: figure(HEARTBEAT, Instance::GridMaster, ONE, Figure::P50),
            measured: "p50, one kept connection",
        },
        Claim {
            what: "requests/s",
            unit: "thousand",
            claimed: ("10", "50"),
            grpc: thousand(figure(QUERY, Instance::Grpc, MANY, Figure::Rate)),
            old: thousand(figure(QUERY, Instance::Old, MANY, Figure::Rate)),
            sutra: thousand(figure(QUERY, Instance::Sutra, MANY, Figure::Rate)),
            measured: "queries on one server core, 64 connections, one in flight on each",
        },
    ]
}
