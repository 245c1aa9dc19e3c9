//! The commands of `sutra grid` against a real master, a real agent and real nodes.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;
use support::agent::{Agent, Home, kill, wait_until};
use support::master::{Master, pid_of};
use support::{Folder, sutra};
use sutra_client::Concept;
use sutra_client::blocking::Client;

#[test]
fn a_grid_is_made_asked_and_taken_apart_by_commands() {
    let (home, registry) = (Home::new(), Folder::new());
    let master = Master::start(&registry.path(), "127.0.0.1:0", &[]);
    let (code, status) = master.ask(&["status"]);
    assert_eq!((code, status["state"].as_str()), (0, Some("healthy")));
    let words = String::from_utf8(master.run(&["status"]).stdout).unwrap();
    assert!(words.contains("sutra grid agent"), "it says what comes next: {words}");

    let mut events =
        sutra().args(["grid", "watch", "--json", "--master", &master.address]).stdout(Stdio::piped()).spawn().unwrap();
    let agent = Agent::start(&home, &["--master", &master.address, "--max-nodes", "2"]);
    wait_until("the agent is registered", || master.ask(&["agents"]).1.as_array().unwrap().len() == 1);
    let (code, agents) = master.ask(&["agents"]);
    assert_eq!(code, 0);
    assert_eq!((agents[0]["agent_id"].as_str(), agents[0]["max_nodes"].as_u64()), (Some("a"), Some(2)));

    let (code, node) = master.ask(&["spawn", "a", "--name", "orders", "--memory", "1G"]);
    assert_eq!((code, node["name"].as_str(), node["state"].as_str()), (0, Some("orders"), Some("running")), "{node}");
    let client = Client::connect(node["endpoint"].as_str().unwrap()).unwrap();
    client.learn(Concept::new("dog")).unwrap();
    for (words, code, says) in [
        (&["spawn", "a", "--name", "orders"][..], 2, "orders"),
        (&["spawn", "nobody"], 2, "nobody"),
        (&["spawn", "a", "--path", "/etc/x"], 2, "outside"),
        (&["stop", "nobody"], 1, "nobody"),
        (&["unregister", "nobody"], 1, "nobody"),
    ] {
        let (was, answer) = master.ask(words);
        assert!(was == code && answer.to_string().contains(says), "{words:?}: {was} {answer}");
    }

    kill(pid_of(&node), Signal::KILL);
    wait_until("it is started again and known to be", || {
        let (_, nodes) = master.ask(&["nodes", "--agent", "a"]);
        nodes[0]["restarts"] == 1 && nodes[0]["state"] == "running"
    });
    assert!(client.query("dog").unwrap().is_some());

    let words = String::from_utf8(master.run(&["status"]).stdout).unwrap();
    assert!(["healthy", "orders", "running", "1 of 2"].iter().all(|part| words.contains(part)), "{words}");
    assert_eq!(master.ask(&["stop", "orders"]).0, 0);
    assert!(home.nodes().is_empty());
    assert_eq!(master.ask(&["nodes"]).1[0]["state"].as_str(), Some("stopped"));

    let mut seen = Vec::new();
    let mut lines = BufReader::new(events.stdout.take().unwrap()).lines();
    while seen.last().is_none_or(|last| last != "node stopped") {
        let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        seen.push(event["event"].as_str().unwrap().to_owned());
    }
    for kind in ["agent registered", "node spawned", "node crashed", "node restarted"] {
        assert!(seen.iter().any(|seen| seen == kind), "{kind}: {seen:?}");
    }
    events.kill().unwrap();
    events.wait().unwrap();
    drop(agent);
    let (code, gone) = master.ask(&["spawn", "a"]);
    assert!(code == 3 && gone["error"].as_str().unwrap().contains("agent \"a\""), "{gone}");
    wait_until("the agent is offline", || master.ask(&["agents"]).1[0]["state"] == "offline");
    assert_eq!(master.ask(&["status"]).0, 1);
    assert_eq!(master.ask(&["unregister", "a"]).0, 0);
    assert_eq!(master.ask(&["agents"]).1.as_array().unwrap().len(), 0);
}

#[test]
fn an_agent_waits_for_its_master_and_finds_it_again() {
    let (home, registry) = (Home::new(), Folder::new());
    let master = Master::start(&registry.path(), "127.0.0.1:0", &[]);
    let address = master.address.clone();
    drop(master);
    let agent = Agent::start(&home, &["--master", &address]);
    let node = agent.spawn("data");
    let master = Master::start(&registry.path(), &address, &[]);
    let is_known = |master: &Master| master.ask(&["nodes"]).1[0]["state"] == "running";
    wait_until("the node is known", || is_known(&master));
    drop(master);
    node.client().learn(Concept::new("dog")).unwrap();
    agent.stop_node(&node.id).unwrap();
    let master = Master::start(&registry.path(), &address, &[]);
    wait_until("what has changed meanwhile is known", || master.ask(&["nodes"]).1[0]["state"] == "stopped");
}

/// A master that has patience, and its agent, which is frozen.
fn with_an_agent_that_hangs() -> ((Home, Folder), Master, Agent) {
    let folders = (Home::new(), Folder::new());
    let patient = ["--degraded-after", "50", "--offline-after", "60"];
    let master = Master::start(&folders.1.path(), "127.0.0.1:0", &patient);
    let agent = Agent::start(&folders.0, &["--master", &master.address]);
    wait_until("the agent is registered", || master.agent_state("a") == "healthy");
    kill(agent.pid(), Signal::STOP);
    (folders, master, agent)
}

#[test]
fn whoever_asks_an_agent_that_hangs_is_told_so_in_the_masters_words() {
    let (_folders, master, agent) = with_an_agent_that_hangs();
    let (code, answer) = master.ask(&["spawn", "a", "--name", "orders"]);
    let words = answer["error"].as_str().unwrap();
    assert!(code == 3 && words.contains("has not answered within 30 s") && words.contains("grid nodes"), "{words}");
    kill(agent.pid(), Signal::CONT);
    // Nobody waits for it any more, so it was not started; and the agent may be asked again at once.
    let (code, node) = master.ask(&["spawn", "a", "--name", "orders"]);
    assert!(code == 0 && node["state"] == "running", "{node}");
    assert_eq!(master.json(&["nodes"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_spawn_whose_master_stops_is_told_so_and_not_asked_for_again() {
    let (_folders, master, agent) = with_an_agent_that_hangs();
    let asked = Client::connect(master.address.as_str()).unwrap();
    let (code, answer) = std::thread::scope(|scope| {
        let spawning = scope.spawn(|| master.ask(&["spawn", "a"]));
        wait_until("the agent is asked", || {
            let stats = asked.stats().unwrap();
            stats.counters.iter().any(|counter| counter.name == "errands" && counter.value.to_native() == 1)
        });
        kill(master.pid(), Signal::TERM);
        spawning.join().unwrap()
    });
    let words = answer["error"].as_str().unwrap();
    assert!(code == 3 && words.contains("this master is stopping"), "{words}");
    kill(agent.pid(), Signal::CONT);
}

#[test]
fn without_a_master_every_command_says_so() {
    for words in
        [&["status"][..], &["agents"], &["nodes"], &["spawn", "a"], &["stop", "n"], &["watch"], &["unregister", "a"]]
    {
        let output =
            sutra().arg("grid").args(words).args(["--master", "127.0.0.1:9", "--timeout", "300ms"]).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(3) && text.contains("127.0.0.1:9"), "{words:?}: {text}");
    }
}
