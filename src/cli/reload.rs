//! SIGHUP: a service reads its settings again, and takes over what can change while it runs.
//!
//! That is what it logs. Everything else was decided at its start and waits for the next one.

use clap::Command;

use crate::logging;
use crate::settings;
use crate::systemd::notify;

/// Reads the settings again. What is wrong with them is logged, and all stays as it was.
pub(crate) fn run(definition: &Command) {
    notify::reloading();
    let read = settings::arguments(definition.clone());
    let changed = read.and_then(|(arguments, _)| {
        let level = logging::change(arguments.common.log.as_deref())?;
        tracing::info!(log = level, "settings are read again; all but log wait for the next start");
        Ok(())
    });
    if let Err(failure) = changed {
        let problem = failure.problem().unwrap_or_default();
        tracing::error!(problem, "settings can't be read again; those of before go on");
    }
    notify::reloaded();
}
