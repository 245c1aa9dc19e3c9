//! What comparisons of several contenders are told alike.

use clap::Args;

/// How often and how long, and on which CPUs.
#[derive(Args)]
pub(crate) struct Rounds {
    /// Rounds over all contenders
    #[arg(long, default_value_t = 7)]
    pub(crate) rounds: usize,
    /// Seconds measured for each figure
    #[arg(long, default_value_t = 2.0)]
    pub(crate) seconds: f64,
    /// The server's CPU
    #[arg(long, default_value_t = 0)]
    pub(crate) server_cpu: usize,
    /// The load's CPU
    #[arg(long, default_value_t = 1)]
    pub(crate) load_cpu: usize,
}
