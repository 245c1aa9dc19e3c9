//! A real server of one core in the test's process, on a folder of its own.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use sutra_server::{Cores, Limits, Server, ServerConfig};
use tempfile::TempDir;

/// Starts a server on any free port; its folder is gone when it is dropped.
pub(crate) fn start(limits: Limits) -> (Server, TempDir) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let server = sutra_server::start(ServerConfig {
        data: folder.path().join("data"),
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        compat: Vec::new(),
        cores: Cores::Count(1),
        pin: false,
        limits,
        ..ServerConfig::default()
    });
    (server.unwrap(), folder)
}

/// Stops it in an orderly way.
pub(crate) fn stop(server: Server) {
    server.shutdown();
    server.wait().unwrap();
}
