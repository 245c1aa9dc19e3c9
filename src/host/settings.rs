//! The settings, by what they are about: one file a group, each a row of the table for each of its
//! settings and how that is looked at.

pub(crate) mod cgroup;
pub(crate) mod clock;
pub(crate) mod cpu;
pub(crate) mod disk;
pub(crate) mod fitness;
pub(crate) mod folder;
pub(crate) mod irq;
pub(crate) mod kernel;
pub(crate) mod limits;
pub(crate) mod memory;
pub(crate) mod network;
pub(crate) mod numa;
pub(crate) mod queues;
pub(crate) mod services;
pub(crate) mod store;
