//! One server takes over from another, and clients do not notice: listening sockets, the data
//! folder and the established connections go from the process that runs to the one that follows.
//!
//! 1. The successor finds the server by its data folder, hears what that is, and does all that may
//!    fail: settings, addresses of its own, threads and rings, a first reading of the store.
//! 2. The server holds requests: it begins none, and answers those under way. Where that takes too
//!    long it goes on, and tries again a little later.
//! 3. It gives up its listeners and connections, ends its cores, lets go of the folder, and sends
//!    all to the successor. Requests that it has not begun travel as bytes.
//! 4. The successor opens the store, takes everything in, says that it serves, and begins.
//!
//! Promises: what goes wrong before 3 changes nothing for clients. Where the successor fails later,
//! the server opens the folder again and goes on with the same connections. Neither loses a byte.
//! Relies on both being the same user's, and on the kernel for who is at the other end.

mod channel;
mod door;
mod estate;
mod heart;
mod message;
mod profile;
mod successor;

pub(crate) use door::{Door, Left};
pub(crate) use estate::Estate;
pub(crate) use profile::{AdminFacts, Profile};
pub use successor::Departing;
pub(crate) use successor::Predecessor;
