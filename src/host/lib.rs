//! What a host is, and what it could be: every setting that matters to a server, how it is looked
//! at, why it matters, and how it is changed and changed back.
//!
//! One table (`table.rs`) has a row for each setting. `sutra doctor` looks at all of them, and
//! `sutra tune` changes those that can be changed. A row is told by what it is about
//! (`settings/`); what a host consists of is read in `facts/`; what it can do is measured in
//! `fitness/`; how it is changed is in `tune/`.
//!
//! Promises: to look changes nothing. What a host does not tell is not known, and never counts as
//! good. What `tune` changes it has written down before, byte for byte.
//!
//! Relies on `runtime` alone, whose rings, files and ways of waiting it tries out.

mod facts;
mod fitness;
mod host;
mod probe;
mod root;
mod setting;
mod settings;
mod sys;
mod table;
mod tune;

pub use host::{Health, Host, Needs};
pub use root::{Root, chosen};
pub use setting::{Group, Live, Look, Setting, Severity, State, Tuning};
pub use table::{UnknownName, named, table, tunable};
pub use tune::{Boot, Change, Choice, Content, Plan, TuneError, plan, undo};
