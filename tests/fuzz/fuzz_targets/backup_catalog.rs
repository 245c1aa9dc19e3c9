//! Any bytes as the catalog of a backup: refused, or read and written again as the same. Once as
//! they are, and once sealed anew, so that what is behind the checksum is reached.

#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use serde_json::{Map, Value};
use sutra_backup::Catalog;

/// A catalog of one shard with one segment, unsealed.
const SAMPLE: &[u8] = br#"{"catalog":1,"format":1,"given_back":3,"id_rule":"md5-or-hex",
"imports":[],"namespaces":["","n"],"shards":[{"commit":9,"segments":[{"block":4096,
"capacity":65536,"generation":7,"pieces":[
{"crc32c":1,"end":{"commit":0,"crc32c":0,"sequence":0},"from":0,"to":4096},
{"crc32c":2,"end":{"commit":9,"crc32c":7,"sequence":11},"from":4096,"to":8192}
]}]}],"store":5,"taken":1700000000000001,"version":"0.1.0"}"#;

fn judge(bytes: &[u8]) {
    if let Ok(catalog) = Catalog::decode(bytes) {
        assert_eq!(Catalog::decode(&catalog.encode()).as_ref(), Ok(&catalog));
        assert!(catalog.bytes() > 0);
    }
}

fuzz_target!(|data: &[u8]| {
    judge(data);
    if let Ok(mut catalog) = serde_json::from_slice::<Map<String, Value>>(data) {
        catalog.remove("crc32c");
        let crc32c = crc32c::crc32c(Value::Object(catalog.clone()).to_string().as_bytes());
        catalog.insert("crc32c".to_owned(), crc32c.into());
        judge(Value::Object(catalog).to_string().as_bytes());
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if !seed.is_multiple_of(16) || max_size < SAMPLE.len() {
        return fuzzer_mutate(data, size, max_size);
    }
    data[..SAMPLE.len()].copy_from_slice(SAMPLE);
    fuzzer_mutate(data, SAMPLE.len(), max_size)
});
