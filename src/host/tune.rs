//! Changes to a host that can be taken back.
//!
//! [`plan`] says what would be changed for some settings, [`undo`] what would be changed back.
//! Either is a [`Plan`], which [`Plan::carry_out`] carries out as a whole or not at all.
//!
//! Promises: what stood in a file before its first change is written down before it is changed
//! (`tune/state.rs`), and is put back byte for byte, with its mode and owner; a file that was not
//! there is removed, and so are folders that were made for it. A file that somebody has changed
//! since is left alone, and that is said. Values of the running kernel are changed on this host
//! only: below another root there is none.

mod apply;
mod boot;
mod content;
mod error;
mod planned;
mod state;
pub(crate) mod templates;
mod undone;

pub use content::Content;
pub use error::TuneError;
pub use planned::{Boot, Change, Choice, Plan, plan};
pub use undone::undo;
