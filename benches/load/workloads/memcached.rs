//! memcached's text protocol: values of fixed bytes under the names of concepts.

use sutra_wire::FrameBuffer;

use super::{append, check_value, text};
use crate::{Framing, Keys, Reply, Routes, Workload};

/// Reads values.
#[derive(Debug)]
pub struct MemcachedGet {
    keys: Keys,
    value_bytes: usize,
    name: String,
}

impl MemcachedGet {
    /// Values of so many bytes under `keys`, as [`MemcachedSet`] has put them there.
    pub fn new(keys: Keys, value_bytes: usize) -> Self {
        Self { keys, value_bytes, name: String::new() }
    }
}

impl Workload for MemcachedGet {
    fn name(&self) -> &'static str {
        "query"
    }

    fn framing(&self) -> Framing {
        Framing::Memcached
    }

    fn open(&mut self, routes: &Routes) {
        self.keys.open(routes);
    }

    fn write(&mut self, lane: usize, _: u64, out: &mut FrameBuffer) -> Option<u64> {
        let (_, number) = self.keys.next(lane)?;
        self.keys.spell(number, &mut self.name);
        append(out, format_args!("get {}\r\n", self.name));
        Some(number)
    }

    fn check(&mut self, number: u64, reply: &Reply<'_>) -> Result<(), String> {
        self.keys.spell(number, &mut self.name);
        check_value(reply, self.value_bytes, &self.name)
    }
}

/// Writes values. Each begins with its key, so that a mixed-up reply is found.
#[derive(Debug)]
pub struct MemcachedSet {
    keys: Keys,
    value: String,
    name: String,
}

impl MemcachedSet {
    /// Values of so many bytes under `keys`.
    pub fn new(keys: Keys, value_bytes: usize) -> Self {
        Self { keys, value: text(value_bytes), name: String::new() }
    }
}

impl Workload for MemcachedSet {
    fn name(&self) -> &'static str {
        "learn"
    }

    fn framing(&self) -> Framing {
        Framing::Memcached
    }

    fn open(&mut self, routes: &Routes) {
        self.keys.open(routes);
    }

    fn write(&mut self, lane: usize, _: u64, out: &mut FrameBuffer) -> Option<u64> {
        let (_, number) = self.keys.next(lane)?;
        self.keys.spell(number, &mut self.name);
        let (name, rest) = (&self.name, self.value.get(self.name.len()..).unwrap_or_default());
        append(out, format_args!("set {name} 0 0 {}\r\n{name}{rest}\r\n", name.len() + rest.len()));
        Some(number)
    }

    fn check(&mut self, _: u64, reply: &Reply<'_>) -> Result<(), String> {
        match reply.payload {
            b"STORED" => Ok(()),
            other => Err(format!("expected STORED, got {:?}", String::from_utf8_lossy(other))),
        }
    }
}
