//! Backups of a server that runs: folders of them, streams, and the way back to a store.
//!
//! A backup is a *catalog* and the *pieces* that it names. A piece is a stretch of one segment's
//! bytes, and never changes once it has its name. The next backup names the same pieces and adds
//! what is new. So it takes what was written since, and each backup is whole by itself.
//!
//! Promises: every byte is checked on its way, by what a start of the store checks. A catalog
//! appears when all that it names is on the disk, so a backup is whole or not there. Nothing that
//! an interrupted backup leaves is taken for one. Damage is refused with its file and place.
//!
//! Relies on `client` to ask the server, and on `store` for the bytes of a log and for the store
//! that is made of them.

mod archive;
mod catalog;
mod error;
mod link;
mod piece;
mod progress;
mod remote;
mod repository;
mod restore;
mod take;

pub use archive::{Streamed, restore_stream, write_stream};
pub use catalog::{Catalog, CatalogFault};
pub use error::BackupError;
pub use progress::{Progress, Silent};
pub use restore::{Restored, restore_folder};
pub use take::{Taken, take};
