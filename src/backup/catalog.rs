//! A catalog: what one backup consists of, in one JSON file.
//!
//! Its last field is a crc32c over the others, in their compact form, as a store's manifest has it.
//! What is read is checked before it is used: a catalog that passes names pieces that follow each
//! other without a gap, in segments that do.

use serde::{Deserialize, Serialize};
use sutra_store::{LogPlace, MAX_NAMESPACES, SegmentHeader, StoreFacts, is_known_format};
use sutra_wire::IdRule;

/// The version of catalogs.
const CATALOG_FORMAT: u32 = 1;
/// The longest catalog that is read: a million pieces.
pub(crate) const MAX_BYTES: u64 = 256 << 20;
/// The most shards of a store.
const MAX_SHARDS: usize = 1000;
/// The largest segment, in bytes.
const MAX_SEGMENT: u32 = 2 << 30;

/// What one backup consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// Version of the catalog.
    catalog: u32,
    /// Version of the log.
    format: u32,
    /// The version of sutra that took it.
    version: String,
    /// The store's random number.
    pub(crate) store: u64,
    /// When the cut was taken, in µs since 1970 by the server's clock.
    pub(crate) taken: u64,
    id_rule: String,
    given_back: u64,
    namespaces: Vec<String>,
    imports: Vec<String>,
    /// The number of every shard's first segment. Absent where it is 0.
    #[serde(default, skip_serializing_if = "is_nought")]
    first: u32,
    /// By number.
    pub(crate) shards: Vec<CatalogShard>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_nought(number: &u32) -> bool {
    *number == 0
}

/// A shard's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CatalogShard {
    /// Number of the last commit, 0 for none.
    pub(crate) commit: u64,
    /// In order, without a gap.
    pub(crate) segments: Vec<CatalogSegment>,
}

/// A segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CatalogSegment {
    pub(crate) generation: u64,
    pub(crate) block: u32,
    pub(crate) capacity: u32,
    /// In order.
    pub(crate) pieces: Vec<Piece>,
}

/// A stretch of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Piece {
    /// Bytes from the segment's start.
    pub(crate) from: u32,
    pub(crate) to: u32,
    /// Over its bytes.
    pub(crate) crc32c: u32,
    /// Where the log goes on behind it.
    pub(crate) end: LogPlace,
}

impl Piece {
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.to - self.from)
    }
}

/// Why bytes are no catalog.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CatalogFault(String);

#[derive(Serialize, Deserialize)]
struct Sealed {
    #[serde(flatten)]
    catalog: serde_json::Value,
    crc32c: u32,
}

impl Catalog {
    /// That of a backup of these shards.
    pub(crate) fn new(
        version: &str,
        taken: u64,
        facts: StoreFacts,
        shards: Vec<CatalogShard>,
    ) -> Self {
        Self {
            catalog: CATALOG_FORMAT,
            format: facts.format,
            version: version.to_owned(),
            store: facts.store,
            taken,
            id_rule: facts.id_rule.name().to_owned(),
            given_back: facts.given_back,
            namespaces: facts.namespaces,
            imports: facts.imports,
            first: facts.first,
            shards,
        }
    }

    /// What the store's manifest said.
    pub(crate) fn facts(&self) -> StoreFacts {
        StoreFacts {
            store: self.store,
            format: self.format,
            id_rule: self.id_rule.parse().expect("checked when it was read"),
            namespaces: self.namespaces.clone(),
            imports: self.imports.clone(),
            given_back: self.given_back,
            first: self.first,
        }
    }

    /// The header of a segment.
    pub(crate) fn header(
        &self,
        shard: u16,
        number: u32,
        segment: &CatalogSegment,
    ) -> SegmentHeader {
        SegmentHeader {
            block: segment.block,
            store: self.store,
            generation: segment.generation,
            number,
            shard,
            capacity: u64::from(segment.capacity),
        }
    }

