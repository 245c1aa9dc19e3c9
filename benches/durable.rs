//! Durable learn beside a bare loop of group-committed, block-aligned writes of the same bytes to
//! the same disk.
//!
//! The bare loop has no clients: each of its commits carries one record of every writer, so it is
//! what the disk would give if gathering, the network and the table cost nothing. The same load on
//! a server that acknowledges without waiting for the disk shows what of the distance is the disk's
//! and what the requests'.

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::time::{Duration, Instant};

use clap::Args;
use rustix::fs::OFlags;
use sutra_load::{KeySpace, Keys, Learn, Length, Plan, Report};

use crate::Outcome;
use crate::aligned::{Aligned, BLOCK};
use crate::process::{Running, target_folder};
use crate::table::Rounds;

#[derive(Args)]
pub(crate) struct Options {
    /// Rounds over both contenders
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds measured for each figure
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Numbers in each record's embedding
    #[arg(long, default_value_t = 384)]
    dimension: usize,
    /// The server's CPU
    #[arg(long, default_value_t = 0)]
    server_cpu: usize,
    /// The load's CPU
    #[arg(long, default_value_t = 1)]
    load_cpu: usize,
}

const CONTENT_BYTES: usize = 100;
const WRITERS: [usize; 3] = [1, 32, 128];
/// The file that the bare loop writes round and round.
const FILE_BYTES: u64 = 256 << 20;
/// Bytes that the log adds to a record and to a commit.
const ENTRY_BYTES: usize = 32;

pub(crate) fn run(options: &Options) -> Outcome {
    let archived = learn(options).archived_bytes();
    println!(
        "learn of {archived}-byte records under `always`, thousand/s; median over {} rounds [lowest, highest]",
        options.rounds
    );
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(target_folder()?)?;
    let floor = Floor::create(&folder.path().join("floor"))?;
    let server = Running::sutra(options.server_cpu, &["--durability", "always"])?;
    let relaxed = Running::sutra(options.server_cpu, &["--durability", "os"])?;
    for writers in WRITERS {
        let (mut bare, mut served, mut undurable, mut latency) =
            (Rounds::default(), Rounds::default(), Rounds::default(), Rounds::default());
        for round in 0..options.rounds {
            for turn in 0..3 {
                match (round + turn) % 3 {
                    0 => bare.push(floor.records_per_second(writers, archived, options.seconds)? / 1000.0),
                    1 => {
                        let report = measure(options, &server, writers)?;
                        served.push(report.requests_per_second / 1000.0);
                        latency.push(report.latency.map_or(f64::NAN, |latency| latency.p50_ns as f64 / 1000.0));
                    }
                    _ => undurable.push(measure(options, &relaxed, writers)?.requests_per_second / 1000.0),
                }
            }
        }
        println!("\n{writers} writers");
        println!("  bare loop       {}", bare.show(2));
        println!("  learn           {}   p50 {} µs", served.show(2), latency.show(0));
        println!("  learn, os       {}   (acknowledged without waiting for the disk)", undurable.show(2));
        println!("  learn / bare    {}", served.ratio(&bare).show(3));
        println!("  learn / os      {}", served.ratio(&undurable).show(3));
    }
    Ok(())
}

fn measure(options: &Options, server: &Running, writers: usize) -> Outcome<Report> {
    let plan = Plan {
        connections: writers,
        warm_up: Duration::from_millis(300),
        length: Length::Duration(Duration::from_secs_f64(options.seconds)),
        pin: vec![options.load_cpu],
        ..Plan::new(server.address)
    };
    Ok(sutra_load::run(&plan, vec![learn(options)], None)?)
}

fn learn(options: &Options) -> Learn {
    Learn::new("", Keys::new("bench", KeySpace::Cycling(20_000)), CONTENT_BYTES, options.dimension)
}

/// A zero-filled file, opened as the log opens its segments.
pub(crate) struct Floor(std::fs::File);

impl Floor {
    pub(crate) fn create(path: &std::path::Path) -> Outcome<Self> {
        let flags = (OFlags::DIRECT | OFlags::DSYNC).bits();
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .custom_flags(i32::try_from(flags)?)
            .open(path)?;
        let zeros = Aligned::new(1 << 20);
        for step in 0..FILE_BYTES >> 20 {
            file.write_all_at(zeros.bytes(), step << 20)?;
        }
        Ok(Self(file))
    }

    /// The same as a report, so that it can stand beside servers'.
    pub(crate) fn report(&self, writers: usize, archived: usize, measured: Duration) -> Outcome<Report> {
        let rate = self.records_per_second(writers, archived, measured.as_secs_f64())?;
        Ok(Report {
            operation: "commit".into(),
            connections: writers,
            seconds: measured.as_secs_f64(),
            requests: (rate * measured.as_secs_f64()) as u64,
            requests_per_second: rate,
            ..Report::default()
        })
    }

    /// Commits that each carry one record of every writer, one after the other.
    pub(crate) fn records_per_second(&self, writers: usize, archived: usize, seconds: f64) -> Outcome<f64> {
        let commit =
            (writers * (ENTRY_BYTES + archived.next_multiple_of(16)) + 2 * ENTRY_BYTES).next_multiple_of(BLOCK);
        let bytes = Aligned::new(commit);
        let (mut offset, mut commits) = (0, 0u32);
        let start = Instant::now();
        while start.elapsed().as_secs_f64() < seconds {
            if offset + commit as u64 > FILE_BYTES {
                offset = 0;
            }
            self.0.write_all_at(bytes.bytes(), offset)?;
            offset += commit as u64;
            commits += 1;
        }
        Ok(f64::from(commits) * writers as f64 / start.elapsed().as_secs_f64())
    }
}
