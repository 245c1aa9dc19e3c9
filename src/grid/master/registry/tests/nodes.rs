//! Nodes: reserving, spawning, reports, names, stopping.

use super::*;

#[test]
fn a_report_replaces_what_was_known_and_says_what_happened() {
    let mut world = World::new();
    world
        .register("a", 7, vec![node("n1", NodeState::Running), node("n2", NodeState::Stopped)])
        .unwrap();
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
    world
        .register("a", 7, vec![node("n1", NodeState::Running), node("n2", NodeState::GaveUp)])
        .unwrap();
    let (first, _) = world.spawn("a", "").unwrap();
    assert!(
        matches!(world.spawn("a", ""), Err(Refused::Full { nodes: 2, most: 2, .. })),
        "one is being started"
    );
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
    assert_eq!(
        (world.node("n1"), world.node("orders")),
        (Some(NodeState::Running), Some(NodeState::Running))
    );
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
    assert_eq!(world.registry.find("orders").unwrap().report, reported);
    world.spawn("a", "").unwrap();
}

#[test]
fn stopping_asks_the_agent_that_has_the_node() {
    let mut world = World::new();
    world
        .register("a", 7, vec![node("n1", NodeState::Running), node("n2", NodeState::Running)])
        .unwrap();
    let at = world.at;
    assert_eq!(world.registry.stop("nowhere", None, at), Ok(StopTarget::Unknown));
    assert!(matches!(world.registry.stop("n1", Some("b"), at), Err(Refused::OtherAgent { .. })));
    let Ok(StopTarget::Ask { agent_id, node_id, .. }) =
        world.registry.stop("name-of-n1", Some("a"), at)
    else {
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
    assert_eq!(
        world.registry.node("n1").unwrap().agent_id,
        "b",
        "the agent of its folder's old place is offline"
    );
}

#[test]
fn what_is_kept_of_nodes_that_are_gone_is_bounded() {
    let mut world = World::new();
    let many = |from: usize| {
        (from..from + 200).map(|id| node(&format!("n{id:04}"), NodeState::Running)).collect()
    };
    for round in 0..5 {
        let report =
            AgentRegistration { max_nodes: 256, ..registration("a", 7, many(round * 200)) };
        world.register_all(&report).unwrap();
    }
    assert_eq!(world.registry.nodes(), 200 + sutra_wire::limits::MAX_AGENT_NODES);
}

#[test]
fn nodes_of_an_agent_that_goes_on_under_another_name_are_that_ones_in_the_end() {
    let mut world = World::new();
    world.register("a", 7, vec![node("n1", NodeState::Running)]).unwrap();
    // The same folder under another name: until the first is offline its nodes are the first's, and
    // asked for again.
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

#[test]
fn a_start_of_which_nothing_is_known_keeps_its_name_and_place_until_its_agent_would_have_told() {
    let mut world = World::new();
    world.register("a", 7, vec![]).unwrap();
    world.register("b", 8, vec![]).unwrap();
    let begin = |world: &mut World| {
        let (reservation, _) = world.spawn("a", "orders").unwrap();
        world.registry.spawn_unknown(reservation, world.at);
    };
    begin(&mut world);
    assert!(matches!(world.spawn("b", "orders"), Err(Refused::NameReserved { .. })));
    // The agent tells: its node has the name.
    world.report(
        "a",
        7,
        2,
        vec![NodeReport { name: "orders".into(), ..node("n1", NodeState::Running) }],
    );
    assert!(matches!(world.spawn("b", "orders"), Err(Refused::NameTaken { .. })));
    // It does not, as it never began.
    world.report("a", 7, 3, vec![]);
    world.registry.stop("orders", None, world.at).unwrap();
    begin(&mut world);
    for _ in 0..6 {
        assert!(world.spawn("b", "orders").is_err());
        world.pass(Duration::from_secs(10));
        world.beat("a", 7, 3);
        world.beat("b", 8, 1);
    }
    let (reservation, _) = world.spawn("b", "orders").unwrap();
    world.registry.spawn_failed(reservation);
    // The agent itself may be asked again at once: it knows what it has begun.
    begin(&mut world);
    begin(&mut world);
}