    /// All pieces: of which shard, of which segment's number, and which.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (u16, u32, &CatalogSegment, &Piece)> {
        (0..).zip(&self.shards).flat_map(|(shard, log)| {
            (self.first..).zip(&log.segments).flat_map(move |(number, segment)| {
                segment.pieces.iter().map(move |piece| (shard, number, segment, piece))
            })
        })
    }

    /// Bytes of the log that it covers.
    pub fn bytes(&self) -> u64 {
        self.pieces().map(|(.., piece)| piece.bytes()).sum()
    }

    /// When its cut was taken, in µs since 1970.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let catalog = serde_json::to_value(self).expect("strings and numbers become JSON");
        let crc32c = crc32c::crc32c(catalog.to_string().as_bytes());
        let mut bytes = serde_json::to_vec(&Sealed { catalog, crc32c })
            .expect("strings and numbers become JSON");
        bytes.push(b'\n');
        bytes
    }

    /// Reads and checks one.
    ///
    /// # Errors
    /// It is none, is damaged or of another version, or makes no sense.
    pub fn decode(bytes: &[u8]) -> Result<Self, CatalogFault> {
        let unreadable =
            |error: serde_json::Error| CatalogFault(format!("the catalog can't be read ({error})"));
        let sealed: Sealed = serde_json::from_slice(bytes).map_err(unreadable)?;
        if crc32c::crc32c(sealed.catalog.to_string().as_bytes()) != sealed.crc32c {
            return Err(CatalogFault("the catalog does not match its checksum".to_owned()));
        }
        // The versions first: another one may have other fields.
        let is_known = |field: &str, is_known: fn(u64) -> bool| {
            let version = sealed.catalog.get(field).and_then(serde_json::Value::as_u64);
            match version.filter(|version| is_known(*version)) {
                Some(_) => Ok(()),
                None => Err(CatalogFault(format!(
                    "the backup was taken by another version of sutra, whose {field} number is \
                     not known to this one: restore it with that version"
                ))),
            }
        };
        is_known("catalog", |version| version == u64::from(CATALOG_FORMAT))?;
        is_known("format", is_known_format)?;
        let catalog: Self = serde_json::from_value(sealed.catalog).map_err(unreadable)?;
        catalog
            .check()
            .map_err(|what| CatalogFault(format!("the catalog makes no sense: {what}")))?;
        Ok(catalog)
    }

    fn check(&self) -> Result<(), &'static str> {
        self.id_rule.parse::<IdRule>().map_err(|_| "its id rule is unknown")?;
        if !self.namespaces.first().is_some_and(String::is_empty)
            || self.namespaces.len() > MAX_NAMESPACES
        {
            return Err("its namespaces can't be");
        }
        if !(1..=MAX_SHARDS).contains(&self.shards.len()) {
            return Err("its number of shards can't be");
        }
        let most = self.shards.iter().map(|shard| shard.segments.len()).max().unwrap_or(0);
        if u32::try_from(most).ok().and_then(|most| self.first.checked_add(most)).is_none() {
            return Err("its segments' numbers can't be");
        }
        self.shards.iter().try_for_each(CatalogShard::check)
    }
}

impl CatalogShard {
    fn check(&self) -> Result<(), &'static str> {
        let mut commit = 0;
        for segment in &self.segments {
            segment.check()?;
            for piece in &segment.pieces {
                if piece.end.commit < commit {
                    return Err("its commits do not rise");
                }
                commit = piece.end.commit;
            }
        }
        match !self.segments.is_empty() && commit == self.commit {
            true => Ok(()),
            false => Err("its pieces do not lead to the last commit"),
        }
    }
}

