//! Why the registry does not do what is asked.

use std::time::Duration;

use sutra_wire::Status;

/// Why the registry does not do what is asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error(
        "agent {agent_id:?} is registered already, from host {hostname} at {endpoint}, \
         heard of {:.1} s ago; give this agent another id, or stop the other one and wait until it \
         is offline (an agent that has moved, or a copy of its folder, is another one)",
        .age.as_secs_f64()
    )]
    Taken { agent_id: String, hostname: String, endpoint: String, age: Duration },
    #[error("no agent {agent_id:?} is registered here; `sutra grid agents` lists them")]
    UnknownAgent { agent_id: String },
    #[error(
        "agent {agent_id:?} is offline: nothing was heard of it for {:.0} s; \
         start it again, or take another agent",
        .age.as_secs_f64()
    )]
    Offline { agent_id: String, age: Duration },
    #[error(
        "agent {agent_id:?} is full: it has {nodes} nodes or starts them, and takes {most}; \
         stop one, or start the agent with a higher --max-nodes"
    )]
    Full { agent_id: String, nodes: usize, most: u32 },
    #[error(
        "the name {name:?} is taken by node {node_id:?} of agent {agent_id:?}; \
         choose another name, or stop that node"
    )]
    NameTaken { name: String, node_id: String, agent_id: String },
    #[error(
        "a node with the name {name:?} is just being started; \
         choose another name, or ask again later"
    )]
    NameReserved { name: String },
    #[error(
        "agent {agent_id:?} speaks the old protocol, which has no {what}; \
         leave it out, or start an agent of this version"
    )]
    OldAgent { agent_id: String, what: &'static str },
    #[error(
        "too many agents register at once or have not answered at their endpoints yet \
         ({agents} from this address); try again in a moment"
    )]
    Crowded { agents: usize },
    #[error(
        "agent {agent_id:?} is known already, and the one that registers now can't be asked back \
         at {endpoint:?}: {why}; start it where the master reaches it, and see its --advertise"
    )]
    Unanswered { agent_id: String, endpoint: String, why: String },
    #[error("node {node_id:?} is agent {agent_id:?}'s, not {asked:?}'s; name that agent")]
    OtherAgent { node_id: String, agent_id: String, asked: String },
    #[error(
        "agent {agent_id:?} has left the grid while it was asked; \
         what it did is known when it comes back"
    )]
    Left { agent_id: String },
    #[error(
        "agent {agent_id:?} says that it started node {node_id:?}, which is agent {owner:?}'s; \
         stop it on that host by hand"
    )]
    ForeignNode { agent_id: String, node_id: String, owner: String },
}

impl Refused {
    /// As a reply's header says it.
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Offline { .. } | Self::Left { .. } | Self::Unanswered { .. } => {
                Status::Unavailable
            }
            Self::Crowded { .. } => Status::Busy,
            _ => Status::InvalidArgument,
        }
    }
}
