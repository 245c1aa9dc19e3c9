//! The admin port of a storage server: what it counts, and what it says of the server.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use sutra_client::blocking::Client;
use sutra_client::{BackupDone, Concept, Neighborhood};
use sutra_wire::Status;

use crate::support::agent::{Agent, Home};
use crate::support::files::read;
use crate::support::http::get;
use crate::support::master::Master;
use crate::support::{Folder, Server, sutra};

fn start() -> (Server, SocketAddr) {
    let server = Server::start(&["--admin", "127.0.0.1:0"]);
    let admin = server.admin();
    (server, admin)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The value of a series, by its name with labels.
fn value(metrics: &str, series: &str) -> f64 {
    let line =
        metrics.lines().find(|line| line.rsplit_once(' ').is_some_and(|(name, _)| name == series));
    let line = line.unwrap_or_else(|| panic!("{series} in\n{metrics}"));
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

/// Asks for things of every kind: two concepts, three queries, neighbours, and what is not there.
fn use_it(client: &Client) {
    for name in ["dog", "cat"] {
        client.learn(Concept::new(name).content("an animal").embedding(vec![1.0, 2.0])).unwrap();
    }
    for _ in 0..3 {
        assert!(client.query("dog").unwrap().is_some());
    }
    assert!(client.query("nobody").unwrap().is_none());
    client.neighbors(Neighborhood::of("dog")).unwrap();
    let other_dimension = Concept::new("bird").embedding(vec![1.0]);
    assert!(client.learn(other_dimension).is_err());
}

#[test]
fn metrics_count_what_was_asked_and_how_long_it_took() {
    let (server, admin) = start();
    use_it(&server.client());
    let (status, metrics) = get(admin, "/metrics?cores=1");
    assert_eq!(status, 200);
    for (series, expected) in [
        ("sutra_ready", 1.0),
        ("sutra_healthy", 1.0),
        ("sutra_cores", 2.0),
        ("sutra_concepts", 2.0),
        ("sutra_vectors", 2.0),
        ("sutra_writes_total", 2.0),
        ("sutra_requests_total{operation=\"learn\"}", 3.0),
        ("sutra_requests_total{operation=\"query\"}", 4.0),
        ("sutra_request_errors_total{status=\"invalid_argument\"}", 1.0),
        ("sutra_request_duration_seconds_count{operation=\"query\"}", 4.0),
        ("sutra_request_duration_seconds_bucket{le=\"+Inf\",operation=\"learn\"}", 3.0),
        ("storage_connection_errors", 0.0),
    ] {
        assert_eq!(value(&metrics, series), expected, "{series}");
    }
    // A learn waits for its commit, so it takes no less.
    let learned = value(&metrics, "sutra_request_duration_seconds_sum{operation=\"learn\"}");
    let committed = value(&metrics, "sutra_commit_duration_seconds_sum");
    assert!(learned > 0.0 && committed > 0.0 && learned >= committed, "{learned} {committed}");
    assert!(value(&metrics, "storage_request_duration_ms") > 0.0);
    assert!(value(&metrics, "process_resident_memory_bytes") > 1e6);
    let by_core =
        |core: usize| value(&metrics, &format!("sutra_by_core_concepts{{core=\"{core}\"}}"));
    assert_eq!(by_core(0) + by_core(1), 2.0);
    assert!(!get(admin, "/metrics").1.contains("by_core"), "only when they are asked for");
}

#[test]
fn what_has_not_happened_yet_is_shown_as_none_and_a_broken_protocol_is_counted() {
    let (server, admin) = start();
    let (_, before) = get(admin, "/metrics");
    for operation in ["learn", "query", "search", "health"] {
        assert!(before.contains(&format!("sutra_requests_total{{operation=\"{operation}\"}} ")));
    }
    assert!(!before.contains("operation=\"watch\""), "a grid master's: {before}");
    for status in Status::errors() {
        let series = format!("sutra_request_errors_total{{status=\"{}\"}}", status.name());
        assert_eq!(value(&before, &series), 0.0, "{series}");
    }
    let broken = "sutra_connection_errors_total{reason=\"protocol\"}";
    assert_eq!(value(&before, broken), 0.0);
    let mut stranger = TcpStream::connect(server.address).unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(stranger.read_to_end(&mut Vec::new()).is_ok());
    let (_, after) = get(admin, "/metrics");
    assert_eq!(value(&after, broken), 1.0);
    assert_eq!(value(&after, "storage_connection_errors"), 1.0);
}

#[test]
fn people_and_programs_see_the_same_figures_by_the_command_and_the_port() {
    let (server, admin) = start();
    use_it(&server.client());
    let (_, page) = get(admin, "/stats.json");
    let page: serde_json::Value = serde_json::from_str(&page).unwrap();
    let stats: serde_json::Value =
        serde_json::from_str(&text(&server.run(&["stats", "--json"]).stdout)).unwrap();
    for name in ["concepts", "vectors", "written", "cores", "durability", "data", "version"] {
        assert_eq!(page[name], stats[name], "{name}");
    }
    for name in
        ["requests_query", "took_query_p50_ns", "took_commit_p99_ns", "errors_invalid_argument"]
    {
        assert!(page["counters"][name].as_u64() > Some(0), "{name}: {page:#}");
        assert_eq!(page["counters"][name], stats["counters"][name], "{name}");
    }
    let shown = text(&server.run(&["stats"]).stdout);
    for words in
        ["stored\n  concepts      2", "asked", "  query  ", "refused\n  invalid argument  1"]
    {
        assert!(shown.contains(words), "{words}\n{shown}");
    }
    assert!(!shown.contains("ring_enters"));
    assert!(text(&server.run(&["stats", "--all"]).stdout).contains("ring_enters"));
}

/// The metrics that a part of the page names.
fn told<'a>(page: &'a str, heading: &str) -> BTreeSet<&'a str> {
    let part = page.split(heading).nth(1).unwrap().split("\n## ").next().unwrap();
    let quoted = part.split('`').skip(1).step_by(2);
    quoted
        .filter(|word| ["sutra_", "process_", "storage_"].iter().any(|of| word.starts_with(of)))
        .filter(|word| !word.starts_with("sutra_by_core") && !word.contains('…'))
        .collect()
}

