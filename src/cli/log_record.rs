//! A line of the log as JSON: a record of OpenTelemetry's log data model, with the names of its
//! semantic conventions. README.md says what is what.
//!
//! In the code fields have short names, as people on a terminal read them. Here, and only here,
//! they get the conventions' names.

use std::fmt;
use std::sync::OnceLock;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// What a field that has no name of the conventions' is shown under.
const OURS: &str = "sutra.";

/// The service that logs; set once, at the start.
static SERVICE: OnceLock<&'static str> = OnceLock::new();

/// Says what is logged from here on comes from this service.
pub(crate) fn set_service(name: &'static str) {
    // What was said first stays.
    let _ = SERVICE.set(name);
}

#[derive(Serialize)]
struct Record<'a> {
    timestamp: String,
    severity_text: &'a str,
    severity_number: u8,
    body: &'a str,
    attributes: Map<String, Value>,
    scope: Value,
    resource: &'a Value,
}

/// A record, without the line's end. `scope` is the module that says it.
pub(crate) fn record(level: Level, scope: &str, body: &str, fields: Map<String, Value>) -> String {
    let mut attributes = Map::new();
    if let Some(name) = std::thread::current().name() {
        attributes.insert("thread.name".into(), name.into());
    }
    for (name, value) in fields {
        attribute(&name, value, &mut attributes);
    }
    let record = Record {
        timestamp: format!("{:.6}", Timestamp::now()),
        severity_text: level.as_str(),
        severity_number: severity(level),
        body,
        attributes,
        scope: json!({ "name": scope }),
        resource: resource(),
    };
    serde_json::to_string(&record).expect("plain values are JSON")
}

/// The number of the log data model: the lowest of those that a level has there.
fn severity(level: Level) -> u8 {
    match level {
        Level::TRACE => 1,
        Level::DEBUG => 5,
        Level::INFO => 9,
        Level::WARN => 13,
        Level::ERROR => 17,
    }
}

/// Who logs.
fn resource() -> &'static Value {
    static RESOURCE: OnceLock<Value> = OnceLock::new();
    RESOURCE.get_or_init(|| {
        json!({
            "service.name": SERVICE.get().unwrap_or(&"sutra"),
            "service.version": env!("CARGO_PKG_VERSION"),
            "host.name": rustix::system::uname().nodename().to_string_lossy(),
            "process.pid": std::process::id(),
        })
    })
}

/// Adds a field under the name that the conventions have for it, where they have one.
fn attribute(name: &str, value: Value, out: &mut Map<String, Value>) {
    let name = match name {
        "error" | "panic" => "exception.message",
        "backtrace" => "exception.stacktrace",
        "file" | "folder" => "file.path",
        "line" => "code.line.number",
        "source" => "code.file.path",
        "pid" => "process.pid",
        "peer" => return address("network.peer", &value, out),
        "endpoint" | "master" | "server" => return address("server", &value, out),
        // Another's name is kept; ours stay apart from all that there may come to be.
        name if name.contains('.') => name,
        name => {
            out.insert(format!("{OURS}{name}"), value);
            return;
        }
    };
    out.insert(name.into(), value);
}

/// `host:port` as two attributes; a text that is none as the address.
fn address(of: &str, value: &Value, out: &mut Map<String, Value>) {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let parts = text.rsplit_once(':').and_then(|(host, port)| {
        let is_host = !host.contains(['/', ',']);
        Some((host.trim_matches(['[', ']']), port.parse::<u16>().ok()?)).filter(|_| is_host)
    });
    let (host, port) = parts.map_or((text.as_str(), None), |(host, port)| (host, Some(port)));
    out.insert(format!("{of}.address"), host.into());
    if let Some(port) = port {
        out.insert(format!("{of}.port"), port.into());
    }
}

/// Writes what `tracing` is told as such records.
pub(crate) struct Records;

impl<S, N> FormatEvent<S, N> for Records
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let body = fields.0.remove("message").unwrap_or_default();
        let (level, scope) = (*event.metadata().level(), event.metadata().target());
        let body = body.as_str().unwrap_or_default();
        writeln!(writer, "{}", record(level, scope, body, fields.0))
    }
}

struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn attributes(fields: Value) -> Value {
        let Value::Object(fields) = fields else { panic!("fields are an object") };
        let record = record(Level::WARN, "sutra_net::io", "what happened", fields);
        let mut record: Value = serde_json::from_str(&record).unwrap();
        assert_eq!(
            (&record["severity_text"], &record["severity_number"]),
            (&"WARN".into(), &13.into())
        );
        assert_eq!(
            (&record["body"], &record["scope"]["name"]),
            (&"what happened".into(), &"sutra_net::io".into())
        );
        assert_eq!(record["resource"]["process.pid"], std::process::id());
        assert!(record["timestamp"].as_str().unwrap().parse::<Timestamp>().is_ok(), "{record}");
        let mut attributes = record["attributes"].take();
        attributes
            .as_object_mut()
            .unwrap()
            .remove("thread.name")
            .expect("tests' threads have names");
        attributes
    }

    #[test]
    fn fields_have_the_names_of_the_conventions_and_others_are_ours() {
        assert_eq!(
            attributes(json!({
                "error": "no", "peer": "127.0.0.1:40", "master": "[::1]:7001", "folder": "/a",
                "left_out": 3, "log.target": "x",
            })),
            json!({
                "exception.message": "no", "network.peer.address": "127.0.0.1",
                "network.peer.port": 40, "server.address": "::1", "server.port": 7001,
                "file.path": "/a", "sutra.left_out": 3, "log.target": "x",
            })
        );
        assert_eq!(
            attributes(json!({ "endpoint": "grid://h:1/node", "peer": "unknown" })),
            json!({ "server.address": "grid://h:1/node", "network.peer.address": "unknown" })
        );
    }
}
