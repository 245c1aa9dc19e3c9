//! The registry alone, with a clock of the tests' own.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use sutra_wire::grid::{
    AgentRegistration, AgentReport, AgentState, ClusterState, EventKind, NodeReport, NodeState, SpawnNode,
};

use super::*;

const DEGRADED: Duration = Duration::from_secs(15);
const OFFLINE: Duration = Duration::from_secs(30);
const HOUR: u64 = 3_600_000_000;

/// A registry and a time that passes.
struct World {
    registry: Registry,
    at: Moment,
}

impl World {
    fn new() -> Self {
        let patience = Patience { degraded_after: DEGRADED, offline_after: OFFLINE };
        Self { registry: Registry::new(patience), at: Moment { now: Instant::now(), wall: HOUR } }
    }

    /// Lets time pass as a master does that looks at ages all along.
    fn pass(&mut self, time: Duration) {
        let end = self.at.now + time;
        while self.at.now < end {
            let step = Duration::from_millis(250).min(end - self.at.now);
            self.at.now += step;
            self.at.wall += step.as_micros() as u64;
            self.registry.look_at_ages(self.at);
        }
    }

    fn register(&mut self, id: &str, incarnation: u64, nodes: Vec<NodeReport>) -> Result<(), Refused> {
        self.registry.register(registration(id, incarnation, nodes), self.at)
    }

    fn beat(&mut self, id: &str, incarnation: u64, revision: u64) -> Option<bool> {
        self.registry.heartbeat(id, incarnation, revision, self.at)
    }

    fn report(&mut self, id: &str, incarnation: u64, revision: u64, nodes: Vec<NodeReport>) -> bool {
        let report = AgentReport { agent_id: id.into(), incarnation, revision, nodes };
        self.registry.report(&report, self.at)
    }

    fn spawn(&mut self, id: &str, name: &str) -> Result<(u64, Contact), Refused> {
        self.registry.reserve(&spawn(id, name), self.at)
    }

    fn spawned(&mut self, id: &str, name: &str, node_id: &str) {
        let (reservation, _) = self.spawn(id, name).unwrap();
        let spawned = NodeReport { node_id: node_id.into(), compat_endpoint: "h:2".into(), ..NodeReport::default() };
        self.registry.spawned(reservation, &spawn(id, name), spawned, self.at).unwrap();
    }

    fn kinds(&mut self) -> Vec<EventKind> {
        self.registry.take_events().into_iter().map(|event| event.kind).collect()
    }

    fn state(&self, id: &str) -> AgentState {
        let page = self.registry.agent_page("", 0, self.at);
        let agent = page.agents.iter().find(|agent| agent.agent_id == id).unwrap();
        AgentState::from_number(agent.state).unwrap()
    }

    fn node(&self, key: &str) -> Option<NodeState> {
        self.registry.node(key).map(Node::state)
    }
}

fn registration(id: &str, incarnation: u64, nodes: Vec<NodeReport>) -> AgentRegistration {
    AgentRegistration {
        agent_id: id.into(),
        hostname: format!("host-of-{id}"),
        endpoint: "127.0.0.1:8001".into(),
        incarnation,
        revision: 1,
        max_nodes: 2,
        nodes,
        ..AgentRegistration::default()
    }
}

fn node(id: &str, state: NodeState) -> NodeReport {
    NodeReport { node_id: id.into(), name: format!("name-of-{id}"), state: state as u8, ..NodeReport::default() }
}

fn spawn(id: &str, name: &str) -> SpawnNode {
    SpawnNode { agent_id: id.into(), name: name.into(), ..SpawnNode::default() }
}

#[test]
fn silence_makes_an_agent_degraded_then_offline_and_a_heartbeat_makes_it_healthy() {
    let mut world = World::new();
    world.register("a", 7, vec![]).unwrap();
    world.pass(DEGRADED - Duration::from_millis(250));
    assert_eq!((world.state("a"), world.kinds()), (AgentState::Healthy, vec![EventKind::AgentRegistered]));
    world.pass(Duration::from_millis(250));
    assert_eq!((world.state("a"), world.kinds()), (AgentState::Degraded, vec![EventKind::AgentDegraded]));
    world.pass(OFFLINE - DEGRADED);
    assert_eq!((world.state("a"), world.kinds()), (AgentState::Offline, vec![EventKind::AgentOffline]));
    assert_eq!(world.beat("a", 7, 1), Some(false));
    assert_eq!((world.state("a"), world.kinds()), (AgentState::Healthy, vec![EventKind::AgentRecovered]));
    assert_eq!(world.registry.take_changes(), [Change::Agent("a".into())], "heartbeats are not logged");
}