impl CatalogSegment {
    fn check(&self) -> Result<(), &'static str> {
        if !self.block.is_power_of_two() || !(512..=1 << 20).contains(&self.block) {
            return Err("a block size can't be");
        }
        let mut at = 0;
        for piece in &self.pieces {
            if piece.from != at || piece.to <= at {
                return Err("pieces do not follow each other");
            }
            at = piece.to;
        }
        if self.capacity > MAX_SEGMENT || at > self.capacity || at < 4096.max(self.block) {
            return Err("a segment's size can't be");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn catalog() -> Catalog {
        let end = LogPlace { commit: 9, crc32c: 7, sequence: 11 };
        let pieces = vec![
            Piece { from: 0, to: 4096, crc32c: 1, end: LogPlace::default() },
            Piece { from: 4096, to: 8192, crc32c: 2, end },
        ];
        let segment = CatalogSegment { generation: u64::MAX, block: 4096, capacity: 65536, pieces };
        let facts = StoreFacts {
            store: u64::MAX,
            format: sutra_store::FORMAT,
            id_rule: IdRule::default(),
            namespaces: vec![String::new(), "na\"m\né".into()],
            imports: vec!["d41d8cd98f00b204e9800998ecf8427e".into()],
            given_back: 3,
            first: 0,
        };
        let shard = CatalogShard { commit: 9, segments: vec![segment] };
        Catalog::new("0.1.0", 1_700_000_000_000_001, facts, vec![shard])
    }

    #[test]
    fn a_catalog_reads_as_it_was_written() {
        assert_eq!(Catalog::decode(&catalog().encode()).unwrap(), catalog());
        assert_eq!(catalog().bytes(), 8192);
    }

    #[test]
    fn a_published_catalog_keeps_its_bytes() {
        let golden = concat!(
            r#"{"catalog":1,"format":1,"given_back":3,"id_rule":"md5-or-hex","#,
            r#""imports":["d41d8cd98f00b204e9800998ecf8427e"],"namespaces":["","na\"m\né"],"#,
            r#""shards":[{"commit":9,"segments":[{"block":4096,"capacity":65536,"#,
            r#""generation":18446744073709551615,"pieces":["#,
            r#"{"crc32c":1,"end":{"commit":0,"crc32c":0,"sequence":0},"from":0,"to":4096},"#,
            r#"{"crc32c":2,"end":{"commit":9,"crc32c":7,"sequence":11},"from":4096,"to":8192}"#,
            r#"]}]}],"#,
            r#""store":18446744073709551615,"taken":1700000000000001,"version":"0.1.0","#,
            r#""crc32c":"#,
        );
        let text = String::from_utf8(catalog().encode()).unwrap();
        assert!(text.starts_with(golden), "{text}");
    }

    #[test]
    fn segments_are_numbered_from_the_first_that_is_named() {
        let catalog = Catalog { first: 7, format: sutra_store::STATE_FORMAT, ..catalog() };
        let text = String::from_utf8(catalog.encode()).unwrap();
        assert!(text.contains(r#","first":7,"format":2,"#), "{text}");
        let read = Catalog::decode(text.as_bytes()).unwrap();
        assert_eq!((&read, read.facts().first), (&catalog, 7));
        assert!(read.pieces().all(|(_, number, ..)| number == 7));
        let beyond = Catalog { first: u32::MAX, ..catalog };
        assert!(Catalog::decode(&beyond.encode()).is_err());
    }

    #[test]
    fn every_flipped_byte_is_noticed() {
        let bytes = catalog().encode();
        // The last one ends the line.
        for at in 0..bytes.len() - 1 {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            assert!(Catalog::decode(&bytes).is_err(), "byte {at}");
        }
    }

    #[test]
    fn what_can_not_be_is_refused() {
        type Change = fn(&mut Catalog);
        let changes: [(&str, Change); 9] = [
            ("version", |catalog| catalog.format = 3),
            ("version", |catalog| catalog.catalog = 2),
            ("id rule", |catalog| catalog.id_rule = "other".into()),
            ("namespaces", |catalog| catalog.namespaces.clear()),
            ("shards", |catalog| catalog.shards.clear()),
            ("last commit", |catalog| catalog.shards[0].commit = 8),
            ("follow", |catalog| catalog.shards[0].segments[0].pieces[1].from = 4097),
            ("size", |catalog| catalog.shards[0].segments[0].capacity = 8191),
            ("block", |catalog| catalog.shards[0].segments[0].block = 3),
        ];
        for (says, change) in changes {
            let mut catalog = catalog();
            change(&mut catalog);
            let fault = Catalog::decode(&catalog.encode()).unwrap_err().to_string();
            assert!(fault.contains(says), "{fault}");
        }
    }
}
