//! Agents: health by age, who is who, coming back and leaving, what is told of them.

use super::*;

#[test]
fn silence_makes_an_agent_degraded_then_offline_and_a_heartbeat_makes_it_healthy() {
    let mut world = World::new();
    world.register("a", 7, vec![]).unwrap();
    world.pass(DEGRADED - Duration::from_millis(250));
    assert_eq!(
        (world.state("a"), world.kinds()),
        (AgentState::Healthy, vec![EventKind::AgentRegistered])
    );
    world.pass(Duration::from_millis(250));
    assert_eq!(
        (world.state("a"), world.kinds()),
        (AgentState::Degraded, vec![EventKind::AgentDegraded])
    );
    world.pass(OFFLINE - DEGRADED);
    assert_eq!(
        (world.state("a"), world.kinds()),
        (AgentState::Offline, vec![EventKind::AgentOffline])
    );
    assert_eq!(world.beat("a", 7, 1), Some(false));
    assert_eq!(
        (world.state("a"), world.kinds()),
        (AgentState::Healthy, vec![EventKind::AgentRecovered])
    );
    assert_eq!(
        world.registry.take_changes(),
        [Change::Agent("a".into())],
        "heartbeats are not logged"
    );
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
    assert_eq!(
        (world.node("n1"), world.node("n2")),
        (Some(NodeState::Lost), Some(NodeState::Running))
    );
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
fn an_agent_that_leaves_takes_its_nodes_along() {
    let mut world = World::new();
    world
        .register("a", 7, vec![node("n1", NodeState::Running), node("n2", NodeState::Stopped)])
        .unwrap();
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
fn an_old_agent_is_known_by_its_address_and_its_nodes_by_what_was_asked() {
    let mut world = World::new();
    world.register("old", 0, vec![]).unwrap();
    world.spawned("old", "orders", "n1");
    assert!(matches!(world.registry.old_agent_of("orders", world.at), Some((id, _)) if id == "n1"));
    assert_eq!(world.beat("old", 0, 1), Some(false), "it has no reports to give");
    world.register("old", 0, vec![]).unwrap();
    assert_eq!(world.node("n1"), Some(NodeState::Running), "it came back");
    let elsewhere =
        AgentRegistration { hostname: "elsewhere".into(), ..registration("old", 0, vec![]) };
    assert!(matches!(world.register_all(&elsewhere), Err(Refused::Taken { .. })));
    // It says how many nodes it has, whoever had it start them.
    world.beat("old", 0, 2);
    assert_eq!(world.registry.agent_page("", 0, Shown::ByAnswer, world.at).agents[0].nodes, 2);
    assert!(matches!(world.spawn("old", ""), Err(Refused::Full { .. })));
    world.registry.told_of("n1", "Stopped", 0);
    assert_eq!(world.node("n1"), Some(NodeState::Stopped));
    world.pass(OFFLINE);
    world.register_all(&elsewhere).unwrap();
    let cores = SpawnNode { cores: "1".into(), ..spawn("old", "") };
    assert!(matches!(world.registry.reserve(&cores, world.at), Err(Refused::OldAgent { .. })));
}

#[test]
fn the_cluster_is_as_well_as_its_agents() {
    let mut world = World::new();
    let state = |world: &World| {
        ClusterState::from_number(world.registry.cluster(Shown::ByAnswer, world.at).state).unwrap()
    };
    assert_eq!(state(&world), ClusterState::Healthy);
    for id in ["a", "b", "c"] {
        world.register(id, 7, vec![node(&format!("n-{id}"), NodeState::Running)]).unwrap();
    }
    assert_eq!(state(&world), ClusterState::Healthy);
    world.pass(DEGRADED);
    world.beat("a", 7, 1);
    assert_eq!(state(&world), ClusterState::Degraded);
    world.pass(DEGRADED);
    let cluster = world.registry.cluster(Shown::ByAnswer, world.at);
    assert_eq!((cluster.healthy, cluster.degraded, cluster.offline, cluster.running), (0, 1, 2, 3));
    assert_eq!(state(&world), ClusterState::Critical);
}

#[test]
fn lists_come_in_pages_without_gaps_and_repeats() {
    let mut world = World::new();
    for number in 0..10 {
        world
            .register(
                &format!("a{number}"),
                7,
                vec![node(&format!("n{number}"), NodeState::Running)],
            )
            .unwrap();
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
    let page = world.registry.agent_page("a4", 5, Shown::ByAnswer, world.at);
    assert_eq!((page.agents[0].agent_id.as_str(), page.agents.len(), page.more), ("a5", 5, false));
}

#[test]
fn what_was_logged_comes_back_with_its_whole_time() {
    let mut world = World::new();
    let facts = AgentFacts { incarnation: 7, max_nodes: 2, ..AgentFacts::default() };
    world.registry.restore_agent("a".into(), facts, world.at);
    assert!(world.registry.restore_node("a".into(), node("n1", NodeState::Running), 7, world.at));
    assert!(!world.registry.restore_node(
        "gone".into(),
        node("n2", NodeState::Running),
        8,
        world.at
    ));
    assert_eq!(
        (world.state("a"), world.node("name-of-n1")),
        (AgentState::Unknown, Some(NodeState::Running))
    );
    let words = world.registry.problems(world.at).words();
    assert!(
        words.starts_with("critical: ") && words.contains("since the master's start"),
        "{words}"
    );
    assert_eq!(world.beat("a", 7, 1), Some(true), "what has happened meanwhile is asked for");
    assert_eq!(
        (world.state("a"), world.kinds()),
        (AgentState::Healthy, vec![]),
        "nobody has said that it was away"
    );
    world.pass(OFFLINE);
    assert_eq!(world.state("a"), AgentState::Offline);
}

#[test]
fn only_the_agent_itself_or_a_person_takes_its_leave_and_all_of_it_leaves_the_log() {
    let mut world = World::new();
    world
        .register("a", 7, vec![node("n1", NodeState::Running), node("n2", NodeState::Stopped)])
        .unwrap();
    world.registry.take_changes();
    assert!(!world.registry.unregister("a", 8), "another one of its name");
    assert_eq!(world.state("a"), AgentState::Healthy);
    assert!(world.registry.unregister("a", 7));
    let gone = ["n1", "n2"].map(|id| Change::Node(id.into()));
    let changes = world.registry.take_changes();
    assert!(gone.iter().all(|change| changes.contains(change)), "{changes:?}");
}