#[test]
fn a_wall_clock_that_jumps_makes_nobody_offline() {
    let mut world = World::new();
    world.register("a", 7, vec![]).unwrap();
    world.at.wall += 1000 * HOUR;
    world.pass(Duration::from_secs(1));
    assert_eq!(world.state("a"), AgentState::Healthy);
    world.at.wall = 0;
    assert_eq!(world.beat("a", 7, 1), Some(false));
    world.pass(Duration::from_secs(1));
    assert_eq!(world.state("a"), AgentState::Healthy);
}

#[test]
fn a_master_that_was_not_there_blames_nobody() {
    let mut world = World::new();
    world.register("a", 7, vec![]).unwrap();
    world.pass(Duration::from_secs(5));
    world.at.now += Duration::from_secs(3600);
    world.registry.look_at_ages(world.at);
    assert_eq!(world.state("a"), AgentState::Healthy);
    world.pass(OFFLINE);
    assert_eq!(world.state("a"), AgentState::Offline, "and from there on its silence counts");
    world.at.now += Duration::from_secs(3600);
    world.registry.look_at_ages(world.at);
    assert_eq!(world.state("a"), AgentState::Offline);
}

#[test]
fn a_second_agent_with_the_same_name_is_refused_until_the_first_is_offline() {
    let mut world = World::new();
    world.register("a", 7, vec![node("n1", NodeState::Running)]).unwrap();
    world.pass(Duration::from_secs(16));
    let refused = world.register("a", 8, vec![]).unwrap_err().to_string();
    assert!(refused.contains("host-of-a") && refused.contains("16.0 s ago"), "{refused}");
    assert_eq!(world.beat("a", 8, 1), None, "a stranger's heartbeat is not the agent's");
    world.pass(Duration::from_secs(14));
    world.register("a", 8, vec![node("n2", NodeState::Running)]).unwrap();
    assert_eq!((world.node("n1"), world.node("n2")), (Some(NodeState::Lost), Some(NodeState::Running)));
    assert_eq!(world.beat("a", 7, 1), None, "the first one has to register, and is refused");
    assert!(world.register("a", 7, vec![]).is_err());
    world.register("a", 8, vec![node("n2", NodeState::Running)]).unwrap();
}

#[test]
fn an_unknown_agent_is_to_register() {
    let mut world = World::new();
    assert_eq!(world.beat("a", 7, 1), None);
    assert!(!world.report("a", 7, 1, vec![]));
    assert!(!world.registry.unregister("a", 0));
    assert!(world.registry.take_changes().is_empty() && world.kinds().is_empty());
}

#[test]
fn a_heartbeat_with_another_revision_asks_for_a_report_until_it_comes() {
    let mut world = World::new();
    world.register("a", 7, vec![]).unwrap();
    assert_eq!(world.beat("a", 7, 1), Some(false));
    assert_eq!(world.beat("a", 7, 2), Some(true));
    assert_eq!(world.beat("a", 7, 2), Some(true));
    assert!(world.report("a", 7, 2, vec![node("n1", NodeState::Starting)]));
    assert_eq!(world.beat("a", 7, 2), Some(false));
}

#[test]
fn a_report_replaces_what_was_known_and_says_what_happened() {
    let mut world = World::new();
    world.register("a", 7, vec![node("n1", NodeState::Running), node("n2", NodeState::Stopped)]).unwrap();
    world.kinds();
    world.registry.take_changes();
    let crashed = NodeReport { restarts: 1, ..node("n1", NodeState::Starting) };
    world.report("a", 7, 2, vec![crashed.clone(), node("n3", NodeState::Starting)]);
    let kinds = [EventKind::NodeCrashed, EventKind::NodeRestarted, EventKind::NodeSpawned];
    assert_eq!(world.kinds(), kinds);
    assert_eq!(world.node("n2"), None, "a stopped node that is not listed is forgotten");
    let changed = ["n1", "n3", "n2"].map(|id| Change::Node(id.into()));
    assert_eq!(world.registry.take_changes(), changed);
    world.report("a", 7, 2, vec![crashed, node("n3", NodeState::Starting)]);
    assert!(
        world.kinds().is_empty() && world.registry.take_changes().is_empty(),
        "a report that comes twice changes nothing"
    );
    world.report("a", 7, 3, vec![node("n3", NodeState::Running)]);
    assert_eq!(world.kinds(), [EventKind::NodeRunning, EventKind::NodeLost]);
    assert_eq!(world.node("n1"), Some(NodeState::Lost));
    world.report("a", 7, 4, vec![node("n1", NodeState::Running), node("n3", NodeState::GaveUp)]);
    assert_eq!(world.kinds(), [EventKind::NodeRunning, EventKind::NodeGaveUp]);
}

