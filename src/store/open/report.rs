//! What the recovery of all shards has come to, for people and programs.

use std::fmt;
use std::time::Duration;

use crate::recovery::ShardReport;

/// What recovery found.
#[derive(Clone, Debug, Default)]
pub struct OpenReport {
    /// By shard.
    pub shards: Vec<ShardReport>,
    /// From the lock to the last shard.
    pub elapsed: Duration,
    /// The number of cores that the store was made over from, if it was.
    pub made_over_from: Option<usize>,
}

impl OpenReport {
    /// Entries of the logs: concepts, associations and their removals, old versions among them.
    pub fn entries(&self) -> u64 {
        self.shards.iter().map(|shard| shard.entries).sum()
    }

    /// Bytes of the logs.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.bytes).sum()
    }

    /// All of it by name, for programs.
    pub fn fields(&self) -> [(&'static str, u64); 4] {
        let elapsed = u64::try_from(self.elapsed.as_micros()).unwrap_or(u64::MAX);
        [
            ("entries", self.entries()),
            ("bytes", self.bytes()),
            ("cut_bytes", self.cut()),
            ("elapsed_us", elapsed),
        ]
    }

    /// Bytes of torn tails that were cut.
    pub fn cut(&self) -> u64 {
        self.shards.iter().map(|shard| shard.cut).sum()
    }
}

impl fmt::Display for OpenReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mebibytes = self.bytes() as f64 / f64::from(1 << 20);
        write!(f, "{} entries, {mebibytes:.1} MiB in {:.0?}", self.entries(), self.elapsed)?;
        if let Some(from) = self.made_over_from {
            write!(f, "; made over from {from} to {} cores", self.shards.len())?;
        }
        match self.cut() {
            0 => Ok(()),
            cut => write!(f, "; {cut} bytes of an unfinished commit were cut"),
        }
    }
}
