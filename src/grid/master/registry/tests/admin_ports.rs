//! Where agents and their nodes serve HTTP.

use sutra_wire::grid::{AdminPorts, NodeAdminPort};

use super::*;

fn ports(id: &str, incarnation: u64, nodes: &[&str]) -> AdminPorts {
    let port = |id: &&str| NodeAdminPort { node_id: (*id).into(), admin: format!("{id}:1") };
    AdminPorts {
        agent_id: id.into(),
        incarnation,
        admin: format!("{id}:9003"),
        nodes: nodes.iter().map(port).collect(),
    }
}

fn addresses(world: &World) -> Vec<String> {
    let (ports, more) = world.registry.admin_ports("", 100);
    assert_eq!(more, None);
    ports.into_iter().map(|port| port.address).collect()
}

#[test]
fn only_who_was_asked_back_is_believed() {
    let mut world = World::new();
    assert_eq!(world.registry.tell_ports(ports("a", 1, &[])), Told::Unknown);
    let nodes = vec![node("n", NodeState::Running)];
    assert!(world.registry.register(&registration("a", 1, nodes), HERE, world.at).is_ok());
    assert_eq!(world.registry.tell_ports(ports("a", 1, &["n"])), Told::TooEarly);
    assert!(addresses(&world).is_empty() && !world.registry.lacks_ports());
    assert_eq!(world.answer(|_| Answered::Itself), 1);
    assert!(world.registry.lacks_ports());
    assert_eq!(world.registry.tell_ports(ports("a", 2, &["n"])), Told::Unknown, "another's");
    assert_eq!(world.registry.tell_ports(ports("a", 1, &["n", "unknown"])), Told::Noted);
    assert_eq!(addresses(&world), ["a:9003", "n:1"]);
    assert_eq!(world.registry.admin_of_node("a", "n"), "n:1");
    assert!(!world.registry.lacks_ports());
}

#[test]
fn they_are_told_while_the_node_is_there_and_the_agent_is_the_same() {
    let mut world = World::new();
    let running = |id| node(id, NodeState::Running);
    world.register("a", 1, vec![running("n"), running("o")]).unwrap();
    world.register("b", 1, vec![running("p")]).unwrap();
    for told in [ports("a", 1, &["n", "o"]), ports("b", 1, &["p", "n"])] {
        assert_eq!(world.registry.tell_ports(told), Told::Noted);
    }
    assert_eq!(addresses(&world), ["a:9003", "n:1", "o:1", "b:9003", "p:1"], "n is a's");
    let (first, more) = world.registry.admin_ports("", 2);
    assert_eq!((first.len(), more.as_deref()), (3, Some("a")));
    assert_eq!(first[1].node.as_deref(), Some("name-of-n"));
    assert_eq!(world.registry.admin_ports("a", 2).0.len(), 2);
    assert!(world.report("a", 1, 2, vec![running("n"), node("o", NodeState::Stopped)]));
    assert_eq!(addresses(&world), ["a:9003", "n:1", "b:9003", "p:1"]);
    // One that comes back tells it again, and is where it was until then.
    world.register("a", 1, vec![running("n")]).unwrap();
    assert_eq!(world.registry.admin_of_agent("a"), "a:9003");
    assert!(world.registry.unregister("a", 1));
    assert_eq!(addresses(&world), ["b:9003", "p:1"]);
}
