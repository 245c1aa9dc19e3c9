//! What the master knows: agents and their nodes, as a state machine that is told the time and does
//! nothing else.
//!
//! Every call leaves behind what it changed ([`Registry::take_changes`]: to be logged) and what it
//! made happen ([`Registry::take_events`]: to be told). Ages are measured by the monotonic clock;
//! the clock on the wall is only for what is shown.
//!
//! An agent of the old protocol has no incarnation (0) and no revisions. In place of a revision its
//! heartbeats have the number of its nodes, which is all that they tell. It is known by its host
//! and endpoint. Its nodes are known by what was asked of it through this master.

mod admin_ports;
mod agents;
mod ages;
mod facts;
mod names;
mod nodes;
mod proof;
mod refused;
mod reports;
mod reservations;
mod shares;
mod state;
#[cfg(test)]
mod tests;
mod views;
mod well;

pub(crate) use admin_ports::{AdminPort, Told};
pub(crate) use agents::Registered;
pub(crate) use facts::{
    AgentFacts, Answered, Ask, Change, FIRST, Happening, Moment, Origin, Patience,
};
pub(crate) use nodes::StopTarget;
pub(crate) use refused::Refused;
pub(crate) use reservations::Contact;
pub(crate) use state::Registry;
pub(crate) use views::Shown;
pub(crate) use well::Problems;
