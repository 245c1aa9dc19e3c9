//! Messages without a protocol.

use sutra_wire::FrameBuffer;

use crate::{Framing, Reply, Routes, Workload};

/// Messages of fixed sizes that are answered without being read: the floor below any protocol.
#[derive(Debug)]
pub struct Echo {
    request: Vec<u8>,
    reply: usize,
}

impl Echo {
    /// Requests of `request` bytes and replies of `reply` bytes, each at least 8. A reply begins
    /// with the request's first 8 bytes. If both sizes are equal, the whole request must come back.
    pub fn new(request: usize, reply: usize) -> Self {
        Self { request: (0..request.max(8)).map(|at| at as u8).collect(), reply: reply.max(8) }
    }
}

impl Workload for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn framing(&self) -> Framing {
        Framing::Fixed(self.reply)
    }

    fn open(&mut self, _: &Routes) {}

    fn write(&mut self, _: usize, number: u64, out: &mut FrameBuffer) -> Option<u64> {
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(&self.request[8..]);
        Some(0)
    }

    fn check(&mut self, _: u64, reply: &Reply<'_>) -> Result<(), String> {
        if reply.payload.len() != self.request.len() || reply.payload[8..] == self.request[8..] {
            Ok(())
        } else {
            Err("the message came back changed".into())
        }
    }
}
