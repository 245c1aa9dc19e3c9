//! What a host consists of: CPUs, network cards, mounts and disks, and the process whose limits
//! count.

pub(crate) mod cpus;
pub(crate) mod disks;
pub(crate) mod mounts;
pub(crate) mod nics;
pub(crate) mod process;
