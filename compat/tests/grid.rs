//! The old grid's messages, byte for byte as its own agents, masters and consoles wrote them; what
//! ours add behind them; and any bytes as one.

#[path = "support/grid_golden.rs"]
mod grid_golden;
#[path = "support/grid_hold.rs"]
mod grid_hold;

use grid_golden::golden;
use grid_hold::{hold_reply, hold_request};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use sutra_compat::PREFIX_BYTES;
use sutra_compat::grid::{
    AgentClaim, AgentList, AgentRecord, GridReply, GridRequest, ReplyDetails, SpawnOptions,
    SpawnedDetails,
};
use sutra_testing::allocations::counted;

/// Beside what the message holds: an error's text.
const CONSTANT: usize = 8192;
/// What serde takes at most for a list whose length is only claimed; a request has none.
const CLAIMED_LIST: usize = 1 << 20;
/// A record of empty texts is 44 bytes of a message, and 112 of memory; a list that grows is for a
/// moment there twice.
const OWNED_PER_WIRE: usize = 10;

fn requests() -> Vec<(&'static str, GridRequest)> {
    let agent_id = || "agent-001".to_owned();
    vec![
        (
            "RegisterAgent",
            GridRequest::RegisterAgent {
                agent_id: agent_id(),
                hostname: "h".into(),
                platform: "docker".into(),
                max_storage_nodes: 5,
                version: "0.1.0".into(),
                agent_endpoint: "h:8001".into(),
            },
        ),
        (
            "Heartbeat",
            GridRequest::Heartbeat {
                agent_id: agent_id(),
                storage_node_count: 5,
                timestamp: 1_234_567_890,
            },
        ),
        ("UnregisterAgent", GridRequest::UnregisterAgent { agent_id: agent_id() }),
        (
            "SpawnStorageNode",
            GridRequest::SpawnStorageNode {
                agent_id: agent_id(),
                storage_path: "/d".into(),
                memory_limit_mb: 512,
                port: 50_060,
            },
        ),
        (
            "StopStorageNode",
            GridRequest::StopStorageNode { agent_id: agent_id(), node_id: "n1".into() },
        ),
        ("GetStorageNodeStatus", GridRequest::GetStorageNodeStatus { node_id: "n1".into() }),
        ("ListAgents", GridRequest::ListAgents),
        ("GetClusterStatus", GridRequest::GetClusterStatus),
    ]
}

fn record() -> AgentRecord {
    AgentRecord {
        agent_id: "a".into(),
        hostname: "h".into(),
        platform: "p".into(),
        status: "healthy".into(),
        max_storage_nodes: 5,
        current_storage_nodes: 1,
        last_heartbeat: 7,
    }
}

fn replies() -> Vec<(&'static str, GridReply)> {
    let (node_id, endpoint) = (|| "n1".to_owned(), || "localhost:50060".to_owned());
    vec![
        (
            "RegisterAgentOk",
            GridReply::RegisterAgentOk {
                success: true,
                master_version: "1.0.0".into(),
                error_message: None,
            },
        ),
        ("HeartbeatOk", GridReply::HeartbeatOk { acknowledged: true, timestamp: 1_234_567_890 }),
        ("UnregisterAgentOk", GridReply::UnregisterAgentOk),
        (
            "SpawnStorageNodeOk",
            GridReply::SpawnStorageNodeOk {
                node_id: node_id(),
                endpoint: endpoint(),
                success: true,
                error_message: None,
            },
        ),
        (
            "StopStorageNodeOk, an error",
            GridReply::StopStorageNodeOk { success: false, error_message: Some("x".into()) },
        ),
        (
            "GetStorageNodeStatusOk",
            GridReply::GetStorageNodeStatusOk {
                node_id: node_id(),
                status: "running".into(),
                pid: 42,
                endpoint: endpoint(),
            },
        ),
        ("ListAgentsOk", GridReply::ListAgentsOk { agents: vec![record()] }),
        (
            "GetClusterStatusOk",
            GridReply::GetClusterStatusOk {
                total_agents: 1,
                healthy_agents: 1,
                total_storage_nodes: 1,
                running_storage_nodes: 1,
                status: "ok".into(),
            },
        ),
        ("Error", GridReply::Error { message: "Unsupported operation".into() }),
    ]
}

