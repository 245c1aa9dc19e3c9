//! A server's look at its own files: begun, and looked at.

use rkyv::{Archive, Deserialize, Serialize};

use crate::{Payload, PayloadError};

/// Begins a scrub, or only asks how the last one goes.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct ScrubRequest {
    /// Bytes a second that it may read, at most; 0 for as many as the server likes. One that is
    /// under way takes this up.
    pub bandwidth: u64,
    /// Whether one is to begin, where none is under way.
    pub begin: bool,
}

/// How a scrub goes, or how the last one ended.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[rkyv(derive(Debug))]
pub struct ScrubReport {
    /// Scrubs since the server started that have ended.
    pub ended: u64,
    /// Bytes that the one under way has read.
    pub done: u64,
    /// Bytes that it has to read.
    pub total: u64,
    /// When the last one ended, in µs since 1970; 0 where none has.
    pub last_ended: u64,
    /// Bytes that it has read.
    pub last_bytes: u64,
    /// Places that it found damaged.
    pub damaged: u64,
    /// The first of them, in words. Then what is damaged and will be made again: nothing is lost by
    /// that, and it is not counted.
    pub findings: Vec<String>,
    /// Why the last one could not be done, where it could not.
    pub failed: String,
    /// Whether one is under way.
    pub is_running: bool,
}

impl Payload for ScrubRequest {
    const NAME: &'static str = "scrub request";

    fn check(_: &ArchivedScrubRequest) -> Result<(), PayloadError> {
        Ok(())
    }
}

impl Payload for ScrubReport {
    const NAME: &'static str = "scrub reply";

    fn check(_: &ArchivedScrubReport) -> Result<(), PayloadError> {
        Ok(())
    }
}
