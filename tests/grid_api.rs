//! What masters and agents tell programs over HTTP: the grid, what has happened, and where
//! everything is that Prometheus is to scrape.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;
use sutra_testing::wait_until;

use crate::support::agent::{Agent, Home, Spawned};
use crate::support::http::get;
use crate::support::master::Master;
use crate::support::{Folder, sutra};

const ON_ANY_PORT: [&str; 2] = ["--admin", "127.0.0.1:0"];

fn ask(admin: &str, path: &str) -> (u16, Value) {
    let (status, body) = get(admin.parse().unwrap(), &format!("/api/v1{path}"));
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
}

fn told(admin: &str, path: &str) -> Value {
    let (status, told) = ask(admin, path);
    assert_eq!(status, 200, "{path}: {told}");
    told
}

fn start_agent(home: &Home, master: &Master) -> Agent {
    Agent::start(home, &[&ON_ANY_PORT[..], &["--master", &master.address]].concat())
}

fn admin_of(agent: &Agent) -> String {
    agent.greeting["admin"].as_str().unwrap().to_owned()
}

/// What Prometheus is told to scrape: kinds, each with its address and its node.
fn targets(admin: &str) -> Vec<(String, String, String)> {
    let (status, targets) = ask(admin, "/targets");
    if status == 503 {
        return Vec::new();
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let target = |target: &Value| {
        let labels = &target["labels"];
        let of_agent = ["a", ""].contains(&labels["agent"].as_str().unwrap_or_default());
        assert!(of_agent, "{target}");
        (text(&labels["kind"]), text(&target["targets"][0]), text(&labels["node"]))
    };
    targets.as_array().unwrap().iter().map(target).collect()
}

fn wait_for_targets(admin: &str, count: usize) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    wait_until("all targets are told", || {
        found = targets(admin);
        found.len() == count
    });
    found
}

#[test]
fn prometheus_is_told_of_master_agent_and_nodes_and_each_of_them_shows_metrics() {
    let (registry, home) = (Folder::new(), Home::new());
    let master = Master::start(&registry.path(), "127.0.0.1:0", &ON_ANY_PORT);
    let agent = start_agent(&home, &master);
    let [one, _other]: [Spawned; 2] = ["one", "other"].map(|path| agent.spawn(path));
    let found = wait_for_targets(&master.admin, 4);
    let kinds: Vec<&str> = found.iter().map(|(kind, ..)| kind.as_str()).collect();
    assert_eq!(kinds, ["master", "agent", "server", "server"]);
    assert_eq!((&found[0].1, &found[1].1), (&master.admin, &admin_of(&agent)));
    for (kind, address, _) in &found {
        let (status, metrics) = get(address.parse().unwrap(), "/metrics");
        assert!(
            status == 200 && metrics.contains("sutra_build_info{version="),
            "{kind}: {metrics}"
        );
        assert_eq!(told(address, "")["kind"], kind.as_str());
    }
    let named: Vec<&String> = found.iter().map(|(.., node)| node).collect();
    assert!(named.contains(&&one.id), "{named:?}");

    // A node keeps its place over a restart, as Prometheus looks for it there; one that was stopped
    // is no target.
    let before = found.iter().find(|(.., node)| *node == one.id).unwrap();
    let (_, pid) = agent.status(&one.id);
    crate::support::agent::kill(pid, rustix::process::Signal::KILL);
    wait_until("it runs again", || {
        let (status, now) = agent.status(&one.id);
        status == "running" && now != pid
    });
    assert!(wait_for_targets(&master.admin, 4).contains(before));
    assert_eq!(told(&admin_of(&agent), "/nodes")["nodes"].as_array().unwrap().len(), 2);
    agent.stop_node(&one.id).unwrap();
    let left = wait_for_targets(&master.admin, 3);
    assert!(!left.contains(before), "{left:?}");
}

#[test]
fn a_master_that_has_just_started_has_prometheus_keep_what_it_knows() {
    let (registry, home) = (Folder::new(), Home::new());
    let master = Master::start(&registry.path(), "127.0.0.1:0", &ON_ANY_PORT);
    let agent = start_agent(&home, &master);
    agent.spawn("one");
    let before = wait_for_targets(&master.admin, 3);
    let address = master.address.clone();
    agent.kill();
    master.stop();
    let patient = [&ON_ANY_PORT[..], &["--offline-after", "3600"]].concat();
    let master = Master::start(&registry.path(), &address, &patient);
    let (status, refused) = ask(&master.admin, "/targets");
    assert_eq!((status, &refused["error"]["code"]), (503, &"unavailable".into()), "{refused}");
    let _agent = start_agent(&home, &master);
    assert_eq!(wait_for_targets(&master.admin, 3)[2], before[2], "the node that was adopted");
}

