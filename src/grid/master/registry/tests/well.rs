//! Whether the grid is well, and what is not.

use super::*;

#[test]
fn what_is_not_as_it_should_be_makes_the_grid_degraded_and_is_named() {
    let well = |nodes: Vec<NodeReport>, after: Duration| {
        let mut world = World::new();
        world.register("a", 7, nodes).unwrap();
        let end = world.at.now + after;
        while world.at.now < end {
            world.pass(Duration::from_secs(5));
            world.beat("a", 7, 1);
        }
        let problems = world.registry.problems(world.at);
        assert_eq!(world.registry.cluster(Shown::ByAnswer, world.at).state, problems.state as u8);
        problems.words()
    };
    let (now, later) = (Duration::ZERO, Duration::from_secs(20));
    for (state, after, says) in [
        (NodeState::Running, later, "ok"),
        (NodeState::Stopped, later, "ok"),
        (NodeState::Starting, now, "ok"),
        (NodeState::Starting, later, "has been starting for"),
        (NodeState::Stopping, later, "has been stopping for"),
        (NodeState::Crashed, now, "is crashed"),
        (NodeState::GaveUp, now, "is given up"),
    ] {
        let words = well(vec![node("n1", state)], after);
        assert!(words.contains(says), "{state}: {words}");
        assert_eq!(words == "ok", says == "ok");
    }
    let sick = NodeReport { detail: "the disk is full".into(), ..node("n1", NodeState::Running) };
    assert!(well(vec![sick], now).contains("the disk is full"));
    let many: Vec<_> =
        (0..20).map(|number| node(&format!("n{number}"), NodeState::GaveUp)).collect();
    assert!(well(many, now).ends_with("and 12 more"));
}

#[test]
fn an_agent_that_is_away_makes_the_grid_degraded_where_it_has_nodes_to_look_after() {
    let mut world = World::new();
    for id in ["a", "b", "c"] {
        world.register(id, 7, vec![]).unwrap();
    }
    world.register("d", 7, vec![node("n1", NodeState::Running)]).unwrap();
    let keep = |world: &mut World, ids: &[&str]| {
        for _ in 0..4 {
            world.pass(Duration::from_secs(10));
            ids.iter().for_each(|id| assert!(world.beat(id, 7, 1).is_some()));
        }
        world.registry.problems(world.at).words()
    };
    assert_eq!(keep(&mut world, &["a", "b", "d"]), "ok", "c has nothing that anybody misses");
    let words = keep(&mut world, &["a", "b", "c"]);
    assert!(words.contains("\"d\" is offline") && words.contains("after its node"), "{words}");
    world.pass(DEGRADED);
    world.beat("a", 7, 1);
    let words = world.registry.problems(world.at).words();
    assert!(
        words.starts_with("degraded: ") && words.contains("agent \"b\" is degraded"),
        "{words}"
    );
}
