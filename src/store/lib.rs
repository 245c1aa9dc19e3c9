//! What a server keeps: for each core a shard, which is a segmented log, a concept table, the
//! associations and an index of the vectors.
//!
//! A record's archive is copied once, into the log's memory; the same bytes go to disk and answer
//! queries. A write is visible and acknowledged when the commit that carries it has landed. The log
//! is the truth: tables are rebuilt from it at every start.
//!
//! Promises: where the durability is `always`, no crash and no power cut loses an acknowledged
//! write. A commit is there whole or not at all. Nothing that is damaged is served or dropped
//! without a word. The thread that drives a shard does no I/O. A write or a read allocates nothing
//! in steady state. No bytes of a file make it panic.
//!
//! Relies on `sutra-wire` for records and their validation, and on `sutra-runtime` for the
//! segments' memory and files. Knows no sockets.

mod adjacency;
mod ahead;
mod commit;
mod cut;
mod disk;
mod error;
mod exchange;
mod file_disk;
#[cfg(test)]
mod forged;
mod format;
mod graph;
mod hash_index;
mod keeper;
mod last_backup;
mod lock;
mod log;
mod log_check;
mod log_memory;
mod lost_commits;
mod manifest;
mod marks;
mod namespaces;
mod new_store;
mod open;
mod outcome;
mod pages;
mod prepare;
mod progress;
mod read_only;
mod read_only_disk;
mod recovery;
mod remake;
mod repair;
mod replace;
mod salvage;
mod segment;
mod shard;
mod shared;
mod shared_dimensions;
mod slab;
mod state;
mod stats;
mod table;
mod vectors;
mod verify;
mod visible;
#[cfg(test)]
mod work;

pub use ahead::Ahead;
pub use cut::{NotThere, SegmentCut, ShardCut, StoreFacts};
pub use disk::{Change, CheckpointName, Clock, Disk, SegmentName, SystemClock};
pub use error::StoreError;
pub use file_disk::FileDisk;
pub use format::{
    FORMAT, HeaderFault, SEGMENT_HEADER, STATE_FORMAT, SegmentHeader, is_known as is_known_format,
};
pub use graph::{EdgeKey, InEdge, NeighborQuery, NodeNumber, Step, Walk};
pub use keeper::{Keeper, LookJob};
pub use last_backup::LastBackup;
pub use log::CommitWrite;
pub use log_check::{LogCheck, LogFault, LogPlace};
pub use manifest::{MAX_IMPORTS, stored_cores};
pub use namespaces::{MAX_NAMESPACES, NamespaceId, Namespaces};
pub use open::{OpenOptions, OpenReport, Opened, Store};
pub use outcome::{Acknowledged, Effect, Refusal};
pub use prepare::{PrepareJob, Prepared};
pub use read_only::open_read_only;
pub use read_only_disk::ReadOnlyDisk;
pub use recovery::ShardReport;
pub use remake::Remake;
pub use repair::{RepairReport, repair};
pub use replace::{ReplaceIn, replace};
pub use salvage::{Advance, Finding, Loss, LostRecord, Remains, Severity, Watch};
pub use shard::{MarkJob, Marked, NoCut, Shard};
pub use slab::Slab;
pub use stats::ShardStats;
pub use vectors::{IndexJob, Indexed, SearchProgress, VectorQuery, VectorSearch};
pub use verify::{VerifyReport, scrub, verify};
