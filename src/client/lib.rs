//! The Rust client of a Sutra storage server. It learns concepts, looks them up and associates
//! them. It asks for neighbours, for paths, and for what is like a vector.
//!
//! # A first conversation
//!
//! In `Cargo.toml` (the path is that of the checkout; `tokio` with the runtime that the application
//! likes):
//!
//! ```toml
//! [dependencies]
//! sutra-client = { path = "../sutra/src/client" }
//! tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
//! ```
//!
//! In `src/main.rs`:
//!
//! ```no_run
//! use sutra_client::{Association, AssociationKind, Client, ClientError, Concept, ConceptId, Direction, Neighborhood};
//! use sutra_client::{PathQuery, SearchQuery};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), ClientError> {
//!     // The embeddings of a namespace are all as long: those of this one have two numbers.
//!     let client = Client::connect("127.0.0.1:50050").await?.namespace("pets");
//!
//!     client.learn(Concept::new("dog").content("a domesticated carnivore").embedding(vec![0.1, 0.7])).await?;
//!     client.learn(Concept::new("animal").content("a living organism")).await?;
//!     client.associate(Association::between("dog", "animal").kind(AssociationKind::HIERARCHICAL)).await?;
//!
//!     if let Some(dog) = client.query("dog").await? {
//!         println!("{} (confidence {})", dog.content, dog.confidence);
//!     }
//!     let parents = Neighborhood::of("dog").direction(Direction::Out).kinds([AssociationKind::HIERARCHICAL]);
//!     for neighbor in client.neighbors(parents).await?.neighbors.iter() {
//!         println!("{}", ConceptId::from(neighbor.id));
//!     }
//!     for path in client.path(PathQuery::between("dog", "animal")).await?.paths.iter() {
//!         println!("{} associations away", path.edges.len());
//!     }
//!     for hit in client.search(SearchQuery::like([0.1, 0.7]).k(3)).await?.hits.iter() {
//!         println!("{} {}", ConceptId::from(hit.id), hit.similarity);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! **A learn is the whole record**: learning a concept again replaces all of its earlier version,
//! also what the new one leaves out, its embedding, too. Only its associations stay.
//!
//! A concept goes by its name, any text that is not empty, or by its [`ConceptId`]. It belongs to a
//! namespace: [`Client::namespace`] gives a client of another one than the default. Names are
//! case-sensitive and stored with the concept; 32 hexadecimal digits are an id and are never stored
//! as a name. The embeddings of a namespace all have the same number of numbers.
//!
//! # Options
//!
//! [`Client::connect`] returns a [`Connect`], on which options are set before it is awaited:
//!
//! ```no_run
//! # use std::time::Duration;
//! # async fn example() -> Result<(), sutra_client::ClientError> {
//! let client = sutra_client::Client::connect("storage.internal:50050")
//!     .with_timeout(Duration::from_secs(2)) // for a call in all: connecting, waiting, retries, answer
//!     .with_retries(5)
//!     .with_pool_size(2) // connections per server core
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! It works in any tokio application, on either kind of runtime, with I/O and time enabled. Code
//! that is not asynchronous uses [`blocking::Client`].
//!
//! # Many at a time
//!
//! Calls may run side by side: one connection carries as many as the server allows
//! ([`ServerInfo::max_in_flight`]), and what is under way at the same time shares system calls and
//! disk writes. [`Client::learn_many`], [`Client::associate_many`] and [`Client::query_many`] do
//! that for an iterator:
//!
//! ```no_run
//! # use sutra_client::{Client, Concept};
//! # async fn example(client: Client) -> Result<(), sutra_client::ClientError> {
//! let numbers = (0..1_000).map(|n| Concept::new(format!("number-{n}")).content(n.to_string()));
//! let mut answers = client.learn_many(numbers);
//! while let Some(answer) = answers.next().await {
//!     if let Err(error) = answer {
//!         eprintln!("not learned: {error}");
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Errors
//!
//! When a call returns an error, the client has already repeated it where that makes sense
//! ([`Connect::with_retries`]). Every [`ClientError`] says in its text what is wrong and what to
//! do; a program decides by the variant, and by the [`Status`] of a refusal:
//!
//! ```no_run
//! # use sutra_client::{Client, ClientError, Concept, Status};
//! # async fn example(client: Client) {
//! match client.learn(Concept::new("dog").content("a domesticated carnivore")).await {
//!     Ok(sequence) => println!("stored, as write {sequence}"),
//!     // Too much to do, or about to restart, for as long as the client repeated it: ask for less, or later.
//!     Err(ClientError::Refused { status, .. }) if status.is_transient() => println!("later"),
//!     // Writes are refused until somebody has seen to the disk; reads go on.
//!     Err(ClientError::Refused { status: Status::StorageFull | Status::StorageFailed, message }) => println!("{message}"),
//!     // The request itself is wrong, and stays so: a number out of range, a name that is none, too many bytes.
//!     Err(error @ (ClientError::Refused { .. } | ClientError::InvalidName(_) | ClientError::TooLarge { .. })) => {
//!         println!("not a record: {error}");
//!     }
//!     // The write may have taken effect or not. Learning the same again is safe, unless others write this concept, too.
//!     Err(error @ (ClientError::TimedOut { .. } | ClientError::Closed { .. })) => println!("unknown: {error}"),
//!     // No server there, another version, a wrong address: no attempt was sent.
//!     Err(error) => println!("cannot reach the server: {error}"),
//! }
//! # }
//! ```
//!
//! That there is no such concept is no error: [`Client::query`] answers `None`.
//!
//! # Replies are read where they lie
//!
//! A reply is a [`View`]: a validated archive inside the buffer that it was received into. Reading
//! a field costs no allocation and no copy; numbers that are not read as they are
//! (`record.created.to_native()`) are little-endian on the wire. A view keeps its buffer (4 to 256
//! KiB, or the reply's own size where that is more) from being used again, so keep copies for long:
//! `view.checked().to_owned()`.
//!
//! # What can be relied on
//!
//! - A write that was answered with `Ok` is as durable as [`ServerInfo::durability`] says;
//!   [`Client::flush`] makes sure of all so far.
//! - A call ends within its timeout. It tells the server how long that is, so that neither side
//!   works in vain.
//! - A call that is dropped, or that has timed out, never leaves its answer to another call.
//! - A lost connection is made again, with exponential back-off and jitter. One that was silent for
//!   long, or has left a call without an answer, is tried with a health request before it is used.
//!   A server that comes back with another number of cores is followed.
//! - Requests go to the core that owns their concept, over a connection to that core. They are made
//!   when first needed.

