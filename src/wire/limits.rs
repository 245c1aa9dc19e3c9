//! Every bound of the wire, with its reason. A request beyond one gets an error that names the
//! bound.

/// Longest payload of a frame, in bytes: the old protocol's limit on a message, so that what an old
/// client could send fits. Only records within some dozens of bytes of it do not, as they are
/// longer as archives.
pub const MAX_PAYLOAD: u32 = 16 << 20;

/// Longest namespace, in bytes of UTF-8: as a file name, which a namespace may become in a backup.
pub const MAX_NAMESPACE: usize = 255;

/// Longest caller's own name of a concept, in bytes of UTF-8: paths and URLs fit; anything longer
/// is content.
pub const MAX_NAME: usize = 4096;

/// Most numbers in an embedding: sixteen times the largest that common models give (4,096), 256
/// KiB.
pub const MAX_DIMENSION: usize = 65_536;

/// Most neighbours in one reply (112 KiB): more are fetched with the reply's cursor. A page is one
/// slice of work on its core, which answers nobody else meanwhile: at this size about 0.2 ms, where
/// 65,536 took up to 6 ms.
pub const MAX_NEIGHBORS: u32 = 4_096;

/// Most ids in one page of a namespace's concepts (128 KiB): as for neighbours, and a concept costs
/// half as much, as they lie side by side.
pub const MAX_CONCEPTS: u32 = 8_192;

/// Most association kinds that a filter may list.
pub const MAX_KINDS: usize = 64;

/// Most results of one vector search: a thousand and one: a search by a stored concept's embedding
/// finds that concept first, and leaves it out.
pub const MAX_RESULTS: u32 = 1_001;

/// Largest width that a vector search may ask for. A server may scan all vectors from some width
/// on, which takes no longer and misses nothing.
pub const MAX_SEARCH_WIDTH: u32 = 10_000;

/// Most alternative paths in one reply.
pub const MAX_ALTERNATIVES: u32 = 64;

/// How many concepts a search over the graph visits by default: 0.1 s of a core's work, and some 20
/// MiB. That finds a path between almost any two concepts of graphs of millions.
pub const DEFAULT_VISITED: u32 = 262_144;

/// Most concepts that one search over the graph may be allowed to visit. With up to 80 bytes for
/// each, the four that a core works on at a time take at most 1.3 GiB.
pub const MAX_VISITED: u32 = 4_194_304;

/// Most bytes of a log in one reply: its core copies them into a socket in about 0.2 ms, and
/// answers nobody else meanwhile.
pub const MAX_LOG_READ: u32 = 1 << 20;

/// Requests that one connection may have unanswered: enough to keep a disk's group commits full
/// from one connection, few enough that its replies stay within one send buffer.
pub const MAX_IN_FLIGHT: u32 = 1_024;

/// Longest name of an agent or a storage node, in bytes: it becomes part of file names and of
/// addresses.
pub const MAX_LABEL: usize = 64;

/// Longest other text about an agent or a node (paths, endpoints, reasons), in bytes: the longest
/// path that Linux takes.
pub const MAX_GRID_TEXT: usize = 4_096;

/// Most storage nodes of one agent: more processes on one host than any has CPUs for.
pub const MAX_AGENT_NODES: usize = 256;

/// Most agents or nodes in one page of a list.
pub const MAX_GRID_PAGE: u32 = 1_024;
