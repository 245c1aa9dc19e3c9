//! What a service has to do with the service manager that has started it: systemd, or another one
//! that speaks its protocols (sd_notify(3), sd_listen_fds(3), sd-daemon(3)).
//!
//! Each part does nothing where the environment does not ask for it.

pub(crate) mod journal;
pub(crate) mod notify;
pub(crate) mod sockets;
pub(crate) mod watchdog;
