//! Agents that answer where they say that they are, and those that do not.

use super::*;

/// Registers one that is not answered for yet.
fn list(world: &mut World, id: &str, origin: Option<Origin>) -> Result<Registered, Refused> {
    let nodes =
        vec![NodeReport { name: "words".into(), ..node(&format!("n-{id}"), NodeState::Running) }];
    world.registry.register(&registration(id, 7, nodes), origin, world.at)
}

fn no(_: &Ask) -> Answered {
    Answered::No("nobody is there".into())
}

fn address(last: u8) -> Option<Origin> {
    Some(Origin::from(std::net::SocketAddr::from(([10, 0, 0, last], 1))))
}

#[test]
fn an_agent_that_has_not_answered_is_no_more_than_listed() {
    let mut world = World::new();
    assert_eq!(list(&mut world, "a", HERE), Ok(Registered::Done));
    assert_eq!(world.beat("a", 7, 9), Some(false), "its nodes are not asked for");
    assert!(world.report("a", 7, 9, vec![node("n1", NodeState::GaveUp)]));
    assert_eq!(
        (world.registry.agents(), world.registry.nodes(), world.registry.unproven()),
        (1, 0, 1)
    );
    assert_eq!(world.answer(no), 1);
    assert_eq!(
        (world.node("words"), world.registry.problems(world.at).words()),
        (None, "ok".into())
    );
    assert!(world.registry.take_changes().is_empty(), "nothing of it is logged");
    // It is asked again, and answers.
    let mut asked = 0;
    while asked == 0 {
        world.pass(Duration::from_millis(250));
        world.beat("a", 7, 9);
        asked = world.answer(|_| Answered::Itself);
    }
    assert_eq!(world.registry.take_changes(), [Change::Agent("a".into())]);
    assert_eq!(world.beat("a", 7, 9), Some(true), "now they are");
    world.report("a", 7, 9, vec![node("n1", NodeState::Running)]);
    assert_eq!(world.node("n1"), Some(NodeState::Running));
    // One that never answers is forgotten as soon as it is offline.
    assert_eq!(list(&mut world, "b", HERE), Ok(Registered::Done));
    world.pass(OFFLINE);
    assert_eq!((world.registry.agents(), world.state("a")), (1, AgentState::Offline));
}

#[test]
fn an_agent_that_has_not_answered_is_shown_as_unknown() {
    let mut world = World::new();
    world.register("known", 7, vec![]).unwrap();
    assert_eq!(list(&mut world, "a", HERE), Ok(Registered::Done));
    let cluster = world.registry.cluster(Shown::ByAnswer, world.at);
    assert_eq!((cluster.agents, cluster.healthy, cluster.offline), (2, 1, 0));
    let page = world.registry.agent_page("", 0, Shown::ByAnswer, world.at);
    let states: Vec<_> =
        page.agents.iter().map(|agent| (agent.agent_id.as_str(), agent.state)).collect();
    assert_eq!(states, [("a", AgentState::Unknown as u8), ("known", AgentState::Healthy as u8)]);
    assert_eq!(world.answer(|_| Answered::Itself), 1);
    assert_eq!(world.registry.cluster(Shown::ByAnswer, world.at).healthy, 2);
}

#[test]
fn made_up_agents_lock_nobody_out_and_leave_nothing() {
    let mut world = World::new();
    world.register("known", 7, vec![]).unwrap();
    world.registry.take_changes();
    for number in 0..66_000_u32 {
        let id = format!("made-up-{number}");
        match list(&mut world, &id, HERE) {
            Ok(Registered::Done) | Err(Refused::Crowded { .. }) => {}
            other => panic!("{id}: {other:?}"),
        }
        if number % 10 == 0 {
            world.at.now += Duration::from_millis(1);
            world.answer(no);
            world.beat("known", 7, 1);
        }
    }
    assert!(world.registry.unproven() <= 1_280, "{}", world.registry.unproven());
    // From another address one is let in at once, and the one that was there has stayed.
    let other = registration("other", 8, vec![node("n2", NodeState::Running)]);
    assert_eq!(world.registry.register(&other, address(1), world.at), Ok(Registered::Done));
    let is_other = |ask: &Ask| if ask.agent_id == "other" { Answered::Itself } else { no(ask) };
    world.answer(is_other);
    assert_eq!(world.node("n2"), Some(NodeState::Running));
    assert_eq!(world.beat("known", 7, 1), Some(false));
    // From the same address as well, a moment later.
    world.pass(Duration::from_secs(2));
    let late = registration("late", 9, vec![node("n3", NodeState::Running)]);
    assert_eq!(world.registry.register(&late, HERE, world.at), Ok(Registered::Done));
    world.answer(|ask| if ask.agent_id == "late" { Answered::Itself } else { no(ask) });
    assert_eq!(world.node("n3"), Some(NodeState::Running));
    let changed = world.registry.take_changes();
    assert!(
        !changed
            .iter()
            .any(|change| matches!(change, Change::Agent(id) if id.starts_with("made-up")))
    );
    world.pass(OFFLINE);
    assert_eq!(world.registry.unproven(), 0);
}

