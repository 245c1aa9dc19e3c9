//! The table of all published types, with their fields. The golden bytes, the hostile tests and the
//! fuzz targets go through it, so a type that stands here is held by all of them.

/// Calls the macro `$each` with `$arguments`, one token tree, and the table.
macro_rules! published {
    ($each:ident!$arguments:tt) => {
        $each! {
            $arguments
            // What a client sends.
            requests {
                ClientHello: ArchivedClientHello {
                    fingerprint, token, wanted_core, lowest_version, highest_version
                }
                ConceptRecord: ArchivedConceptRecord {
                    id, namespace, name, content, embedding, strength, confidence, created, updated
                }
                AssociationRecord: ArchivedAssociationRecord {
                    source, target, namespace, kind, confidence, created, updated
                }
                ConceptKey: ArchivedConceptKey { id, namespace }
                AssociationKey: ArchivedAssociationKey { source, target, namespace, kind }
                ConceptsRequest: ArchivedConceptsRequest { namespace, limit, cursor }
                NeighborsRequest: ArchivedNeighborsRequest {
                    id, namespace, kinds, minimum_confidence, limit, cursor, direction
                }
                PathRequest: ArchivedPathRequest {
                    start, end, namespace, kinds, max_depth, alternatives, max_visited, direction,
                    mode
                }
                SearchRequest: ArchivedSearchRequest {
                    namespace, vector, k, ef_search, minimum_strength, minimum_confidence, near,
                    exact
                }
                ScrubRequest: ArchivedScrubRequest { bandwidth, begin }
                LogRange: ArchivedLogRange { generation, segment, offset, length, shard }
                BackupDone: ArchivedBackupDone { taken, bytes, elapsed }
                AgentRegistration: ArchivedAgentRegistration {
                    agent_id, hostname, platform, version, endpoint, incarnation, revision,
                    memory_mb, max_nodes, cores, nodes
                }
                AgentHeartbeat: ArchivedAgentHeartbeat { agent_id, incarnation, revision, sent }
                AgentReport: ArchivedAgentReport { agent_id, incarnation, revision, nodes }
                AgentKey: ArchivedAgentKey { agent_id, incarnation }
                AdminPorts: ArchivedAdminPorts { agent_id, incarnation, admin, nodes }
                SpawnNode: ArchivedSpawnNode {
                    agent_id, name, storage_path, cores, memory_limit_mb, port, compat_port
                }
                NodeKey: ArchivedNodeKey { node }
                NodesRequest: ArchivedNodesRequest { agent_id, after, limit }
                AgentsRequest: ArchivedAgentsRequest { after, limit }
                WatchRequest: ArchivedWatchRequest { after }
            }
            // What a server sends.
            replies {
                ServerHello: ArchivedServerHello {
                    fingerprint, store, started, max_payload, max_in_flight, sync_interval, cores,
                    core, owner_function, durability, version
                }
                ErrorMessage: ArchivedErrorMessage { message }
                Deleted: ArchivedDeleted { associations, concept }
                Neighbors: ArchivedNeighbors { neighbors, cursor }
                Concepts: ArchivedConcepts { ids, cursor }
                Paths: ArchivedPaths { paths }
                SearchHits: ArchivedSearchHits { hits }
                Stats: ArchivedStats {
                    concepts, associations, vectors, written, pending, uptime, cores, durability,
                    write_path, data, version, counters
                }
                StoreInfo: ArchivedStoreInfo { id_rule, namespaces }
                Health: ArchivedHealth { healthy, status, uptime }
                ScrubReport: ArchivedScrubReport {
                    ended, done, total, last_ended, last_bytes, damaged, findings, failed,
                    is_running
                }
                BackupCut: ArchivedBackupCut {
                    store, taken, given_back, format, id_rule, data, namespaces, imports, shards
                }
                AgentRegistered: ArchivedAgentRegistered {
                    master_version, heartbeat_ms, degraded_after_ms, offline_after_ms
                }
                HeartbeatAck: ArchivedHeartbeatAck { sent, wants_report }
                NodeInfo: ArchivedNodeInfo { agent_id, hostname, report, agent_state }
                Nodes: ArchivedNodes { nodes, more }
                Agents: ArchivedAgents { agents, more }
                Cluster: ArchivedCluster {
                    version, uptime, agents, healthy, degraded, offline, nodes, running, state
                }
                GridEvent: ArchivedGridEvent { number, at, agent_id, node_id, name, detail, kind }
            }
            // What only stands inside of others.
            parts {
                Near: ArchivedNear { id, edges }
                Neighbor: ArchivedNeighbor { id, kind, confidence, direction }
                PathEdge: ArchivedPathEdge { kind, confidence, forward }
                Path: ArchivedPath { concepts, edges }
                SearchHit: ArchivedSearchHit { id, similarity }
                Counter: ArchivedCounter { name, value }
                CutSegment: ArchivedCutSegment { generation, number, block, capacity, end }
                CutShard: ArchivedCutShard { commit, crc32c, segments }
                NodeReport: ArchivedNodeReport {
                    node_id, name, endpoint, compat_endpoint, storage_path, detail, cores,
                    memory_enforcement, memory_limit_mb, started, pid, restarts, state
                }
                NodeAdminPort: ArchivedNodeAdminPort { node_id, admin }
                AgentInfo: ArchivedAgentInfo {
                    agent_id, hostname, platform, version, endpoint, registered, last_heartbeat,
                    heartbeat_age_ms, memory_mb, max_nodes, nodes, running, cores, state
                }
            }
        }
    };
}
