//! How a line of the log reads, for what is said beside `tracing`: as text on a terminal, as JSON
//! otherwise; and with its priority where the journal reads it.

use std::io::IsTerminal;

use jiff::Timestamp;
use serde_json::Value;
use tracing::Level;

use crate::systemd::journal;

/// Whether whoever reads standard error is a person.
pub(crate) fn is_for_people() -> bool {
    std::io::stderr().is_terminal()
}

/// A line in the log's own form, for what is said beside `tracing`.
pub(crate) fn log_line(level: Level, message: &str, fields: &Value) -> Vec<u8> {
    let at = Timestamp::now();
    let mut line = if is_for_people() {
        format!("{at:.6} {:>5} {message} {fields}", level.as_str())
    } else {
        let mut line = serde_json::json!({
            "timestamp": format!("{at:.6}"),
            "level": level.as_str(),
            "message": message,
        });
        if let (Value::Object(line), Value::Object(fields)) = (&mut line, fields) {
            line.extend(fields.clone());
        }
        line.to_string()
    };
    line.push('\n');
    journal::prefixed(level, line.into_bytes())
}
