//! A whole grid on one host: a master, three agents, nine storage nodes, all real processes, found
//! by `grid://` addresses; and what each of its parts loses, which is nothing, when another one is
//! gone.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use crate::support::agent::{Agent, Home, is_alive, kill};
use crate::support::master::{Master, pid_of};
use crate::support::{Folder, wordnet};
use rustix::process::Signal;
use serde_json::Value;
use sutra_client::blocking::Client;
use sutra_client::{Client as Connector, Concept};
use sutra_testing::wait_until;

const AGENTS: [&str; 3] = ["rack-1", "rack-2", "rack-3"];
const NODES_EACH: usize = 3;

fn client(master: &Master, node: &str) -> Client {
    Connector::connect(format!("grid://{}/{node}", master.address))
        .with_timeout(Duration::from_secs(30))
        .with_retries(50)
        .blocking()
        .unwrap()
}

/// The slice of WordNet: names and contents.
fn concepts() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(wordnet().join("concepts.jsonl")).unwrap();
    let line = |line: &str| -> (String, String) {
        let concept: Value = serde_json::from_str(line).unwrap();
        (
            concept["id"].as_str().unwrap().to_owned(),
            concept["content"].as_str().unwrap().to_owned(),
        )
    };
    text.lines().map(line).collect()
}

#[test]
fn a_grid_outlives_the_loss_of_a_node_an_agent_and_its_master() {
    let (homes, registry) = (AGENTS.map(|_| Home::new()), Folder::new());
    let master = Master::start(&registry.path(), "127.0.0.1:0", &[]);
    let address = master.address.clone();
    let start = |home: &Home, id: &str| {
        Agent::start(
            home,
            &["--id", id, "--master", &address, "--max-nodes", &NODES_EACH.to_string()],
        )
    };
    let mut agents: Vec<_> =
        homes.iter().zip(AGENTS).map(|(home, id)| Some(start(home, id))).collect();
    wait_until("all agents are registered", || {
        AGENTS.iter().all(|agent| master.agent_state(agent) == "healthy")
    });
    let names: Vec<String> =
        (0..AGENTS.len() * NODES_EACH).map(|at| format!("words-{at}")).collect();
    for (at, name) in names.iter().enumerate() {
        let node = master.json(&["spawn", AGENTS[at % AGENTS.len()], "--name", name]);
        assert_eq!(node["state"], "running", "{node}");
    }
    let full = master.json(&["spawn", "rack-1", "--name", "one-too-many"]);
    assert!(full["error"].as_str().unwrap().contains("rack-1"), "{full}");

    // A ninth of WordNet on each, through its address in the grid.
    let concepts = concepts();
    let clients: Vec<_> = names.iter().map(|name| client(&master, name)).collect();
    for (client, part) in clients.iter().zip(concepts.chunks(concepts.len().div_ceil(names.len())))
    {
        let records = part
            .iter()
            .map(|(name, content)| Concept::new(name.as_str()).content(content.as_str()));
        client.learn_many(records).for_each(|learned| assert!(learned.is_ok(), "{learned:?}"));
    }
    let all_is_there = || {
        for (client, part) in
            clients.iter().zip(concepts.chunks(concepts.len().div_ceil(names.len())))
        {
            for (name, content) in part.iter().step_by(17) {
                let found = client.query(name.as_str()).unwrap().expect("it was learned");
                assert_eq!(found.content, *content);
            }
        }
    };
    all_is_there();

    // A node is killed under load: it comes back, its client goes on, and nothing that was
    // acknowledged is lost.
    let before = master.node("words-0");
    let (writer, done, acknowledged) = (&clients[0], &AtomicBool::new(false), &AtomicU32::new(0));
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                let number = acknowledged.load(Ordering::Relaxed);
                writer
                    .learn(Concept::new(format!("late-{number}")).content("learned under fire"))
                    .unwrap();
                acknowledged.store(number + 1, Ordering::Relaxed);
            }
        });
        wait_until("the load has begun", || acknowledged.load(Ordering::Relaxed) > 0);
        kill(pid_of(&before), Signal::KILL);
        wait_until("it is started again", || {
            let node = master.node("words-0");
            node["state"] == "running" && node["restarts"] == 1
        });
        let now = acknowledged.load(Ordering::Relaxed);
        wait_until("the load goes on", || acknowledged.load(Ordering::Relaxed) > now);
        done.store(true, Ordering::Relaxed);
    });
    for number in 0..acknowledged.load(Ordering::Relaxed) {
        assert!(
            writer.query(format!("late-{number}").as_str()).unwrap().is_some(),
            "late-{number} was acknowledged"
        );
    }

    // An agent is killed: its nodes go on serving, and it adopts them when it comes back.
    let kept = homes[1].nodes();
    agents[1].take().unwrap().kill();
    wait_until("its loss is noticed", || master.agent_state("rack-2") == "offline");
    let refused = master.json(&["spawn", "rack-2"]);
    assert!(refused["error"].as_str().unwrap().contains("offline"), "{refused}");
    all_is_there();
    agents[1] = Some(start(&homes[1], "rack-2"));
    assert_eq!(agents[1].as_ref().unwrap().greeting["adopted"], NODES_EACH);
    wait_until("it is back", || master.agent_state("rack-2") == "healthy");
    assert!(
        kept.len() == NODES_EACH && kept.iter().all(|pid| is_alive(*pid)),
        "no node was started anew"
    );

    // An agent is frozen, and goes on.
    kill(agents[2].as_ref().unwrap().pid(), Signal::STOP);
    for state in ["degraded", "offline"] {
        wait_until(state, || master.agent_state("rack-3") == state);
    }
    kill(agents[2].as_ref().unwrap().pid(), Signal::CONT);
    wait_until("it is healthy again", || master.agent_state("rack-3") == "healthy");

    // The master is killed: storage goes on, and it comes back and knows everything.
    let known = |master: &Master| {
        let nodes = master.json(&["nodes"]);
        let of = |node: &Value| {
            format!("{} {} {} {}", node["node_id"], node["name"], node["endpoint"], node["state"])
        };
        nodes.as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    let before = known(&master);
    drop(master);
    all_is_there();
    let master = Master::start(&registry.path(), &address, &[]);
    assert_eq!(known(&master), before);
    wait_until("its agents have come back to it", || {
        let status = master.json(&["status"]);
        status["agents"]["healthy"] == AGENTS.len() && status["nodes"]["running"] == names.len()
    });
    all_is_there();
}

#[test]
fn a_node_that_comes_back_on_another_port_is_found_by_the_same_address() {
    let (home, registry) = (Home::new(), Folder::new());
    let master = Master::start(&registry.path(), "127.0.0.1:0", &[]);
    let agent = Agent::start(&home, &["--master", &master.address]);
    wait_until("the agent is registered", || master.agent_state("a") == "healthy");
    let before = master.json(&["spawn", "a", "--name", "orders"]);
    let client = client(&master, "orders");
    client.learn(Concept::new("dog").content("a carnivore")).unwrap();
    // Stopped, and its port taken by somebody else before it is started again.
    assert_eq!(master.ask(&["stop", "orders"]).0, 0);
    let somebody = std::net::TcpListener::bind(before["endpoint"].as_str().unwrap()).unwrap();
    let after = master.json(&["spawn", "a", "--name", "orders"]);
    assert!(
        after["node_id"] == before["node_id"] && after["endpoint"] != before["endpoint"],
        "{before} {after}"
    );
    assert_eq!(client.query("dog").unwrap().unwrap().content, "a carnivore");
    drop((somebody, agent));
}