#[test]
fn an_agent_without_an_admin_port_gives_its_nodes_none() {
    let (registry, home) = (Folder::new(), Home::new());
    let master = Master::start(&registry.path(), "127.0.0.1:0", &ON_ANY_PORT);
    let agent = Agent::start(&home, &["--master", &master.address]);
    agent.spawn("one");
    assert_eq!(home.list()["nodes"][0]["admin"], Value::Null);
    wait_until("the node is known", || {
        told(&master.admin, "/grid")["counts"]["nodes"]["running"] == 1
    });
    wait_until("the agent has told", || ask(&master.admin, "/targets").0 == 200);
    assert_eq!(wait_for_targets(&master.admin, 1)[0].0, "master");
}

#[test]
fn the_grid_and_what_has_happened_are_told_page_by_page() {
    let (registry, home) = (Folder::new(), Home::new());
    let master = Master::start(&registry.path(), "127.0.0.1:0", &ON_ANY_PORT);
    let agent = start_agent(&home, &master);
    let nodes = ["one", "other"].map(|path| agent.spawn(path).id);
    wait_for_targets(&master.admin, 4);
    let mut grid = Value::Null;
    wait_until("both run", || {
        grid = told(&master.admin, "/grid");
        grid["counts"]["nodes"]["running"] == 2
    });
    assert_eq!((&grid["healthy"], &grid["status"]), (&true.into(), &"ok".into()));
    assert_eq!(grid["agents"][0]["admin"], admin_of(&agent));
    assert_eq!(grid["nodes_cursor"], Value::Null);
    let first = told(&master.admin, "/grid?limit=1");
    let cursor = first["nodes_cursor"].as_str().unwrap();
    let second = told(&master.admin, &format!("/grid?limit=1&nodes_after={cursor}"));
    let mut paged = [&first, &second].map(|page| page["nodes"][0]["id"].as_str().unwrap());
    let mut expected = nodes.each_ref().map(String::as_str);
    paged.sort_unstable();
    expected.sort_unstable();
    assert_eq!(paged, expected);

    let all = told(&master.admin, "/events?after=0&limit=1000");
    let events = all["events"].as_array().unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    for kind in ["agent registered", "node spawned", "node running"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    let sequence = |event: &Value| event["sequence"].as_u64().unwrap();
    assert!(events.windows(2).all(|pair| sequence(&pair[0]) < sequence(&pair[1])), "{all}");
    assert_eq!(events.last().map(sequence), all["sequence"].as_u64());
    let after = format!("/events?after={}&limit=1", sequence(&events[1]));
    assert_eq!(told(&master.admin, &after)["events"][0], events[2]);
    let latest = told(&master.admin, "/events?limit=2");
    assert_eq!(latest["events"].as_array().unwrap()[..], events[events.len() - 2..]);
    let none = told(&master.admin, &format!("/events?after={}", all["sequence"]));
    assert_eq!(none["events"], Value::Array(Vec::new()));
    for wrong in ["/events?limit=0", "/events?after=x", "/grid?limit=1025", "/targets?x=1"] {
        assert_eq!(ask(&master.admin, wrong).0, 400, "{wrong}");
    }
    let paths = told(&master.admin, "")["paths"].to_string();
    assert!(paths.contains("/api/v1/events") && paths.contains("/api/v1/targets"), "{paths}");
}

#[test]
fn a_master_and_an_agent_say_at_their_start_where_the_page_is_and_what_prometheus_reads() {
    let folder = Folder::new();
    let data = folder.path();
    for (words, told) in [
        (&["master", "--compat", "off"][..], "/api/v1/targets for Prometheus's http_sd)"),
        (&["agent", "--id", "a"], "the master's /api/v1/targets lists it)"),
    ] {
        let mut command = sutra();
        command.arg("grid").args(words).args(ON_ANY_PORT);
        command.args(["--listen", "127.0.0.1:0", "--data"]).arg(data.join(words[0]));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let admin = lines.map(Result::unwrap).find(|line| line.starts_with("admin "));
        child.kill().unwrap();
        child.wait().unwrap();
        let admin = admin.expect("it says where it serves HTTP");
        assert!(admin.contains("http://127.0.0.1:") && admin.contains("(a page; "), "{admin}");
        assert!(admin.ends_with(told), "{admin}");
    }
}
