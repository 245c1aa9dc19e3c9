//! What a shard has and has done, to be added up over shards.

/// What a shard has and has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardStats {
    /// Concepts that are learned.
    pub concepts: u64,
    /// Associations whose source belongs to this shard.
    pub associations: u64,
    /// Concepts with an embedding.
    pub vectors: u64,
    /// Vectors that an index holds; what it holds of replaced and deleted ones aside.
    pub vectors_indexed: u64,
    /// Vectors that are scanned, as no index holds them yet; zero vectors aside.
    pub vectors_tail: u64,
    /// Writes acknowledged since the start.
    pub written: u64,
    /// Writes accepted and not yet acknowledged.
    pub pending: u64,
    /// Commits written since the start.
    pub commits: u64,
    /// Bytes of the log, block padding included.
    pub log_bytes: u64,
    /// Segments of the log.
    pub segments: u64,
    /// Bytes of memory that segments hold.
    pub segment_memory: u64,
    /// Bytes of memory that the concept table, the adjacency and the queues of writes hold.
    pub table_memory: u64,
    /// Bytes of memory that the vector indexes hold.
    pub vector_memory: u64,
}

impl ShardStats {
    /// Adds the numbers of another shard.
    pub fn add(&mut self, other: &ShardStats) {
        self.concepts += other.concepts;
        self.associations += other.associations;
        self.vectors += other.vectors;
        self.vectors_indexed += other.vectors_indexed;
        self.vectors_tail += other.vectors_tail;
        self.written += other.written;
        self.pending += other.pending;
        self.commits += other.commits;
        self.log_bytes += other.log_bytes;
        self.segments += other.segments;
        self.segment_memory += other.segment_memory;
        self.table_memory += other.table_memory;
        self.vector_memory += other.vector_memory;
    }
}