#[test]
fn nothing_is_spawned_on_an_agent_that_is_unknown_offline_or_full() {
    let mut world = World::new();
    assert!(matches!(world.spawn("a", ""), Err(Refused::UnknownAgent { .. })));
    world.register("a", 7, vec![node("n1", NodeState::Running), node("n2", NodeState::GaveUp)]).unwrap();
    let (first, _) = world.spawn("a", "").unwrap();
    assert!(matches!(world.spawn("a", ""), Err(Refused::Full { nodes: 2, most: 2, .. })), "one is being started");
    world.registry.spawn_failed(first);
    world.spawn("a", "").unwrap();
    world.pass(OFFLINE);
    assert!(matches!(world.spawn("a", ""), Err(Refused::Offline { .. })));
    assert!(matches!(world.registry.stop("n1", None, world.at), Err(Refused::Offline { .. })));
}

#[test]
fn a_name_is_one_nodes_at_a_time() {
    let mut world = World::new();
    world.register("a", 7, vec![node("n1", NodeState::Running)]).unwrap();
    world.register("b", 8, vec![]).unwrap();
    for taken in ["n1", "name-of-n1"] {
        let refused = world.spawn("b", taken).unwrap_err().to_string();
        assert!(refused.contains("\"n1\" of agent \"a\""), "{refused}");
    }
    let (reservation, _) = world.spawn("b", "orders").unwrap();
    assert!(matches!(world.spawn("a", "orders"), Err(Refused::NameReserved { .. })));
    world.registry.spawn_failed(reservation);
    world.spawn("a", "orders").unwrap();
    // One that was given up is started again by its name where it is, and nowhere else.
    world.report("a", 7, 2, vec![node("n1", NodeState::GaveUp)]);
    assert!(world.spawn("b", "name-of-n1").is_err());
    world.spawn("a", "name-of-n1").unwrap();
}

#[test]
fn a_spawned_node_is_found_by_id_and_by_name() {
    let mut world = World::new();
    world.register("a", 7, vec![]).unwrap();
    world.kinds();
    world.spawned("a", "orders", "n1");
    assert_eq!(world.kinds(), [EventKind::NodeSpawned, EventKind::NodeRunning]);
    assert_eq!((world.node("n1"), world.node("orders")), (Some(NodeState::Running), Some(NodeState::Running)));
    // A report that was on its way before it does not lose it, but another one is asked for.
    world.report("a", 7, 2, vec![]);
    assert_eq!((world.node("n1"), world.beat("a", 7, 2)), (Some(NodeState::Running), Some(true)));
    for _ in 0..5 {
        world.pass(Duration::from_secs(12));
        world.beat("a", 7, 2);
    }
    world.report("a", 7, 2, vec![]);
    assert_eq!((world.node("n1"), world.beat("a", 7, 2)), (Some(NodeState::Lost), Some(false)));
}

#[test]
fn the_agents_own_report_of_a_spawned_node_stays() {
    let mut world = World::new();
    world.register("a", 7, vec![]).unwrap();
    let (reservation, _) = world.spawn("a", "orders").unwrap();
    let reported = NodeReport { pid: 77, name: "orders".into(), ..node("n1", NodeState::Running) };
    world.report("a", 7, 2, vec![reported.clone()]);
    let spawned = NodeReport { node_id: "n1".into(), ..NodeReport::default() };
    world.registry.spawned(reservation, &spawn("a", "orders"), spawned, world.at).unwrap();
    assert_eq!(world.registry.node("orders").unwrap().report, reported);
    world.spawn("a", "").unwrap();
}

