//! Every example of a page, of `--help` and of a package's documentation runs as it is printed,
//! against the server that the page has just started.
//!
//! Commands are run by a shell and hold what is printed below them, Rust programs are compiled with
//! this test, Python programs run in the environment of the package's tests, TOML is parsed. A
//! block that is none of these fails.

#![allow(unreachable_pub, reason = "a test has no users")]

pub(crate) mod blocks;
#[allow(warnings, clippy::all, clippy::unwrap_used, reason = "they are printed for readers")]
mod examples {
    include!("pages/examples.rs");
}
mod help;
mod printed;
mod rust;
mod shell;
