//! A server whose every reply is a piece of a region, copied beside its header or sent from where
//! it lies, as the request asks: the two ways in which a query hit can go out, and nothing else of
//! the server around them.

use std::sync::Arc;

use sutra_load::{Reply, Routes, Workload};
use sutra_runtime::{Outgoing, Region, RegionWriter};
use sutra_wire::{
    CLIENT_HELLO_BYTES, FINGERPRINT, FrameBuffer, FrameError, Header, Opcode, Parsed, ServerHello, VERSION,
    encode_archive, encode_empty, limits, padded, parse,
};

use crate::Outcome;
use crate::answering::Answer;

/// Far more than any cache of a processor holds, as a store's segments are.
const REGION_BYTES: usize = 256 << 20;
/// Hello is the only request with a payload.
const REQUEST_LIMIT: u32 = CLIENT_HELLO_BYTES as u32;
/// In a request's `extra`, beside the length of the reply: send it from the region.
const SHARED: u64 = 1 << 63;

/// A region whose every 8 bytes tell where they lie.
pub(crate) struct Pieces {
    region: Arc<Region>,
    random: u64,
}

impl Pieces {
    pub(crate) fn new() -> Outcome<Self> {
        let mut writer = RegionWriter::new(REGION_BYTES)?;
        for (at, word) in (0u64..).step_by(8).zip(writer.writable().chunks_exact_mut(8)) {
            word.copy_from_slice(&at.to_le_bytes());
        }
        writer.freeze(REGION_BYTES);
        Ok(Self { region: Arc::clone(writer.region()), random: 1 })
    }

    /// Where the next reply starts, as archives in a log do: at any multiple of 16 (xorshift64,
    /// Marsaglia 2003).
    fn place(&mut self, length: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % (REGION_BYTES - length) as u64) as usize & !15
    }

    fn reply(&mut self, request: &Header, out: &mut Outgoing) {
        if request.opcode == Opcode::Hello as u8 {
            let mut frame = FrameBuffer::new();
            encode_archive(&mut frame, Header { opcode: request.opcode, ..Header::default() }, &hello());
            out.bytes().extend_from_slice(&frame);
            return;
        }
        let length = padded((request.extra & !SHARED) as usize).min(limits::MAX_PAYLOAD as usize);
        let place = self.place(length);
        let header = Header {
            opcode: request.opcode,
            request: request.request,
            length: u32::try_from(length).expect("payloads are bounded far below 4 GiB"),
            ..Header::default()
        };
        let slice = self.region.slice(place..place + length).expect("all of the region is frozen");
        out.bytes().extend_from_slice(&header.encode());
        if request.extra & SHARED != 0 {
            out.push_shared(slice);
        } else {
            out.bytes().extend_from_slice(&slice);
        }
    }

    /// Answers the whole frames at the start of `bytes`; how many bytes they take up.
    fn replies(&mut self, bytes: &[u8], out: &mut Outgoing) -> Result<usize, FrameError> {
        let mut used = 0;
        while let Parsed::Frame(frame, length) = parse(&bytes[used..], REQUEST_LIMIT)? {
            self.reply(&frame.header, out);
            used += length;
        }
        Ok(used)
    }
}

impl Answer for Pieces {
    fn answer(&mut self, partial: &mut Vec<u8>, bytes: &[u8], out: &mut Outgoing) -> Result<(), FrameError> {
        if partial.is_empty() {
            let used = self.replies(bytes, out)?;
            partial.extend_from_slice(&bytes[used..]);
        } else {
            partial.extend_from_slice(bytes);
            let used = self.replies(partial, out)?;
            partial.drain(..used);
        }
        Ok(())
    }
}

fn hello() -> ServerHello {
    ServerHello {
        fingerprint: FINGERPRINT,
        store: 0,
        started: 0,
        max_payload: limits::MAX_PAYLOAD,
        max_in_flight: limits::MAX_IN_FLIGHT,
        sync_interval: 0,
        cores: 1,
        core: 0,
        owner_function: 0,
        durability: 0,
        version: VERSION,
    }
}

/// Asks for pieces of one length, sent one way.
pub(crate) struct Ask {
    pub(crate) bytes: usize,
    pub(crate) shared: bool,
}

impl Workload for Ask {
    fn name(&self) -> &'static str {
        "stored"
    }

    fn open(&mut self, _: &Routes) {}

    fn write(&mut self, _: usize, number: u64, out: &mut FrameBuffer) -> Option<u64> {
        let extra = self.bytes as u64 | if self.shared { SHARED } else { 0 };
        encode_empty(out, Header { opcode: Opcode::Query as u8, request: number, extra, ..Header::default() });
        Some(0)
    }

    fn check(&mut self, _: u64, reply: &Reply<'_>) -> Result<(), String> {
        let first = reply.payload.first_chunk().map(|word| u64::from_le_bytes(*word));
        let last = reply.payload.last_chunk().map(|word| u64::from_le_bytes(*word));
        let length = reply.payload.len();
        if length == self.bytes && last == first.map(|first| first + length as u64 - 8) {
            return Ok(());
        }
        Err(format!("{length} bytes from {first:?} to {last:?} are no piece of {} bytes", self.bytes))
    }
}
