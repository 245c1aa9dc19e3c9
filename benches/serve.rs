//! The servers that are part of this program. Each runs as a process of its own, started by
//! `sutra-bench serve`.

use std::net::TcpListener;

use clap::{Args, ValueEnum};

use crate::answering::{self, Way};
use crate::legacy::{self, Sync};
use crate::sizes::Sizes;
use crate::{Outcome, bare_echo};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// An echo on a bare io_uring loop: the floor.
    Bare,
    /// An echo on our runtime.
    Runtime,
    /// The server that Sutra replaces.
    Legacy,
    /// The old grid master's heartbeats.
    LegacyGrid,
}

#[derive(Args)]
pub(crate) struct Options {
    #[arg(value_enum)]
    kind: Kind,
    /// The CPU to serve on
    #[arg(long)]
    cpu: usize,
    /// Never sleep
    #[arg(long)]
    spin: bool,
    /// Bytes of an echo's requests
    #[arg(long, default_value_t = 64)]
    request_bytes: usize,
    /// Bytes of an echo's replies
    #[arg(long, default_value_t = 64)]
    reply_bytes: usize,
    /// Have the echo on our runtime reply with pieces of a region
    #[arg(long, value_enum)]
    pieces: Option<Way>,
    /// When the old server answers a write
    #[arg(long, value_enum, default_value_t = Sync::Always)]
    sync: Sync,
}

/// Serves until it is killed.
pub(crate) fn run(options: &Options) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening   {}", listener.local_addr()?);
    let sizes = Sizes::new(options.request_bytes, options.reply_bytes);
    let Options { kind, cpu, spin, .. } = *options;
    match kind {
        Kind::Bare => bare_echo::run(listener, cpu, spin, sizes)?,
        Kind::Runtime => answering::run(sizes, options.pieces, listener, cpu, spin)?,
        Kind::Legacy => legacy::serve(listener, cpu, options.sync)?,
        Kind::LegacyGrid => legacy::serve_grid(listener, cpu)?,
    }
    Ok(())
}
