//! Tells the service manager how far the service is: what `systemctl status` shows, and what it
//! waits for at a start, a reload and a stop.
//!
//! Never called by a data core: a manager that does not read holds up whoever tells it something.

use sd_notify::NotifyState;

use crate::printable;

/// It starts: what it does meanwhile.
pub(crate) fn starting(status: &str) {
    tell(&[], status);
}

/// It answers.
pub(crate) fn ready(status: &str) {
    tell(&[NotifyState::Ready], status);
}

/// It reads its settings again.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the clock can't be read"),
    }
}

/// It has read them.
pub(crate) fn reloaded() {
    send(&[NotifyState::Ready]);
}

/// It was told to end, and does so in order.
pub(crate) fn stopping(status: &str) {
    tell(&[NotifyState::Stopping], status);
}

/// How it is, where that has changed.
pub(crate) fn status(status: &str) {
    tell(&[], status);
}

/// Another process is this service from here on, which this one has started.
pub(crate) fn followed_by(process: u32) {
    send(&[NotifyState::MainPid(process)]);
}

/// Whether a service manager wants to hear of this.
pub(crate) fn is_managed() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// It is alive.
pub(super) fn alive() {
    send(&[NotifyState::Watchdog]);
}

fn tell(states: &[NotifyState<'_>], status: &str) {
    // A line end would begin another message.
    let status = printable::name(status);
    send(&[states, &[NotifyState::Status(&status)]].concat());
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager (NOTIFY_SOCKET) can't be told how this is");
    }
}
