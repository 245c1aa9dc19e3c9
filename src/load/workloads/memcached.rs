//! memcached's meta protocol, which it has since 1.6: values of fixed bytes under the names of
//! concepts. Its text protocol's pipelined gets are answered with a system call each, its meta gets
//! all with one.

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
        append(out, format_args!("mg {} k v\r\n", self.name));
        Some(number)
    }

    fn check(&mut self, number: u64, reply: &Reply<'_>) -> Result<(), String> {
        self.keys.spell(number, &mut self.name);
        check_value(reply, self.value_bytes, &self.name)?;
        check_key(reply, &self.name)
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
        append(out, format_args!("ms {name} {} k\r\n{name}{rest}\r\n", name.len() + rest.len()));
        Some(number)
    }

    fn check(&mut self, number: u64, reply: &Reply<'_>) -> Result<(), String> {
        if reply.payload != b"HD" {
            return Err(format!("expected HD, got {:?}", String::from_utf8_lossy(reply.payload)));
        }
        self.keys.spell(number, &mut self.name);
        check_key(reply, &self.name)
    }
}

/// Whether the reply names the key that was asked for, as `k` has it do.
fn check_key(reply: &Reply<'_>, name: &str) -> Result<(), String> {
    match reply.key {
        Some(key) if key == name.as_bytes() => Ok(()),
        Some(key) => Err(format!("asked about {name}, got the reply about {:?}", String::from_utf8_lossy(key))),
        None => Err(format!("asked about {name}, got a reply that names no key")),
    }
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
        let mut get = opened(MemcachedGet::new(keys(), 64));
        let mut out = FrameBuffer::new();
        let number = get.write(0, 0, &mut out).expect("there are two");
        let (own, other) = (key_name("key", number), key_name("key", number + 1));
        assert_eq!(&out[..], format!("mg {own} k v\r\n").as_bytes());
        let value = |name: &str| format!("{name:<64}").into_bytes();
        let mut says =
            |key: Option<&str>, value: &[u8]| get.check(number, &reply(key, value)).err().unwrap_or_default();
        assert_eq!(says(Some(&own), &value(&own)), "");
        assert!(says(Some(&own), &value(&other)).contains("the value of another key"));
        assert!(says(Some(&other), &value(&own)).contains("the reply about"));
        assert!(says(None, &value(&own)).contains("names no key"));
        assert!(says(Some(&own), own.as_bytes()).contains("a value of 64 bytes"));
    }

    #[test]
    fn a_set_takes_only_the_word_that_its_own_key_is_stored() {
        let mut set = opened(MemcachedSet::new(keys(), 64));
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
