//! Whose a name is.

use super::*;

fn named(id: &str, name: &str, state: NodeState) -> NodeReport {
    NodeReport { name: name.into(), ..node(id, state) }
}

fn holder(world: &World, name: &str) -> String {
    world.registry.find(name).unwrap().report.node_id.clone()
}

#[test]
fn a_name_is_the_first_nodes_that_had_it_and_stays_its_own_when_it_stops() {
    let mut world = World::new();
    world.register("a", 7, vec![named("n9", "words", NodeState::Running)]).unwrap();
    world.register("b", 8, vec![named("n1", "words", NodeState::Running)]).unwrap();
    assert_eq!(holder(&world, "words"), "n9");
    let words = world.registry.problems(world.at).words();
    assert!(words.contains("\"words\"") && words.contains("n9") && words.contains("n1"), "{words}");
    world.report("a", 7, 2, vec![named("n9", "words", NodeState::Stopped)]);
    assert_eq!(
        (holder(&world, "words"), world.node("words")),
        ("n9".into(), Some(NodeState::Stopped))
    );
    // Nor does a restart of the master change that.
    let mut later = World::new();
    for (agent_id, incarnation) in [("a", 7), ("b", 8)] {
        let facts = AgentFacts { incarnation, vouches: true, ..AgentFacts::default() };
        later.registry.restore_agent(agent_id.into(), facts, later.at);
    }
    for id in ["n1", "n9"] {
        let known = world.registry.node(id).unwrap();
        later.registry.restore_node(
            known.agent_id.clone(),
            known.report.clone(),
            known.claim,
            later.at,
        );
    }
    assert_eq!(holder(&later, "words"), "n9");
    later
        .register(
            "b",
            8,
            vec![
                named("n1", "words", NodeState::Running),
                named("n2", "words", NodeState::Running),
            ],
        )
        .unwrap();
    assert_eq!(holder(&later, "words"), "n9");
    // It is free once nobody has the node any more.
    later.registry.unregister("a", 0);
    assert_eq!(holder(&later, "words"), "n1");
}

#[test]
fn an_id_is_a_name_that_nobody_else_takes() {
    let mut world = World::new();
    world.register("a", 7, vec![named("n1", "words", NodeState::Running)]).unwrap();
    // A node whose id is the name of another's, and one whose name is another's id.
    world
        .register(
            "b",
            8,
            vec![named("words", "", NodeState::Running), named("x", "n1", NodeState::Running)],
        )
        .unwrap();
    assert_eq!((holder(&world, "words"), holder(&world, "n1")), ("n1".into(), "n1".into()));
    let words = world.registry.problems(world.at).words();
    assert!(words.contains("\"n1\" (x) of agent \"b\""), "{words}");
}

#[test]
fn whoever_has_a_node_started_under_an_unused_name_gives_it_that_name() {
    let mut world = World::new();
    world.register("a", 7, vec![named("n1", "words", NodeState::Stopped)]).unwrap();
    world.register("b", 8, vec![]).unwrap();
    world.spawned("b", "words", "n2");
    assert_eq!(holder(&world, "words"), "n2");
    // The agent's own report comes first, and says the same.
    let (_, _) = world.spawn("a", "orders").unwrap();
    world.report("b", 8, 2, vec![named("n2", "words", NodeState::Stopped)]);
    world.spawn("a", "words").unwrap();
    world.report("a", 7, 2, vec![named("n3", "words", NodeState::Running)]);
    assert_eq!(holder(&world, "words"), "n3");
}

#[test]
fn a_stopped_node_is_started_again_under_its_name_though_a_strangers_has_it_too() {
    for name in ["words", ""] {
        let mut world = World::new();
        world.register("a", 7, vec![named("n9", "words", NodeState::Running)]).unwrap();
        world.register("b", 8, vec![named("n1", "words", NodeState::Running)]).unwrap();
        world.report("a", 7, 2, vec![named("n9", "words", NodeState::Stopped)]);
        // By its name, or by its path, which says no name.
        world.spawned("a", name, "n9");
        assert_eq!(
            (holder(&world, "words"), world.node("words")),
            ("n9".into(), Some(NodeState::Running)),
            "{name:?}"
        );
        assert_eq!(world.registry.node("n9").unwrap().report.name, "words");
    }
}
