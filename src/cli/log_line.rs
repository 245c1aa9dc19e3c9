//! How a line of the log reads, for what is said beside `tracing`: as text on a terminal, as a
//! record otherwise; and with its priority where the journal reads it.

use std::io::IsTerminal;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::Level;

use crate::log_record::record;
use crate::systemd::journal;

/// Whether whoever reads standard error is a person.
pub(crate) fn is_for_people() -> bool {
    std::io::stderr().is_terminal()
}

/// A line in the log's own form, for what is said beside `tracing`.
pub(crate) fn log_line(level: Level, message: &str, fields: Map<String, Value>) -> Vec<u8> {
    let mut line = if is_for_people() {
        let (at, fields) = (Timestamp::now(), Value::Object(fields));
        format!("{at:.6} {:>5} {message} {fields}", level.as_str())
    } else {
        record(level, env!("CARGO_CRATE_NAME"), message, fields)
    };
    line.push('\n');
    journal::prefixed(level, line.into_bytes())
}