mod address;
mod answer;
mod association;
mod backoff;
pub mod blocking;
mod builder;
mod caller;
mod client;
mod concept;
mod concept_ref;
mod connection;
mod deadline;
mod dial;
mod driver;
mod endpoint;
mod error;
pub mod grid;
mod handshake;
mod in_flight;
mod many;
mod neighborhood;
mod options;
mod pages;
mod path_query;
mod pending;
mod pool;
mod receive;
mod request;
mod retry;
mod search_query;
mod send_queue;
mod shared;
mod slot;
mod topology;

pub use association::Association;
pub use builder::Connect;
pub use client::Client;
pub use concept::Concept;
pub use concept_ref::ConceptRef;
pub use endpoint::Endpoint;
pub use error::ClientError;
pub use grid::GridClient;
pub use handshake::ServerInfo;
pub use many::Many;
pub use neighborhood::Neighborhood;
pub use pages::{ConceptPages, Pages};
pub use path_query::PathQuery;
pub use search_query::SearchQuery;
pub use sutra_wire::{
    AssociationKind, AssociationRecord, BackupCut, BackupDone, ConceptId, ConceptRecord, Concepts,
    CutSegment, CutShard, Deleted, Direction, Durability, Health, InvalidId, LogRange, Neighbor,
    Neighbors, Path, PathEdge, Paths, ScrubReport, SearchHit, SearchHits, SharedBytes, Stats,
    Status, StoreInfo, View,
};