/// A message without its length, which must be right.
fn unprefixed(message: &[u8]) -> &[u8] {
    let (prefix, message) = message.split_first_chunk::<PREFIX_BYTES>().unwrap();
    assert_eq!(u32::from_be_bytes(*prefix) as usize, message.len());
    message
}

fn written(request: &GridRequest, options: Option<&SpawnOptions>) -> Vec<u8> {
    let mut out = Vec::new();
    request.append(options, &mut out);
    unprefixed(&out).to_vec()
}

fn written_reply(reply: &GridReply, details: Option<&SpawnedDetails>) -> Vec<u8> {
    let mut out = Vec::new();
    reply.append(details, &mut out);
    unprefixed(&out).to_vec()
}

#[test]
fn every_message_of_the_old_grid_is_written_and_read_as_of_old() {
    let golden = golden();
    let (requests, replies) = (requests(), replies());
    assert_eq!(golden.len(), requests.len() + replies.len());
    let find = |title: String| {
        let found = golden.iter().find(|(known, _)| *known == title);
        found.unwrap_or_else(|| panic!("{title} is in the file")).1.clone()
    };
    for (name, request) in requests {
        let golden = find(format!("request {name}"));
        assert_eq!(written(&request, None), golden, "{name}");
        assert_eq!(GridRequest::read(&golden).unwrap(), (request, None), "{name}");
    }
    for (name, reply) in replies {
        let golden = find(format!("reply {name}"));
        assert_eq!(written_reply(&reply, None), golden, "{name}");
        assert_eq!(GridReply::read(&golden).unwrap(), (reply, None), "{name}");
    }
}

#[test]
fn what_is_new_stands_behind_the_old_message_where_old_readers_do_not_look() {
    let options = SpawnOptions { name: "orders".into(), cores: "2,3".into(), compat_port: 50_061 };
    let details = SpawnedDetails {
        native_endpoint: "h:50060".into(),
        storage_path: "/srv/data".into(),
        cores: "2,3".into(),
        memory_enforcement: "cgroup v2".into(),
        started: 7,
        pid: 42,
    };
    for (name, request) in requests() {
        let message = written(&request, Some(&options));
        assert!(message.starts_with(&written(&request, None)), "{name}");
        let expected = (name == "SpawnStorageNode").then(|| options.clone());
        assert_eq!(
            GridRequest::read(&message).unwrap(),
            (request, expected),
            "only a spawn has options: {name}"
        );
    }
    for (name, reply) in replies() {
        let message = written_reply(&reply, Some(&details));
        assert!(message.starts_with(&written_reply(&reply, None)), "{name}");
        let expected = (name == "SpawnStorageNodeOk").then(|| details.clone());
        assert_eq!(GridReply::read(&message).unwrap(), (reply, expected), "{name}");
    }
}