#[test]
fn stopping_asks_the_agent_that_has_the_node() {
    let mut world = World::new();
    world.register("a", 7, vec![node("n1", NodeState::Running), node("n2", NodeState::Running)]).unwrap();
    let at = world.at;
    assert_eq!(world.registry.stop("nowhere", None, at), Ok(StopTarget::Unknown));
    assert!(matches!(world.registry.stop("n1", Some("b"), at), Err(Refused::OtherAgent { .. })));
    let Ok(StopTarget::Ask { agent_id, node_id, .. }) = world.registry.stop("name-of-n1", Some("a"), at) else {
        panic!("its agent is there")
    };
    assert_eq!((agent_id.as_str(), node_id.as_str()), ("a", "n1"));
    world.registry.stopped("n1");
    assert_eq!(world.node("n1"), Some(NodeState::Stopped));
    assert_eq!(world.registry.stop("n1", None, at), Ok(StopTarget::Done));
    // A node that is lost is known to nobody but the master: it forgets it.
    world.report("a", 7, 2, vec![node("n1", NodeState::Stopped)]);
    assert_eq!(world.node("n2"), Some(NodeState::Lost));
    assert_eq!(world.registry.stop("n2", None, at), Ok(StopTarget::Done));
    assert_eq!(world.node("n2"), None);
}

#[test]
fn an_agent_that_leaves_takes_its_nodes_along() {
    let mut world = World::new();
    world.register("a", 7, vec![node("n1", NodeState::Running), node("n2", NodeState::Stopped)]).unwrap();
    let (reservation, _) = world.spawn("a", "").unwrap();
    world.kinds();
    assert!(world.registry.unregister("a", 0));
    assert_eq!(world.kinds(), [EventKind::NodeLost, EventKind::AgentUnregistered]);
    assert_eq!((world.registry.agents(), world.registry.nodes()), (0, 0));
    let spawned = NodeReport { node_id: "n9".into(), ..NodeReport::default() };
    let left = world.registry.spawned(reservation, &spawn("a", ""), spawned, world.at);
    assert!(matches!(left, Err(Refused::Left { .. })));
}

#[test]
fn a_node_that_two_agents_list_stays_with_the_first_while_that_is_there() {
    let mut world = World::new();
    world.register("a", 7, vec![node("n1", NodeState::Running)]).unwrap();
    world.register("b", 8, vec![node("n1", NodeState::Running)]).unwrap();
    assert_eq!(world.registry.node("n1").unwrap().agent_id, "a");
    for _ in 0..3 {
        world.pass(Duration::from_secs(10));
        world.beat("b", 8, 1);
    }
    world.report("b", 8, 2, vec![node("n1", NodeState::Running)]);
    assert_eq!(world.registry.node("n1").unwrap().agent_id, "b", "the agent of its folder's old place is offline");
}

#[test]
fn an_old_agent_is_known_by_its_address_and_its_nodes_by_what_was_asked() {
    let mut world = World::new();
    world.register("old", 0, vec![]).unwrap();
    world.spawned("old", "orders", "n1");
    assert!(matches!(world.registry.old_agent_of("orders", world.at), Some((id, _)) if id == "n1"));
    assert_eq!(world.beat("old", 0, 1), Some(false), "it has no reports to give");
    world.register("old", 0, vec![]).unwrap();
    assert_eq!(world.node("n1"), Some(NodeState::Running), "it came back");
    let elsewhere = AgentRegistration { hostname: "elsewhere".into(), ..registration("old", 0, vec![]) };
    assert!(matches!(world.registry.register(elsewhere.clone(), world.at), Err(Refused::Taken { .. })));
    // It says how many nodes it has, whoever had it start them.
    world.beat("old", 0, 2);
    assert_eq!(world.registry.agent_page("", 0, world.at).agents[0].nodes, 2);
    assert!(matches!(world.spawn("old", ""), Err(Refused::Full { .. })));
    world.registry.told_of("n1", "Stopped", 0);
    assert_eq!(world.node("n1"), Some(NodeState::Stopped));
    world.pass(OFFLINE);
    world.registry.register(elsewhere, world.at).unwrap();
    let cores = SpawnNode { cores: "1".into(), ..spawn("old", "") };
    assert!(matches!(world.registry.reserve(&cores, world.at), Err(Refused::OldAgent { .. })));
}

#[test]
fn the_cluster_is_as_well_as_its_agents() {
    let mut world = World::new();
    let state = |world: &World| ClusterState::from_number(world.registry.cluster(world.at).state).unwrap();
    assert_eq!(state(&world), ClusterState::Healthy);
    for id in ["a", "b", "c"] {
        world.register(id, 7, vec![node(&format!("n-{id}"), NodeState::Running)]).unwrap();
    }
    assert_eq!(state(&world), ClusterState::Healthy);
    world.pass(DEGRADED);
    world.beat("a", 7, 1);
    assert_eq!(state(&world), ClusterState::Degraded);
    world.pass(DEGRADED);
    let cluster = world.registry.cluster(world.at);
    assert_eq!((cluster.healthy, cluster.degraded, cluster.offline, cluster.running), (0, 1, 2, 3));
    assert_eq!(state(&world), ClusterState::Critical);
}

