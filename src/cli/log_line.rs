//! How a line of the log reads, for what is said beside `tracing`: as text on a terminal, as JSON
//! otherwise.

use std::io::IsTerminal;

use jiff::Timestamp;
use serde_json::Value;

/// Whether whoever reads standard error is a person.
pub(crate) fn is_for_people() -> bool {
    std::io::stderr().is_terminal()
}

/// A line in the log's own form, for what is said beside `tracing`.
pub(crate) fn log_line(level: &str, message: &str, fields: &Value) -> Vec<u8> {
    let at = Timestamp::now();
    let mut line = if is_for_people() {
        format!("{at:.6} {level:>5} {message} {fields}")
    } else {
        let mut line = serde_json::json!({
            "timestamp": format!("{at:.6}"),
            "level": level,
            "message": message,
        });
        if let (Value::Object(line), Value::Object(fields)) = (&mut line, fields) {
            line.extend(fields.clone());
        }
        line.to_string()
    };
    line.push('\n');
    line.into_bytes()
}
