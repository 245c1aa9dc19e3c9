//! The operations of the storage service and of the grid's master, by their number on the wire.
//!
//! A number never changes its meaning. An operation that this version of the server does not serve
//! yet keeps its number and is answered with [`crate::Status::NotServed`].

/// Makes the enum, [`Opcode::ALL`] and [`Opcode::name`] of one table: an operation is one line.
macro_rules! opcodes {
    ($($(#[$doc:meta])+ $opcode:ident = $number:literal, $name:literal;)+) => {
        /// What a frame asks for or answers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Opcode {
            $($(#[$doc])+ $opcode = $number,)+
        }

        impl Opcode {
            /// Every opcode, in numeric order.
            pub const ALL: [Opcode; [$($number),+].len()] = [$(Opcode::$opcode),+];

            /// Its name, as messages and counters spell it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Opcode::$opcode => $name,)+
                }
            }
        }
    };
}

opcodes! {
    /// Opens a connection: [`crate::ClientHello`], answered by [`crate::ServerHello`].
    Hello = 0x01, "hello";
    /// Upserts a concept: [`crate::ConceptRecord`]; answered by a bare header with the sequence.
    Learn = 0x10, "learn";
    /// Upserts an association: [`crate::AssociationRecord`]; answered by a bare header with the
    /// sequence.
    Associate = 0x11, "associate";
    /// Deletes a concept and its associations: [`crate::ConceptKey`]. Answered by a bare header
    /// with the sequence, or with not found where there was neither of them.
    Delete = 0x12, "delete";
    /// As [`Opcode::Delete`], but says what was deleted: [`crate::ConceptKey`]. Answered by
    /// [`crate::Deleted`], or with not found where there was neither concept nor association.
    DeleteCounted = 0x13, "delete_counted";
    /// Removes one association: [`crate::AssociationKey`] with its kind. Answered by a bare header
    /// with the sequence, or with not found where there was none.
    Dissociate = 0x14, "dissociate";
    /// As [`Opcode::DeleteCounted`], but refused with [`crate::Status::Associated`] where the
    /// concept has associations.
    DeleteUnassociated = 0x15, "delete_unassociated";
    /// Reads a concept: [`crate::ConceptKey`]; answered by the stored [`crate::ConceptRecord`].
    Query = 0x20, "query";
    /// Reads a concept's neighbours: [`crate::NeighborsRequest`]; answered by [`crate::Neighbors`].
    Neighbors = 0x21, "neighbors";
    /// Finds paths: [`crate::PathRequest`]; answered by [`crate::Paths`].
    Path = 0x22, "path";
    /// Finds the nearest vectors: [`crate::SearchRequest`]; answered by [`crate::SearchHits`].
    Search = 0x23, "search";
    /// Reads an association: [`crate::AssociationKey`]; answered by the stored
    /// [`crate::AssociationRecord`].
    Association = 0x24, "association";
    /// Lists a namespace's concepts: [`crate::ConceptsRequest`]; answered by [`crate::Concepts`].
    Concepts = 0x25, "concepts";
    /// Lists the concepts of a namespace that are not learned and that associations start from:
    /// [`crate::ConceptsRequest`]; answered by [`crate::Concepts`].
    UnlearnedSources = 0x26, "unlearned_sources";
    /// Reads what the store is made of: no payload; answered by [`crate::StoreInfo`].
    StoreInfo = 0x27, "store_info";
    /// Reads the server's counters: no payload; answered by [`crate::Stats`].
    Stats = 0x30, "stats";
    /// Makes everything written so far durable, whatever the server's durability: no payload either
    /// way.
    Flush = 0x31, "flush";
    /// Reads the server's health: no payload; answered by [`crate::Health`].
    Health = 0x32, "health";
    /// Has the server look at its files, or asks how that goes: [`crate::ScrubRequest`]; answered
    /// by [`crate::ScrubReport`].
    Scrub = 0x33, "scrub";
    /// Has all cores hold for a moment and tell where their logs end: no payload; answered by
    /// [`crate::BackupCut`].
    BackupCut = 0x38, "backup_cut";
    /// Reads a stretch of a log as it is on the disk: [`crate::LogRange`]; answered by its bytes.
    ReadLog = 0x39, "read_log";
    /// A backup is complete, which the server notes: [`crate::BackupDone`]; answered by a bare
    /// header.
    BackupDone = 0x3a, "backup_done";
    /// Asked of the grid's master: an agent takes up its work: [`crate::grid::AgentRegistration`];
    /// answered by [`crate::grid::AgentRegistered`].
    RegisterAgent = 0x40, "register_agent";
    /// An agent is there: [`crate::grid::AgentHeartbeat`]; answered by
    /// [`crate::grid::HeartbeatAck`], or not found where it must register.
    AgentHeartbeat = 0x41, "agent_heartbeat";
    /// An agent's nodes have changed: [`crate::grid::AgentReport`]; answered by a bare header, or
    /// not found where it must register.
    ReportNodes = 0x42, "report_nodes";
    /// An agent takes its leave: [`crate::grid::AgentKey`]; answered by a bare header, or not
    /// found.
    UnregisterAgent = 0x43, "unregister_agent";
    /// Has an agent start a storage node: [`crate::grid::SpawnNode`]; answered by
    /// [`crate::grid::NodeInfo`].
    SpawnNode = 0x44, "spawn_node";
    /// Has a storage node stopped: [`crate::grid::NodeKey`]; answered by a bare header, or not
    /// found.
    StopNode = 0x45, "stop_node";
    /// Asks for a storage node: [`crate::grid::NodeKey`]; answered by [`crate::grid::NodeInfo`], or
    /// not found.
    Node = 0x46, "node";
    /// Lists storage nodes: [`crate::grid::NodesRequest`]; answered by [`crate::grid::Nodes`].
    Nodes = 0x47, "nodes";
    /// Lists agents: [`crate::grid::AgentsRequest`]; answered by [`crate::grid::Agents`].
    Agents = 0x48, "agents";
    /// Asks for the grid as a whole: no payload; answered by [`crate::grid::Cluster`].
    Cluster = 0x49, "cluster";
    /// Asks for what happens: [`crate::grid::WatchRequest`]; answered by a
    /// [`crate::grid::GridEvent`] after the other, without end.
    Watch = 0x4a, "watch";
    /// Where an agent and its nodes serve HTTP has changed: [`crate::grid::AdminPorts`]; answered
    /// by a bare header, not found where the agent must register, or busy where it has not been
    /// asked back yet: then it tells this again.
    ReportAdminPorts = 0x4b, "report_admin_ports";
}

impl Opcode {
    /// The opcode of this number, if there is one.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|opcode| *opcode as u8 == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_numbers_are_opcodes() {
        let known: Vec<u8> =
            (0..=255).filter(|number| Opcode::from_number(*number).is_some()).collect();
        let storage = [0x01].into_iter().chain(0x10..=0x15).chain(0x20..=0x27).chain(0x30..=0x33);
        let backups = 0x38..=0x3a;
        assert_eq!(known, storage.chain(backups).chain(0x40..=0x4b).collect::<Vec<u8>>());
    }
}