#[test]
fn lists_come_in_pages_without_gaps_and_repeats() {
    let mut world = World::new();
    for number in 0..10 {
        world.register(&format!("a{number}"), 7, vec![node(&format!("n{number}"), NodeState::Running)]).unwrap();
    }
    let (mut after, mut ids) = (String::new(), Vec::new());
    loop {
        let page = world.registry.node_page("", &after, 3, world.at);
        ids.extend(page.nodes.iter().map(|node| node.report.node_id.clone()));
        after = ids.last().cloned().unwrap();
        if !page.more {
            break;
        }
    }
    assert_eq!(ids, (0..10).map(|number| format!("n{number}")).collect::<Vec<_>>());
    assert_eq!(world.registry.node_page("a3", "", 0, world.at).nodes.len(), 1);
    let page = world.registry.agent_page("a4", 5, world.at);
    assert_eq!((page.agents[0].agent_id.as_str(), page.agents.len(), page.more), ("a5", 5, false));
}

#[test]
fn what_was_logged_comes_back_with_its_whole_time() {
    let mut world = World::new();
    let facts = AgentFacts { incarnation: 7, max_nodes: 2, ..AgentFacts::default() };
    world.registry.restore_agent("a".into(), facts, world.at);
    assert!(world.registry.restore_node("a".into(), node("n1", NodeState::Running)));
    assert!(!world.registry.restore_node("gone".into(), node("n2", NodeState::Running)));
    assert_eq!((world.state("a"), world.node("name-of-n1")), (AgentState::Healthy, Some(NodeState::Running)));
    assert_eq!(world.beat("a", 7, 1), Some(true), "what has happened meanwhile is asked for");
    world.pass(OFFLINE);
    assert_eq!(world.state("a"), AgentState::Offline);
}

#[test]
fn what_is_kept_of_nodes_that_are_gone_is_bounded() {
    let mut world = World::new();
    let many = |from: usize| (from..from + 200).map(|id| node(&format!("n{id:04}"), NodeState::Running)).collect();
    for round in 0..5 {
        let report = AgentRegistration { max_nodes: 256, ..registration("a", 7, many(round * 200)) };
        world.registry.register(report, world.at).unwrap();
    }
    assert_eq!(world.registry.nodes(), 200 + sutra_wire::limits::MAX_AGENT_NODES);
}

#[test]
fn only_the_agent_itself_or_a_person_takes_its_leave_and_all_of_it_leaves_the_log() {
    let mut world = World::new();
    world.register("a", 7, vec![node("n1", NodeState::Running), node("n2", NodeState::Stopped)]).unwrap();
    world.registry.take_changes();
    assert!(!world.registry.unregister("a", 8), "another one of its name");
    assert_eq!(world.state("a"), AgentState::Healthy);
    assert!(world.registry.unregister("a", 7));
    let gone = ["n1", "n2"].map(|id| Change::Node(id.into()));
    let changes = world.registry.take_changes();
    assert!(gone.iter().all(|change| changes.contains(change)), "{changes:?}");
}

#[test]
fn nodes_of_an_agent_that_goes_on_under_another_name_are_that_ones_in_the_end() {
    let mut world = World::new();
    world.register("a", 7, vec![node("n1", NodeState::Running)]).unwrap();
    // The same folder under another name: until the first is offline its nodes are the first's, and asked for again.
    world.register("b", 7, vec![node("n1", NodeState::Running)]).unwrap();
    assert_eq!(world.beat("b", 7, 1), Some(true));
    for _ in 0..4 {
        world.pass(Duration::from_secs(10));
        world.beat("b", 7, 1);
    }
    assert_eq!(world.beat("b", 7, 1), Some(true));
    assert!(world.report("b", 7, 1, vec![node("n1", NodeState::Running)]));
    assert_eq!(world.registry.node("n1").unwrap().agent_id, "b");
    assert_eq!(world.beat("b", 7, 1), Some(false));
}

#[test]
fn a_node_that_did_not_start_leaves_nothing_and_one_that_starts_is_counted_once() {
    let mut world = World::new();
    world.register("a", 7, vec![]).unwrap();
    let (reservation, _) = world.spawn("a", "").unwrap();
    world.report("a", 7, 2, vec![node("n1", NodeState::Starting)]);
    world.spawn("a", "").expect("one of two places is taken, not both");
    world.registry.spawn_failed(reservation);
    world.report("a", 7, 3, vec![]);
    assert_eq!(world.node("n1"), None);
}