#[test]
fn many_addresses_are_bounded_together_and_one_that_has_few_is_let_in_still() {
    let mut world = World::new();
    for last in 0..10 {
        for number in 0..1_280 {
            let _ = list(&mut world, &format!("a-{last}-{number}"), address(last));
        }
    }
    assert_eq!(world.registry.unproven(), 8_192);
    assert!(
        matches!(list(&mut world, "x", address(99)), Err(Refused::Crowded { .. })),
        "none has been tried yet"
    );
    for _ in 0..10 {
        assert!(world.answer(no) > 0);
        world.at.now += Duration::from_millis(60);
    }
    world.at.now += Duration::from_secs(2);
    assert_eq!(list(&mut world, "x", address(99)), Ok(Registered::Done));
    assert_eq!(world.registry.unproven(), 8_192);
    let one_site = ["[2001:db8::1]:1", "[2001:db8::ffff:2]:3"]
        .map(|peer| Origin::from(peer.parse::<std::net::SocketAddr>().unwrap()));
    assert_eq!(one_site[0], one_site[1]);
    let mapped: std::net::SocketAddr = "[::ffff:10.0.0.1]:7".parse().unwrap();
    assert_eq!(Some(Origin::from(mapped)), address(1));
}

#[test]
fn nobody_takes_an_agents_place_who_does_not_answer_and_who_does_not_answer_keeps_none() {
    let mut world = World::new();
    world.register("a", 7, vec![node("n1", NodeState::Running)]).unwrap();
    world.pass(OFFLINE);
    let other = registration("a", 8, vec![]);
    let asked = |world: &mut World| match world.registry.register(&other, HERE, world.at) {
        Ok(Registered::AskFirst(ask)) => ask,
        refused => panic!("{refused:?}"),
    };
    let ask = asked(&mut world);
    let refused = world.registry.replace(&other, ask.clone(), no(&ask), world.at);
    assert!(matches!(refused, Err(Refused::Unanswered { .. })), "{refused:?}");
    assert_eq!(world.beat("a", 7, 1), Some(false), "it is the one that was known still");
    // It has come back before the other one answers.
    world.pass(OFFLINE);
    let ask = asked(&mut world);
    world.beat("a", 7, 1);
    assert!(matches!(
        world.registry.replace(&other, ask, Answered::Itself, world.at),
        Err(Refused::Taken { .. })
    ));
    // A name of an agent that somebody has made up is free for the one that answers.
    assert_eq!(list(&mut world, "b", HERE), Ok(Registered::Done));
    world.register("b", 9, vec![node("n2", NodeState::Running)]).unwrap();
    assert_eq!(world.node("n2"), Some(NodeState::Running));
}

#[test]
fn of_an_agent_that_does_not_say_who_it_is_only_the_nodes_are_taken_that_it_answers_for() {
    let mut world = World::new();
    let nodes = vec![node("n1", NodeState::Running), node("n2", NodeState::Running)];
    let runs = |_: &Ask| Answered::Nodes(vec!["n1".into()]);
    assert_eq!(
        world.registry.register(&registration("a", 7, nodes.clone()), HERE, world.at),
        Ok(Registered::Done)
    );
    world.answer(runs);
    assert_eq!((world.node("n1"), world.node("n2")), (Some(NodeState::Running), None));
    // What is known already is not asked for again; what is new is.
    assert!(world.report("a", 7, 2, vec![node("n1", NodeState::Crashed)]));
    assert_eq!((world.answer(runs), world.node("n1")), (0, Some(NodeState::Crashed)));
    assert!(world.report("a", 7, 3, nodes));
    assert_eq!((world.node("n1"), world.answer(runs)), (Some(NodeState::Crashed), 1));
    assert_eq!((world.node("n1"), world.node("n2")), (Some(NodeState::Running), None));
}
