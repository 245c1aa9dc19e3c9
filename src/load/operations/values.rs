//! Stores of bytes. Values of a fixed length have the names of concepts as keys. They are asked for
//! in Redis's protocol (RESP 2), or in memcached's meta protocol, which it has since 1.6. For
//! pipelined gets of its text protocol memcached makes a system call each; pipelined meta gets it
//! answers with one.

use sutra_wire::FrameBuffer;

use super::{append, check_value, text};
use crate::{Framing, Keys, Reply, Routes, Workload};

/// Whose protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueStore {
    /// RESP 2.
    Redis,
    /// The meta protocol.
    Memcached,
}

impl ValueStore {
    /// Reads values of `value_bytes` bytes under `keys`, as [`ValueStore::set`] has written them.
    pub fn get(self, keys: Keys, value_bytes: usize) -> ValueGet {
        ValueGet { store: self, keys, value_bytes, name: String::new() }
    }

    /// Writes values of `value_bytes` bytes under `keys`. Each begins with its key, so that a reply
    /// to another request is found.
    pub fn set(self, keys: Keys, value_bytes: usize) -> ValueSet {
        ValueSet { store: self, keys, value: text(value_bytes), name: String::new() }
    }

    fn framing(self) -> Framing {
        match self {
            ValueStore::Redis => Framing::Redis,
            ValueStore::Memcached => Framing::Memcached,
        }
    }

    /// Fails unless the reply names the key that was asked for. memcached's replies do so for the
    /// flag `k`; Redis's never name one.
    fn check_key(self, reply: &Reply<'_>, name: &str) -> Result<(), String> {
        match reply.key {
            _ if self == ValueStore::Redis => Ok(()),
            Some(key) if key == name.as_bytes() => Ok(()),
            Some(key) => Err(format!(
                "asked about {name}, got the reply about {:?}",
                String::from_utf8_lossy(key)
            )),
            None => Err(format!("asked about {name}, got a reply that names no key")),
        }
    }
}

/// See [`ValueStore::get`].
#[derive(Debug)]
pub struct ValueGet {
    store: ValueStore,
    keys: Keys,
    value_bytes: usize,
    name: String,
}

impl Workload for ValueGet {
    fn name(&self) -> &'static str {
        "query"
    }

    fn framing(&self) -> Framing {
        self.store.framing()
    }

    fn open(&mut self, routes: &Routes) {
        self.keys.open(routes);
    }

    fn write(&mut self, lane: usize, _: u64, out: &mut FrameBuffer) -> Option<u64> {
        let (_, number) = self.keys.next(lane)?;
        self.keys.spell(number, &mut self.name);
        let name = &self.name;
        match self.store {
            ValueStore::Redis => {
                append(out, format_args!("*2\r\n$3\r\nGET\r\n${}\r\n{name}\r\n", name.len()));
            }
            ValueStore::Memcached => append(out, format_args!("mg {name} k v\r\n")),
        }
        Some(number)
    }

    fn check(&mut self, number: u64, reply: &Reply<'_>) -> Result<(), String> {
        self.keys.spell(number, &mut self.name);
        check_value(reply, self.value_bytes, &self.name)?;
        self.store.check_key(reply, &self.name)
    }
}

/// See [`ValueStore::set`].
#[derive(Debug)]
pub struct ValueSet {
    store: ValueStore,
    keys: Keys,
    value: String,
    name: String,
}

impl Workload for ValueSet {
    fn name(&self) -> &'static str {
        "learn"
    }

    fn framing(&self) -> Framing {
        self.store.framing()
    }

    fn open(&mut self, routes: &Routes) {
        self.keys.open(routes);
    }

    fn write(&mut self, lane: usize, _: u64, out: &mut FrameBuffer) -> Option<u64> {
        let (_, number) = self.keys.next(lane)?;
        self.keys.spell(number, &mut self.name);
        let (name, rest) = (&self.name, self.value.get(self.name.len()..).unwrap_or_default());
        let (key, value) = (name.len(), name.len() + rest.len());
        match self.store {
            ValueStore::Redis => {
                append(
                    out,
                    format_args!(
                        "*3\r\n$3\r\nSET\r\n${key}\r\n{name}\r\n${value}\r\n{name}{rest}\r\n"
                    ),
                );
            }
            ValueStore::Memcached => {
                append(out, format_args!("ms {name} {value} k\r\n{name}{rest}\r\n"));
            }
        }
        Some(number)
    }

    fn check(&mut self, number: u64, reply: &Reply<'_>) -> Result<(), String> {
        expect(reply, if self.store == ValueStore::Redis { "OK" } else { "HD" })?;
        self.keys.spell(number, &mut self.name);
        self.store.check_key(reply, &self.name)
    }
}

/// PING, the smallest exchange with Redis.
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
        expect(reply, "PONG")
    }
}

fn expect(reply: &Reply<'_>, word: &str) -> Result<(), String> {
    if reply.payload == word.as_bytes() {
        return Ok(());
    }
    Err(format!("expected {word}, got {:?}", String::from_utf8_lossy(reply.payload)))
}

#[cfg(test)]
mod tests {
    use sutra_wire::Status;

    use super::*;
    use crate::{KeySpace, key_name};

    fn reply<'a>(key: Option<&'a str>, payload: &'a [u8]) -> Reply<'a> {
        Reply { status: Status::Ok, sequence: 0, key: key.map(str::as_bytes), payload }
    }

    fn opened<W: Workload>(mut workload: W) -> W {
        workload.open(&Routes::single());
        workload
    }

    fn keys() -> Keys {
        Keys::new("key", KeySpace::Once(2))
    }

    #[test]
    fn a_get_takes_only_its_own_keys_value_of_the_right_length() {
        let mut get = opened(ValueStore::Memcached.get(keys(), 64));
        let mut out = FrameBuffer::new();
        let number = get.write(0, 0, &mut out).expect("there are two");
        let (own, other) = (key_name("key", number), key_name("key", number + 1));
        assert_eq!(&out[..], format!("mg {own} k v\r\n").as_bytes());
        let value = |name: &str| format!("{name:<64}").into_bytes();
        let mut says = |key: Option<&str>, value: &[u8]| {
            get.check(number, &reply(key, value)).err().unwrap_or_default()
        };
        assert_eq!(says(Some(&own), &value(&own)), "");
        assert!(says(Some(&own), &value(&other)).contains("the value of another key"));
        assert!(says(Some(&other), &value(&own)).contains("the reply about"));
        assert!(says(None, &value(&own)).contains("names no key"));
        assert!(says(Some(&own), own.as_bytes()).contains("a value of 64 bytes"));
    }

    #[test]
    fn a_set_takes_only_the_word_that_its_own_key_is_stored() {
        let mut set = opened(ValueStore::Memcached.set(keys(), 64));
        let mut out = FrameBuffer::new();
        let number = set.write(0, 0, &mut out).expect("there are two");
        let (own, other) = (key_name("key", number), key_name("key", number + 1));
        let line = format!("ms {own} 64 k\r\n{own}");
        assert!(out.starts_with(line.as_bytes()) && out.len() == line.len() - own.len() + 64 + 2);
        assert!(set.check(number, &reply(Some(&own), b"HD")).is_ok());
        for wrong in [reply(Some(&other), b"HD"), reply(None, b"HD"), reply(Some(&own), b"NS")] {
            assert!(set.check(number, &wrong).is_err(), "{wrong:?}");
        }
    }
}
