//! A server's numbers under the names by which Prometheus knows them.
//!
//! Few series by default: none for each core, connection or namespace. Those of each core are there
//! when they are asked for.

use std::path::Path;
use std::time::{Duration, Instant};

use sutra_admin::{Detail, Host, Metric, NativeBuckets, Readiness, Series, build_info};
use sutra_net::Histogram;
use sutra_wire::{Counter, Opcode, Status};

use super::seen::Seen;
use crate::core::message::{CoreStats, CoreView};

/// Counters of the process and of each core, with their names there.
type Named = (&'static str, &'static str, &'static str);

/// What only rises: its name here, its counter's, and what it is.
const RISING: [Named; 11] = [
    ("sutra_connections_accepted", "connections_accepted", "Connections accepted"),
    ("sutra_network_received_bytes", "received_bytes", "Bytes received from clients"),
    ("sutra_network_sent_bytes", "sent_bytes", "Bytes sent to clients"),
    ("sutra_log_written_bytes", "file_written_bytes", "Bytes written to the log"),
    ("sutra_requests_translated", "requests_translated", "Requests of the old protocol"),
    ("sutra_waits_for_room", "waits_for_room", "Times that a connection had to wait for room"),
    (
        "sutra_slow_requests",
        "slow_requests",
        "Requests that took as long as --slow says, or longer",
    ),
    ("sutra_core_turns", "turns", "Turns of the cores' loops"),
    ("sutra_core_sleeps", "sleeps", "Times that a core slept until something happened"),
    ("sutra_core_ring_enters", "ring_enters", "System calls on the data rings"),
    ("sutra_core_messages", "messages_sent", "Messages sent between cores"),
];

/// What rises and falls.
const CHANGING: [Named; 4] = [
    ("sutra_connections", "connections", "Connections that are open"),
    ("sutra_requests_in_flight", "requests_in_flight", "Requests that wait for their answer"),
    ("sutra_input_held_bytes", "input_held_bytes", "Bytes of frames that have not arrived whole"),
    ("sutra_output_held_bytes", "output_held_bytes", "Bytes of answers that are not sent yet"),
];

/// Connections that failed, by what happened.
pub(super) const FAILED: [(&str, &str); 6] = [
    ("refused", "connections_refused"),
    ("hello_timeout", "connections_timed_out_in_hello"),
    ("stalled", "connections_timed_out_stalled"),
    ("unread", "connections_closed_unread"),
    ("silent", "connections_closed_silent"),
    ("protocol", "connections_closed_protocol"),
];

/// What there is to see while the log is read.
pub(crate) fn of_recovery(uptime: Duration, data: &Path) -> Vec<Metric> {
    let mut metrics = vec![
        build_info(),
        Metric::gauge("sutra_ready", READY, 0.0),
        Metric::gauge("sutra_healthy", HEALTHY, 1.0),
        Metric::gauge("sutra_uptime_seconds", "Since the server started", uptime.as_secs_f64()),
    ];
    metrics.extend(Host::read(data).metrics());
    metrics
}

const READY: &str = "Whether requests are answered: not while recovering or draining";
const HEALTHY: &str = "Whether all is well; the status says what is not";

/// All of a running server. `recent`: how long requests took in the last minute.
pub(crate) fn of_server(
    seen: &Seen,
    all: &CoreStats,
    readiness: &Readiness,
    recent: Histogram,
    detail: Detail,
) -> Vec<Metric> {
    let uptime = Duration::from_micros(seen.info().uptime(Instant::now()));
    let is_healthy = seen.problems().is_empty();
    let mut metrics = vec![
        build_info(),
        Metric::gauge("sutra_ready", READY, flag(*readiness == Readiness::Ready)),
        Metric::gauge("sutra_healthy", HEALTHY, flag(is_healthy)),
        Metric::gauge("sutra_uptime_seconds", "Since the server started", uptime.as_secs_f64()),
        Metric::gauge("sutra_cores", "Data cores", number(seen.cores() as u64)),
        Metric::gauge(
            "sutra_cores_silent",
            "Data cores that did not answer in time",
            number(seen.views().iter().filter(|view| view.is_none()).count() as u64),
        ),
    ];
    metrics.extend(of_files(seen));
    metrics.extend(stored(all));
    metrics.extend(requests(all));
    metrics.extend(written(all));
    metrics.extend(backed_up(all));
    metrics.extend(of_old_alerts(all, &recent));
    for (name, counter, help) in RISING {
        metrics.push(Metric::counter(name, help, count(&all.counters, counter)));
    }
    for (name, counter, help) in CHANGING {
        metrics.push(Metric::gauge(name, help, number(count(&all.counters, counter))));
    }
    metrics.extend(Host::read(seen.info().data()).metrics());
    if detail.cores {
        metrics.extend(by_core(seen.views()));
    }
    metrics
}

/// Whether the files are as they were written, as far as that was looked at.
fn of_files(seen: &Seen) -> Vec<Metric> {
    let trust = seen.info().trust();
    let scrub = trust.report();
    let ended = Duration::from_micros(scrub.last_ended).as_secs_f64();
    vec![
        Metric::gauge(
            "sutra_read_only",
            "Whether the store is served read-only, as was asked for",
            flag(trust.is_read_only()),
        ),
        Metric::gauge(
            "sutra_damaged_places",
            "Places of the files that are not as they were written, as far as that is known",
            number(trust.damaged()),
        ),
        Metric::counter("sutra_scrubs", "Scrubs that have ended", scrub.ended),
        Metric::gauge("sutra_scrub_running", "Whether one is under way", flag(scrub.is_running)),
        Metric::gauge(
            "sutra_scrub_last_timestamp_seconds",
            "When the last scrub ended, since 1970; 0 where none has",
            ended,
        ),
        Metric::gauge(
            "sutra_scrub_last_bytes",
            "Bytes that the last scrub has read",
            number(scrub.last_bytes),
        ),
    ]
}

fn stored(all: &CoreStats) -> Vec<Metric> {
    let shard = &all.shard;
    let memory = [
        ("segments", shard.segment_memory),
        ("tables", shard.table_memory),
        ("vectors", shard.vector_memory),
    ];
    vec![
        Metric::gauge("sutra_concepts", "Concepts that are stored", number(shard.concepts)),
        Metric::gauge("sutra_associations", "Associations", number(shard.associations)),
        Metric::gauge("sutra_vectors", "Concepts with an embedding", number(shard.vectors)),
        Metric::gauge(
            "sutra_vectors_unindexed",
            "Embeddings that every search scans, as no index holds them yet",
            number(shard.vectors_tail),
        ),
        Metric::gauge("sutra_log_bytes", "Bytes of the log on disk", number(shard.log_bytes)),
        Metric::gauge("sutra_log_segments", "Segments of the log", number(shard.segments)),
        Metric::gauges(
            "sutra_memory_bytes",
            "Memory by what it is for",
            "use",
            memory.map(|(what, bytes)| (what, number(bytes))),
        ),
    ]
}

/// Requests and errors are there from the start, at 0: Prometheus sees no increase in a series that
/// begins with its first event. How long they took is there once they were asked for, as each
/// operation is 31 lines.
fn requests(all: &CoreStats) -> Vec<Metric> {
    let counted = |prefix: &str, name: &str| count(&all.counters, &format!("{prefix}_{name}"));
    let operations = Opcode::ALL.iter().filter_map(|opcode| {
        let taken = counted("requests", opcode.name());
        // A master's are there only where somebody took this server for one.
        (is_storage(*opcode) || taken > 0).then(|| (opcode.name(), rising(taken)))
    });
    let errors =
        Status::errors().map(|status| (status.name(), rising(counted("errors", status.name()))));
    let latencies = all.latencies.iter().map(|(opcode, latency)| (opcode.name(), buckets(latency)));
    let failed = FAILED.map(|(what, counter)| (what, rising(count(&all.counters, counter))));
    vec![
        Metric::labelled("sutra_requests", "Requests taken", "operation", operations),
        Metric::labelled(
            "sutra_request_errors",
            "Requests that were refused or failed",
            "status",
            errors,
        ),
        Metric::labelled(
            "sutra_request_duration_seconds",
            "From when a core reads a request to the sending of its answer",
            "operation",
            latencies,
        ),
        Metric::labelled(
            "sutra_connection_errors",
            "Connections that were refused, or closed for what they did not do",
            "reason",
            failed,
        ),
    ]
}

fn written(all: &CoreStats) -> Vec<Metric> {
    let shard = &all.shard;
    vec![
        Metric::counter("sutra_writes", "Writes that were acknowledged", shard.written),
        Metric::gauge(
            "sutra_writes_pending",
            "Writes that are not acknowledged yet",
            number(shard.pending),
        ),
        Metric::one(
            "sutra_commit_duration_seconds",
            "How long a commit takes: one write to the log, durable where that is promised",
            buckets(&all.commits),
        ),
        Metric::gauge(
            "sutra_commit_in_flight_seconds",
            "For how long the oldest commit or sync has been under way; 0 where none is",
            all.disk_under_way.as_secs_f64(),
        ),
    ]
}

/// There only once a backup was completed: nobody is alerted for a store that needs none.
fn backed_up(all: &CoreStats) -> Vec<Metric> {
    let Some(backup) = all.last_backup else { return Vec::new() };
    let seconds = |microseconds: u64| microseconds as f64 / 1e6;
    vec![
        Metric::gauge(
            "sutra_last_backup_timestamp_seconds",
            "When the last backup was taken that was completed, in seconds since 1970",
            seconds(backup.taken),
        ),
        Metric::gauge(
            "sutra_last_backup_bytes",
            "Bytes of the log that the last backup covers",
            number(backup.bytes),
        ),
        Metric::gauge(
            "sutra_last_backup_duration_seconds",
            "How long the last backup took",
            seconds(backup.elapsed),
        ),
    ]
}

/// Whether it is a storage server's operation. Hello is none: it is the connection's.
fn is_storage(opcode: Opcode) -> bool {
    (Opcode::Learn as u8..Opcode::RegisterAgent as u8).contains(&(opcode as u8))
}

/// The names that alerts of the server before this one use.
fn of_old_alerts(all: &CoreStats, recent: &Histogram) -> Vec<Metric> {
    let p95 = recent.quantile(0.95).unwrap_or_default();
    let failed: u64 = FAILED.iter().map(|(_, counter)| count(&all.counters, counter)).sum();
    vec![
        Metric::gauge(
            "storage_request_duration_ms",
            "What 95 of 100 requests of the last minute did not exceed, in milliseconds",
            p95.as_secs_f64() * 1e3,
        ),
        // A counter's name would end with _total, which those alerts do not know.
        Metric::gauge(
            "storage_connection_errors",
            "Connections that failed since the start",
            number(failed),
        ),
    ]
}

/// Each core by itself.
fn by_core(views: &[Option<CoreView>]) -> Vec<Metric> {
    let each = |of: &dyn Fn(&CoreStats) -> u64| -> Vec<(String, u64)> {
        let views = views.iter().enumerate();
        let known = views.filter_map(|(core, view)| view.as_ref().map(|view| (core, view)));
        known.map(|(core, view)| (core.to_string(), of(&view.stats))).collect()
    };
    let requests = |stats: &CoreStats| stats.latencies.iter().map(|(_, all)| all.count()).sum();
    let mut metrics = Vec::new();
    for (name, counter, help) in BY_CORE_RISING {
        let values = each(&|stats| count(&stats.counters, counter));
        let values = values.into_iter().map(|(core, value)| (core, rising(value)));
        metrics.push(Metric::labelled(name, help, "core", values));
    }
    let answered = each(&requests).into_iter().map(|(core, value)| (core, rising(value)));
    metrics.push(Metric::labelled("sutra_by_core_answers", "Answers", "core", answered));
    for (name, help, of) in BY_CORE_CHANGING {
        let values = each(&of).into_iter().map(|(core, value)| (core, number(value)));
        metrics.push(Metric::gauges(name, help, "core", values));
    }
    metrics
}

const BY_CORE_RISING: [Named; 6] = [
    ("sutra_by_core_turns", "turns", "Turns of the core's loop"),
    ("sutra_by_core_sleeps", "sleeps", "Times that the core slept until something happened"),
    ("sutra_by_core_ring_enters", "ring_enters", "System calls on the core's data ring"),
    ("sutra_by_core_messages_sent", "messages_sent", "Messages sent to other cores"),
    ("sutra_by_core_messages_received", "messages_received", "Messages received"),
    ("sutra_by_core_wakes_sent", "wakes_sent", "Wake-ups sent to sleeping cores"),
];

type OfCore = fn(&CoreStats) -> u64;

const BY_CORE_CHANGING: [(&str, &str, OfCore); 4] = [
    ("sutra_by_core_connections", "Connections that are open", |stats| {
        count(&stats.counters, "connections")
    }),
    ("sutra_by_core_requests_in_flight", "Requests that wait for their answer", |stats| {
        count(&stats.counters, "requests_in_flight")
    }),
    ("sutra_by_core_concepts", "Concepts of the core's shard", |stats| stats.shard.concepts),
    ("sutra_by_core_writes_pending", "Writes that are not acknowledged yet", |stats| {
        stats.shard.pending
    }),
];

pub(super) fn count(counters: &[Counter], name: &str) -> u64 {
    counters.iter().find(|counter| counter.name == name).map_or(0, |counter| counter.value)
}

fn buckets(histogram: &Histogram) -> Series {
    let (least, buckets) = histogram.native();
    Series::Histogram {
        buckets: histogram.by_octave().collect(),
        sum: histogram.sum().as_secs_f64(),
        native: NativeBuckets {
            schema: Histogram::SCHEMA,
            zero: (Histogram::LEAST, least),
            buckets: buckets.collect(),
        },
    }
}

fn rising(value: u64) -> Series {
    Series::Counter(number(value))
}

/// Prometheus reads doubles, which are exact up to 2^53.
fn number(value: u64) -> f64 {
    value as f64
}

fn flag(is_set: bool) -> f64 {
    f64::from(u8::from(is_set))
}