/// The names of all metrics, as the page has them: of a counter without `_total`.
fn described(metrics: &str) -> BTreeSet<&str> {
    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let described = types.map(|line| match line.rsplit_once(' ').unwrap() {
        (name, "counter") => name.strip_suffix("_total").unwrap(),
        (name, _) => name,
    });
    described.collect()
}

#[test]
fn every_metric_is_in_the_page_and_the_page_names_no_other() {
    let (server, admin) = start();
    let client = server.client();
    use_it(&client);
    client.backup_done(BackupDone { taken: 1, bytes: 2, elapsed: 3 }).unwrap();
    let page = read(Path::new("src/admin/README.md"));
    let of_server = told(&page, "## A server's metrics");
    let (_, metrics) = get(admin, "/metrics");
    assert_eq!(of_server, described(&metrics));

    let (registry, home) = (Folder::new(), Home::new());
    let on_any_port = ["--admin", "127.0.0.1:0"];
    let master = Master::start(&registry.path(), "127.0.0.1:0", &on_any_port);
    let agent = Agent::start(&home, &["--admin", "127.0.0.1:0", "--master", &master.address]);
    agent.spawn("data");
    let ports = [&master.admin[..], agent.greeting["admin"].as_str().unwrap()];
    let shown = ports.map(|port| get(port.parse().unwrap(), "/metrics").1);
    let shown: BTreeSet<&str> = shown.iter().flat_map(|metrics| described(metrics)).collect();
    let is_new = |name: &&&str| !of_server.contains(*name);
    let shown: Vec<_> = shown.iter().filter(is_new).collect();
    let told = told(&page, "## A master's and an agent's metrics");
    let told: Vec<_> = told.iter().filter(is_new).collect();
    assert_eq!(told, shown);
}

#[test]
fn every_counter_is_in_the_page() {
    let (server, _) = start();
    use_it(&server.client());
    let stats: serde_json::Value =
        serde_json::from_str(&text(&server.run(&["stats", "--json"]).stdout)).unwrap();
    let page = read(Path::new("src/server/README.md"));
    let table = page.split("## Counters").nth(1).unwrap();
    let told: Vec<&str> = table.split('`').skip(1).step_by(2).collect();
    // A name in capitals stands for every name of its kind.
    let stands_for = |told: &str, name: &str| match told.split_once(|c: char| c.is_uppercase()) {
        Some((begin, rest)) => {
            let end = rest.trim_start_matches(|c: char| c.is_uppercase());
            name.starts_with(begin) && name.ends_with(end)
        }
        None => told == name,
    };
    let is_told = |name: &str| told.iter().any(|told| stands_for(told, name));
    let counters = stats["counters"].as_object().unwrap();
    let missing: Vec<_> = counters.keys().filter(|name| !is_told(name)).collect();
    assert!(missing.is_empty(), "the page does not tell of {missing:?}");
}

#[test]
fn health_and_readiness_are_told_apart() {
    let (_server, admin) = start();
    for path in ["/healthz", "/readyz", "/health"] {
        let (status, body) = get(admin, path);
        assert!(status == 200 && body.contains("\"ok\""), "{path}: {status} {body}");
    }
    assert_eq!(get(admin, "/nowhere").0, 404);
}

#[test]
fn an_admin_port_that_is_taken_is_refused_with_what_to_do() {
    let (_server, admin) = start();
    let folder = tempfile::tempdir().unwrap();
    let mut command = sutra();
    command.args(["serve", "--listen", "127.0.0.1:0", "--compat", "off", "--cores", "1"]);
    command.args(["--no-pin", "--admin", &admin.to_string(), "--data"]).arg(folder.path());
    let output = command.output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("--admin") && said.contains(&admin.to_string()), "{said}");
}
