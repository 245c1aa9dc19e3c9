//! What Prometheus and Grafana are told to ask for is what servers, masters and agents show; and
//! every alert is explained and tested.
//!
//! `tuning/prometheus/check` goes further where Prometheus is installed: it fires the alerts.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use sutra_client::{BackupDone, Concept};
use sutra_wire::Status;

use crate::support::agent::{Agent, Home};
use crate::support::files::read;
use crate::support::http::series;
use crate::support::master::Master;
use crate::support::{Folder, Server, run};

const ALERTS: &str = "tuning/prometheus/alerts.yaml";
const TESTS: &str = "tuning/prometheus/alerts.test.yaml";
const SCRAPED: &str = "tuning/prometheus/prometheus.yaml";
const FOUND: &str = "tuning/prometheus/grid.yaml";
const PAGE: &str = "tuning/prometheus/README.md";
const DASHBOARD: &str = "tuning/grafana/sutra.json";

fn text(path: &str) -> String {
    read(Path::new(path))
}

fn dashboard() -> Value {
    serde_json::from_str(&text(DASHBOARD)).unwrap()
}

/// The alerts by name, each with its lines.
fn alerts(rules: &str) -> Vec<(&str, &str)> {
    let alerts = rules.split("- alert: ").skip(1);
    alerts.map(|alert| alert.split_once('\n').unwrap()).collect()
}

/// All series of a server that was used and has refused something, of a master and of an agent with
/// a node.
fn shown() -> BTreeSet<String> {
    let on_any_port = ["--admin", "127.0.0.1:0"];
    let server = Server::start(&on_any_port);
    let client = server.client();
    client.learn(Concept::new("dog").embedding(vec![1.0, 2.0])).unwrap();
    assert!(client.query("dog").unwrap().is_some());
    let other_dimension = Concept::new("cat").embedding(vec![1.0]);
    assert!(client.learn(other_dimension).is_err());
    client.backup_done(BackupDone { taken: 1, bytes: 2, elapsed: 3 }).unwrap();

    let (registry, home) = (Folder::new(), Home::new());
    let master = Master::start(&registry.path(), "127.0.0.1:0", &on_any_port);
    let agent = Agent::start(&home, &["--admin", "127.0.0.1:0", "--master", &master.address]);
    agent.spawn("data");
    let of_agent = agent.greeting["admin"].as_str().unwrap();
    let ports = [server.admin(), master.admin.parse().unwrap(), of_agent.parse().unwrap()];
    ports.into_iter().flat_map(series).collect()
}

/// The names of our metrics in a text. Some statuses begin like one.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_metric = |word: &&str| {
        ["sutra_", "process_", "storage_"].iter().any(|prefix| word.starts_with(prefix))
            && Status::errors().all(|status| status.name() != *word)
    };
    words.filter(is_metric).collect()
}

#[test]
fn what_alerts_dashboard_and_page_ask_for_is_what_is_shown() {
    let shown = shown();
    let names: BTreeSet<&str> =
        shown.iter().map(|series| series.split('{').next().unwrap()).collect();
    let texts = [ALERTS, TESTS, PAGE, DASHBOARD].map(|path| (path, text(path)));
    for (path, text) in &texts {
        let named = named(text);
        assert!(!named.is_empty(), "{path} names no metric");
        let unknown: Vec<_> = named.difference(&names).collect();
        assert!(unknown.is_empty(), "{path} asks for {unknown:?}, which nobody shows");
    }
    // States are labels, and a state of another name would be as silent as none.
    let (_, rules) = &texts[0];
    for series in ["sutra_grid_agents{state=\"offline\"}", "sutra_grid_nodes{state=\"gave up\"}"] {
        assert!(rules.contains(series) && shown.contains(series), "{series}");
    }
    let statuses = rules.split("status=~\"").nth(1).unwrap().split('"').next().unwrap();
    let unknown = statuses.split('|').find(|name| !Status::errors().any(|of| of.name() == *name));
    assert_eq!(unknown, None, "no status has this name");
}

#[test]
fn the_alerts_that_users_have_stand_word_for_word() {
    let rules = text(ALERTS);
    for (name, expression) in [
        ("StorageServerDown", "up{job=\"storage-server\"} == 0"),
        ("HighLatency", "storage_request_duration_ms > 100"),
        ("ConnectionFailures", "rate(storage_connection_errors[5m]) > 0.1"),
    ] {
        let alert = format!("- alert: {name}\n        expr: {expression}\n");
        assert!(rules.contains(&alert), "{alert}");
    }
}

