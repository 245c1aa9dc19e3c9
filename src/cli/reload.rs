//! SIGHUP: a service reads its settings again, and takes over what can change while it runs.
//!
//! That is what it logs, and what a service says of itself ([`take_over_by`]). Everything else was
//! decided at its start and waits for the next one.

use std::sync::OnceLock;

use clap::Command;

use crate::args::Command::Serve;
use crate::logging;
use crate::serve::{Reloaded, TakeOver};
use crate::settings;
use crate::systemd::notify;

static TAKE_OVER: OnceLock<TakeOver> = OnceLock::new();

/// Has a server take over what can change of its own settings.
pub(crate) fn take_over_by(take: TakeOver) {
    TAKE_OVER.get_or_init(|| take);
}

/// Reads the settings again. What is wrong with them is logged, and all stays as it was.
pub(crate) fn run(definition: &Command) {
    notify::reloading();
    let read = settings::arguments(definition.clone());
    let changed = read.and_then(|(arguments, _)| {
        let level = logging::change(arguments.common.log.as_deref())?;
        let (Some(take), Serve(serve)) = (TAKE_OVER.get(), arguments.command) else {
            tracing::info!(
                log = level,
                "settings are read again; all but log wait for the next start"
            );
            return Ok(());
        };
        let Reloaded { changed, waiting } = take(serve);
        let (changed, waiting) = (changed.join(", "), waiting.join(", "));
        tracing::info!(
            log = level,
            changed,
            waiting,
            "settings are read again; what is waiting changes with the next start"
        );
        Ok(())
    });
    if let Err(failure) = changed {
        let problem = failure.problem().unwrap_or_default();
        tracing::error!(problem, "settings can't be read again; those of before go on");
    }
    notify::reloaded();
}
