//! SIGUSR2: a server starts its successor itself, by the command that it was started with. So the
//! service manager counts both as the same service, and what the command leads to by now, such as a
//! new version, is what takes over.

use std::io;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::signals;

/// The flag that is added to the command.
const TAKEOVER: &str = "--takeover";

/// Has SIGUSR2 start a successor, one at a time.
pub(super) fn start_by_signal() {
    static IS_STARTED: AtomicBool = AtomicBool::new(false);
    signals::succeed_by(|| {
        if IS_STARTED.swap(true, Ordering::SeqCst) {
            return tracing::info!("a successor has been started, and has not ended yet");
        }
        let watch = |mut child: Child| {
            let watching = move || {
                // One that takes over outlives this process.
                if let Ok(status) = child.wait() {
                    tracing::error!(%status, "the successor has ended; this server goes on");
                }
                IS_STARTED.store(false, Ordering::SeqCst);
            };
            thread::Builder::new().name("successor".into()).spawn(watching).map(drop)
        };
        match start().and_then(watch) {
            Ok(()) => tracing::info!("a successor is started, which is to take over"),
            Err(error) => {
                IS_STARTED.store(false, Ordering::SeqCst);
                tracing::error!(%error, "a successor can't be started; this server goes on");
            }
        }
    });
}

fn start() -> io::Result<Child> {
    let mut words = std::env::args_os();
    let mut command = Command::new(words.next().unwrap_or_else(|| "sutra".into()));
    let words: Vec<_> = words.filter(|word| word != TAKEOVER).collect();
    command.args(words).arg(TAKEOVER).stdin(Stdio::null());
    // The watchdog is whoever's turn it is.
    command.env_remove("WATCHDOG_PID").spawn()
}