#[test]
fn every_alert_is_tested_and_says_how_bad_it_is_and_what_to_do() {
    let (rules, tests, page) = (text(ALERTS), text(TESTS), text(PAGE));
    let alerts = alerts(&rules);
    assert!(alerts.len() > 20, "{}", alerts.len());
    for (name, lines) in &alerts {
        let has = |part: &str| lines.contains(part);
        assert!(has("severity: critical\n") || has("severity: warning\n"), "{name}");
        assert!(has(" summary: ") && has(" description: "), "{name}");
        assert!(tests.contains(&format!("alertname=\"{name}\"")), "{name} in {TESTS}");
        assert!(page.contains(&format!("| `{name}` |")), "{name} in {PAGE}");
    }
    // Nothing is tested or told that is no alert.
    let table = page.split("## The alerts").nth(1).unwrap().split("\n## ").next().unwrap();
    let told = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let tested = tests.split("alertname=\"").skip(1).filter_map(|rest| rest.split_once('"'));
    for (name, _) in told.chain(tested) {
        assert!(alerts.iter().any(|(known, _)| *known == name), "{name}");
    }
}

#[test]
fn prometheus_looks_where_services_listen_by_default_and_under_the_jobs_of_the_alerts() {
    let (scraped, rules) = (text(SCRAPED), text(ALERTS));
    for (job, command) in [
        ("storage-server", &["serve", "--help"][..]),
        ("grid-master", &["grid", "master", "--help"]),
        ("grid-agent", &["grid", "agent", "--help"]),
    ] {
        let after = scraped.split(&format!("job_name: {job}\n")).nth(1).unwrap();
        let port = after.split("localhost:").nth(1).unwrap().split(']').next().unwrap();
        let help = String::from_utf8(run(command).stdout).unwrap();
        let admin = help.split("--admin").nth(1).unwrap();
        let default = admin.split("[default: ").nth(1).unwrap().split(']').next().unwrap();
        assert_eq!(default, format!("127.0.0.1:{port}"), "{job}");
    }
    for job in rules.split("job=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(scraped.contains(&format!("job_name: {job}\n")), "{job}");
    }
}

#[test]
fn prometheus_asks_a_master_where_it_is_by_default_and_gives_targets_the_jobs_of_the_alerts() {
    let (found, rules) = (text(FOUND), text(ALERTS));
    let help = String::from_utf8(run(&["grid", "master", "--help"]).stdout).unwrap();
    let admin = help.split("--admin").nth(1).unwrap();
    let port = admin.split("[default: 127.0.0.1:").nth(1).unwrap().split(']').next().unwrap();
    assert!(found.contains(&format!("url: http://localhost:{port}/api/v1/targets\n")), "{port}");
    // What the kinds of targets become: tests/grid_api.rs has the kinds.
    let jobs = found.split("replacement: ").skip(1).map(|rest| rest.lines().next().unwrap());
    let jobs: Vec<String> =
        jobs.flat_map(|job| ["master", "agent"].map(|kind| job.replace("$1", kind))).collect();
    for job in rules.split("job=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(jobs.iter().any(|known| known == job), "{job}: {jobs:?}");
    }
}

#[test]
fn the_dashboard_lets_choose_and_explains_each_panel() {
    let board = dashboard();
    let list = |value: &Value| value.as_array().unwrap().clone();
    let variables: Vec<_> =
        list(&board["templating"]["list"]).iter().map(|it| it["name"].clone()).collect();
    assert_eq!(variables, ["datasource", "job", "instance"]);
    let panels = list(&board["panels"]);
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has a number of its own");
    let mut places = BTreeSet::new();
    for panel in &panels {
        let title = panel["title"].as_str().unwrap();
        let place = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        let [x, y, width, height] = place;
        for (column, row) in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
            assert!(column < 24 && places.insert((column, row)), "{title} lies over another");
        }
        if panel["type"] == "row" {
            continue;
        }
        let is_told = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
        assert!(is_told(&panel["description"]), "{title}");
        assert!(is_told(&panel["fieldConfig"]["defaults"]["unit"]), "{title}");
        let targets = list(&panel["targets"]);
        assert!(!targets.is_empty(), "{title}");
        for target in &targets {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            assert!(is_told(&target["expr"]), "{title}");
        }
    }
}
