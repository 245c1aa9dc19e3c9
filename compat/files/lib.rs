//! The data folder of the servers before this one: read strictly, and written as they wrote it.
//!
//! Such a folder has three files. `storage.dat` is a snapshot of everything, and
//! `storage.dat.backup` the one before it. `wal.log` names writes without what was written.
//!
//! Promises: damage is an error that says where in the file it is and what is wrong. No claim of a
//! length or a count allocates: memory grows with the bytes that are there. What was read can be
//! written again, byte for byte.
//!
//! Relies on nothing of ours: it knows the old format, and neither the wire nor a server.

mod associations;
mod created;
mod error;
mod folder;
mod layout;
mod read_at;
mod reader;
mod snapshot;
mod wal;
mod writer;

pub use associations::{Association, Edges};
pub use created::{full_time, low_bits};
pub use error::{Damage, ReadError, Section};
pub use folder::{BACKUP, OldFolder, SNAPSHOT, WAL};
pub use layout::{HEADER_BYTES, Header, Id, MAGIC, VERSION};
pub use read_at::ReadAt;
pub use reader::{ConceptEntry, EdgeEntry, Entry, MAX_CONTENT, Reader, VectorEntry};
pub use snapshot::{Concept, Concepts, Findings, MAX_NUMBERS, Snapshot};
pub use wal::{LostWrites, lost_writes};
pub use writer::Writer;
