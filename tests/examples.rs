//! The examples of the Rust client and of the Python package run, and do what they say.

use std::path::Path;
use std::process::Command;

use sutra_client::ConceptId;
use sutra_testing::wait_until;

use crate::support::agent::{Agent, Home};
use crate::support::master::Master;
use crate::support::python::{python, run};
use crate::support::{Folder, Server};

#[allow(dead_code, reason = "its main is its own")]
#[path = "../src/client/examples/bulk_load.rs"]
mod bulk_load;
#[allow(dead_code, reason = "its main is its own")]
#[path = "../src/client/examples/first_steps.rs"]
mod first_steps;
#[allow(dead_code, reason = "its main is its own")]
#[path = "../src/client/examples/grid.rs"]
mod grid;
#[allow(dead_code, reason = "its main is its own")]
#[path = "../src/client/examples/paths_and_search.rs"]
mod paths_and_search;

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

#[test]
fn the_rust_examples_do_what_they_say() {
    let server = Server::start(&[]);
    let address = server.address.to_string();
    assert_eq!(wait(first_steps::run(&address)).unwrap(), ["a living organism"]);
    assert_eq!(wait(bulk_load::run(&address, 5_000)).unwrap(), 5_000);
    let (length, best) = wait(paths_and_search::run(&address)).unwrap();
    assert_eq!((length, best), (2, ConceptId::from_name("poodle").ok()));
}

#[test]
fn the_grid_example_starts_a_node_and_finds_it_by_its_name() {
    let (home, registry) = (Home::new(), Folder::new());
    let master = Master::start(&registry.path(), "127.0.0.1:0", &[]);
    let agent = Agent::start(&home, &["--id", "rack-1", "--master", &master.address]);
    wait_until("the agent is registered", || master.agent_state("rack-1") == "healthy");
    let content = wait(grid::run(&master.address, "rack-1")).unwrap();
    assert_eq!(content.as_deref(), Some("a node was started"));
    agent.stop();
    master.stop();
}

#[test]
fn the_python_examples_do_what_they_say() {
    let server = Server::start(&[]);
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("compat/python");
    for (example, says) in [
        ("first_steps.py", "a domesticated carnivore\n  a living organism\n"),
        ("with_asyncio.py", "100 concepts\n"),
        ("with_numpy.py", "row 42 1.0\n"),
    ] {
        let mut command = Command::new(python());
        command
            .env("PYTHONPATH", &package)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .arg(package.join("examples").join(example));
        assert_eq!(
            run(command.arg(server.compat().to_string()), "run an example"),
            says,
            "{example}"
        );
    }
}
