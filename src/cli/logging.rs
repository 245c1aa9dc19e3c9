//! The log: to standard error, for people on a terminal, as records in JSON otherwise.
//!
//! Lines go through a queue ([`crate::streams`]), so that no writer is blocked or ended by one. How
//! often a line that a client can cause is written is bounded where it is written (`net`). What is
//! logged can be changed while the process runs ([`change`]).

use std::backtrace::Backtrace;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;

use serde_json::{Map, json};
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::reload::Handle;

use crate::exit::Failure;
use crate::log_line::{is_for_people, log_line};
use crate::log_record::{self, Records};
use crate::streams::{self, ERRORS, LogLines};

/// What a service logs that was not told otherwise, and what its clients do.
const OF_SERVICES: &str = "info";
const OF_CLIENTS: &str = "warn";

/// Takes another filter in place of the one that there is.
type Changing = Box<dyn Fn(EnvFilter) + Send + Sync>;
static CHANGING: OnceLock<Changing> = OnceLock::new();

/// Starts logging at `level`, or from `info` up for a service, which is named, and from `warn` up
/// for clients.
pub(crate) fn start(level: Option<&str>, service: Option<&'static str>) -> Result<(), Failure> {
    let default = if service.is_some() { OF_SERVICES } else { OF_CLIENTS };
    log_record::set_service(service.unwrap_or("sutra"));
    let filter = checked(level.unwrap_or(default))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(LogLines);
    if is_for_people() {
        let log = log.with_target(false).with_filter_reloading();
        keep(log.reload_handle());
        log.init();
    } else {
        let log = log.event_format(Records).with_filter_reloading();
        keep(log.reload_handle());
        log.init();
    }
    if service.is_some() {
        std::panic::set_hook(Box::new(say_panic));
    }
    Ok(())
}

fn keep<S: 'static>(handle: Handle<EnvFilter, S>) {
    // Refused only where nothing logs any more.
    let _ = CHANGING.set(Box::new(move |filter| drop(handle.reload(filter))));
}

/// Has a service log at another level from here on; returns which.
pub(crate) fn change(level: Option<&str>) -> Result<&str, Failure> {
    let level = level.unwrap_or(OF_SERVICES);
    let filter = checked(level)?;
    if let Some(changing) = CHANGING.get() {
        changing(filter);
    }
    Ok(level)
}

fn checked(level: &str) -> Result<EnvFilter, Failure> {
    filter(level).ok_or_else(|| {
        let expected =
            "write error, warn, info, debug or trace, or a list like info,sutra_net=debug";
        Failure::Usage(format!(
            "--log: {level:?} is neither a level nor a list of them; {expected}"
        ))
    })
}

/// What is logged by `levels`: a level, or a list of levels and of `target=level`. A word that is
/// neither is refused here. The library would take it for a target of which everything is logged.
fn filter(levels: &str) -> Option<EnvFilter> {
    let is_known = |word: &str| {
        let is_level = !word.is_empty() && word.parse::<LevelFilter>().is_ok();
        is_level || word.contains('=')
    };
    let words: Vec<&str> = levels.split(',').map(str::trim).collect();
    if !words.iter().copied().all(is_known) {
        return None;
    }
    EnvFilter::try_new(words.join(",")).ok()
}

/// What a service says of a panic, which the standard library would write to standard error itself,
/// and wait for its reader. The process may end by it right after.
fn say_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let (source, line) = panic.location().map(|at| (at.file(), at.line())).unzip();
    let mut fields = Map::new();
    for (name, value) in [
        ("thread.name", json!(thread.name().unwrap_or("unnamed"))),
        ("source", json!(source)),
        ("line", json!(line)),
        ("panic", json!(panic.payload_as_str().unwrap_or("of an unknown kind"))),
        ("backtrace", json!(Backtrace::capture().to_string())),
    ] {
        fields.insert(name.into(), value);
    }
    ERRORS.push(log_line(Level::ERROR, "a bug: please report this line", fields));
    streams::flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_lists_of_them_are_taken_and_other_words_refused() {
        for levels in ["info", "TRACE", "off", "info,sutra_net=debug", "warn, sutra_store=trace"] {
            assert!(filter(levels).is_some(), "{levels}");
        }
        for words in ["", "bogus", "infos", "info,bogus", "sutra_net=loud", "info,,debug"] {
            assert!(filter(words).is_none(), "{words}");
        }
    }
}
