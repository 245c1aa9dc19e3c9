//! The read API's data: concepts, neighbours, paths and searches, as JSON for the admin port.
//!
//! It asks the server as any client does, through the socket: so nothing that it is asked can do to
//! a data core what a client could not, and its requests are counted with the others'.
//!
//! Promises: it only reads. Every answer has a bound, and a cursor leads beyond it. It holds one
//! connection a core, from the first request on.
//!
//! Relies on `admin` for the paths and on `client` for the rest.

mod brief;
mod concepts;
mod edges;
mod find;
mod neighbors;
mod path;
mod refused;
mod routes;
mod search;

pub use routes::Api;
