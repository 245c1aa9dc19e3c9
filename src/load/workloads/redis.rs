//! Redis's protocol (RESP 2): values of fixed bytes under the names of concepts.

use sutra_wire::FrameBuffer;

use super::{append, check_value, text};
use crate::{Framing, Keys, Reply, Routes, Workload};

/// Reads values.
#[derive(Debug)]
pub struct RedisGet {
    keys: Keys,
    value_bytes: usize,
    name: String,
}

impl RedisGet {
    /// Values of so many bytes under `keys`, as [`RedisSet`] has put them there.
    pub fn new(keys: Keys, value_bytes: usize) -> Self {
        Self { keys, value_bytes, name: String::new() }
    }
}

impl Workload for RedisGet {
    fn name(&self) -> &'static str {
        "query"
    }

    fn framing(&self) -> Framing {
        Framing::Redis
    }

    fn open(&mut self, routes: &Routes) {
        self.keys.open(routes);
    }

    fn write(&mut self, lane: usize, _: u64, out: &mut FrameBuffer) -> Option<u64> {
        let (_, number) = self.keys.next(lane)?;
        self.keys.spell(number, &mut self.name);
        append(out, format_args!("*2\r\n$3\r\nGET\r\n${}\r\n{}\r\n", self.name.len(), self.name));
        Some(number)
    }

    fn check(&mut self, number: u64, reply: &Reply<'_>) -> Result<(), String> {
        self.keys.spell(number, &mut self.name);
        check_value(reply, self.value_bytes, &self.name)
    }
}

/// Writes values. Each begins with its key, so that a mixed-up reply is found.
#[derive(Debug)]
pub struct RedisSet {
    keys: Keys,
    value: String,
    name: String,
}

impl RedisSet {
    /// Values of so many bytes under `keys`.
    pub fn new(keys: Keys, value_bytes: usize) -> Self {
        Self { keys, value: text(value_bytes), name: String::new() }
    }
}

impl Workload for RedisSet {
    fn name(&self) -> &'static str {
        "learn"
    }

    fn framing(&self) -> Framing {
        Framing::Redis
    }

    fn open(&mut self, routes: &Routes) {
        self.keys.open(routes);
    }

    fn write(&mut self, lane: usize, _: u64, out: &mut FrameBuffer) -> Option<u64> {
        let (_, number) = self.keys.next(lane)?;
        self.keys.spell(number, &mut self.name);
        let (name, rest) = (&self.name, self.value.get(self.name.len()..).unwrap_or_default());
        let (key, value) = (name.len(), name.len() + rest.len());
        append(out, format_args!("*3\r\n$3\r\nSET\r\n${key}\r\n{name}\r\n${value}\r\n{name}{rest}\r\n"));
        Some(number)
    }

    fn check(&mut self, _: u64, reply: &Reply<'_>) -> Result<(), String> {
        said(reply, b"OK")
    }
}

/// The smallest exchange.
#[derive(Debug)]
pub struct RedisPing;

impl Workload for RedisPing {
    fn name(&self) -> &'static str {
        "heartbeat"
    }

    fn framing(&self) -> Framing {
        Framing::Redis
    }

    fn open(&mut self, _: &Routes) {}

    fn write(&mut self, _: usize, _: u64, out: &mut FrameBuffer) -> Option<u64> {
        out.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
        Some(0)
    }

    fn check(&mut self, _: u64, reply: &Reply<'_>) -> Result<(), String> {
        said(reply, b"PONG")
    }
}

fn said(reply: &Reply<'_>, expected: &[u8]) -> Result<(), String> {
    if reply.payload == expected {
        return Ok(());
    }
    Err(format!("expected {:?}, got {:?}", String::from_utf8_lossy(expected), String::from_utf8_lossy(reply.payload)))
}