#[test]
fn who_is_asked_back_says_whether_it_is_the_one_and_old_readers_do_not_look() {
    let claim = AgentClaim { agent_id: "a".into(), incarnation: 7 };
    for (name, request) in requests() {
        let mut message = Vec::new();
        request.append_with_claim(&claim, &mut message);
        let message = unprefixed(&message);
        assert!(message.starts_with(&written(&request, None)), "{name}");
        assert_eq!(GridRequest::read(message).unwrap().0, request, "{name}");
        let expected = (name == "GetStorageNodeStatus").then(|| claim.clone());
        assert_eq!(GridRequest::read_claim(message).unwrap(), expected, "{name}");
        assert_eq!(GridRequest::read_claim(&written(&request, None)).unwrap(), None, "{name}");
    }
    for (name, reply) in replies() {
        for details in
            [ReplyDetails::Agent { is_it: true }, ReplyDetails::Refused { is_usage: false }]
        {
            let mut message = Vec::new();
            reply.append_with_details(Some(&details), &mut message);
            let message = unprefixed(&message);
            assert!(message.starts_with(&written_reply(&reply, None)), "{name}");
            let (read, found) = GridReply::read_with_details(message).unwrap();
            assert_eq!(read, reply, "{name}");
            let is_agents = matches!(name, "GetStorageNodeStatusOk" | "Error");
            let expected =
                (is_agents && matches!(details, ReplyDetails::Agent { .. })).then_some(details);
            if expected.is_some() {
                assert_eq!(found, expected, "{name}");
            }
        }
        assert_eq!(
            GridReply::read_with_details(&written_reply(&reply, None)).unwrap(),
            (reply, None),
            "{name}"
        );
    }
    let refused = GridReply::SpawnStorageNodeOk {
        node_id: String::new(),
        endpoint: String::new(),
        success: false,
        error_message: Some("no".into()),
    };
    for is_usage in [false, true] {
        let (mut message, details) = (Vec::new(), Some(ReplyDetails::Refused { is_usage }));
        refused.append_with_details(details.as_ref(), &mut message);
        assert_eq!(
            GridReply::read_with_details(unprefixed(&message)).unwrap(),
            (refused.clone(), details)
        );
        assert_eq!(GridReply::read(unprefixed(&message)).unwrap(), (refused.clone(), None));
    }
}

#[test]
fn a_list_that_is_made_in_pieces_is_the_list() {
    let mut kept = Vec::new();
    for number in 0..5 {
        let mut list = AgentList::resume(kept);
        list.push(&AgentRecord { agent_id: format!("agent-{number}"), ..record() });
        kept = list.into_bytes();
    }
    let mut out = Vec::new();
    AgentList::resume(kept).finish(&mut out);
    let agents = (0..5)
        .map(|number| AgentRecord { agent_id: format!("agent-{number}"), ..record() })
        .collect();
    assert_eq!(GridReply::read(unprefixed(&out)).unwrap().0, GridReply::ListAgentsOk { agents });
    let mut empty = Vec::new();
    AgentList::resume(Vec::new()).finish(&mut empty);
    assert_eq!(
        GridReply::read(unprefixed(&empty)).unwrap().0,
        GridReply::ListAgentsOk { agents: Vec::new() }
    );
}

/// Holds a message to every promise, as a request and as a reply.
fn hold(message: &[u8]) {
    for (judge, list) in [(hold_request as fn(&[u8]), 0), (hold_reply, CLAIMED_LIST)] {
        let ((), allocated) = counted(|| judge(message));
        let bound = OWNED_PER_WIRE * message.len() + CONSTANT + list;
        assert!(allocated.bytes <= bound, "{allocated:?} for {} bytes", message.len());
    }
}

#[test]
fn a_message_cut_anywhere_or_with_any_word_of_it_changed_is_a_message_or_an_error() {
    for (_, golden) in golden() {
        (0..golden.len()).for_each(|cut| hold(&golden[..cut]));
        for at in 0..golden.len().saturating_sub(3) {
            for word in [0, 1, 8, 0x7fff_ffff, u32::MAX] {
                let mut message = golden.clone();
                message[at..at + 4].copy_from_slice(&word.to_le_bytes());
                hold(&message);
            }
        }
    }
}

#[test]
fn a_length_that_is_only_claimed_allocates_little() {
    // ListAgentsOk of 2^61 records, and of a name of 2^60 bytes.
    for claim in [[&6u32.to_le_bytes()[..], &(1u64 << 61).to_le_bytes()].concat(), {
        [&6u32.to_le_bytes()[..], &1u64.to_le_bytes(), &(1u64 << 60).to_le_bytes()].concat()
    }] {
        hold(&claim);
        assert!(GridReply::read(&claim).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_bytes_are_a_message_or_an_error(message in vec(any::<u8>(), 0..600)) {
        hold(&message);
    }

    #[test]
    fn any_bytes_behind_a_messages_beginning_are_too(
        which in any::<Index>(), keep in any::<Index>(), rest in vec(any::<u8>(), 0..300),
    ) {
        let golden = golden();
        let (_, message) = &golden[which.index(golden.len())];
        hold(&[&message[..keep.index(message.len())], &rest].concat());
    }
}
