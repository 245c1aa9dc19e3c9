//! The arguments of `sutra bench`.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::target::Server;
use crate::values::{count, duration, some_duration};

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  sutra bench query --connections 64 --depth 1 --duration 2\n  \
    sutra bench learn --connections 32 --dimension 384 --duration 2 --profile\n\n\
    Records are prepared first, in a namespace of their own, and deleted at the end. Ctrl-C ends \
    it, shows what was measured until then and deletes them as well. The load runs on one thread \
    of this host."
)]
pub(crate) struct Bench {
    /// What is asked for
    #[arg(value_enum, default_value = "query")]
    pub(crate) operation: Operation,
    /// Connections
    #[arg(
        long,
        value_name = "N",
        default_value_t = 16,
        value_parser = count::<1, 1_000_000>,
        allow_hyphen_values = true
    )]
    pub(crate) connections: u64,
    /// Requests in flight on each
    #[arg(
        long,
        value_name = "D",
        default_value_t = 1,
        value_parser = count::<1, 1_000_000>,
        allow_hyphen_values = true
    )]
    pub(crate) depth: u64,
    /// How long is measured (10, 30s, 5m)
    #[arg(
        long,
        value_name = "TIME",
        default_value = "10",
        value_parser = some_duration,
        allow_hyphen_values = true
    )]
    pub(crate) duration: Duration,
    /// Load before anything is measured
    #[arg(
        long,
        value_name = "TIME",
        default_value = "1",
        value_parser = duration,
        allow_hyphen_values = true
    )]
    pub(crate) warmup: Duration,
    /// Never sleep while waiting for a reply
    #[arg(long)]
    pub(crate) spin: bool,
    /// Tell where a request's time goes on the server, by its own clock, warm-up included; other
    /// clients' requests are in it
    #[arg(long)]
    pub(crate) profile: bool,
    /// Records to ask for, or to write over and over
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10_000,
        value_parser = count::<16, 10_000_000>,
        allow_hyphen_values = true
    )]
    pub(crate) records: u64,
    /// Bytes of content of each
    #[arg(
        long,
        value_name = "N",
        default_value_t = 200,
        value_parser = count::<0, { 8 << 20 }>,
        allow_hyphen_values = true
    )]
    pub(crate) content_bytes: u64,
    /// Numbers in the embedding of each
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        value_parser = count::<0, 65_536>,
        allow_hyphen_values = true
    )]
    pub(crate) dimension: u64,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Operation {
    /// Read concepts
    Query,
    /// Write concepts
    Learn,
    /// Write associations
    Associate,
    /// Read neighbours
    Neighbors,
    /// Ask for the server's health
    Health,
}
