//! The manifest: what a store is, in one small JSON file that is replaced whole.
//!
//! Its last field is a crc32c over the others, in their canonical (compact) form: an edit by hand
//! or a damaged file is told from what was written.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sutra_wire::IdRule;

use crate::cut::StoreFacts;
use crate::disk::Disk;
use crate::marks::Position;
use crate::{StoreError, format};

/// The file's name.
const NAME: &str = "manifest.json";
/// The longest manifest that is read: 4,096 namespaces of 255 bytes, six characters for each where
/// JSON escapes it, and some more.
pub(crate) const MAX_BYTES: u64 = 8 << 20;

/// Files that are remembered as imported at starts: as many as a folder of them is likely to hold,
/// at 35 bytes each.
pub const MAX_IMPORTS: usize = 4_096;

/// What a store is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// Version of the manifest and the log.
    format: u32,
    /// Drawn when the store was made.
    store: u64,
    /// Shards, one a core.
    cores: usize,
    /// How a caller's string becomes an id: an [`IdRule`]'s name.
    id_rule: String,
    /// By shard: the place up to which its log must be whole.
    marks: Vec<Position>,
    /// Names of the namespaces by number; the first is the empty one, and others that are empty are
    /// places that were given back.
    namespaces: Vec<String>,
    /// Digests of files that were imported at starts. Absent where there are none, as before there
    /// were any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    imports: Vec<String>,
    /// Entries up to this sequence may name namespaces that are not listed any more, where any ever
    /// gave its place back.
    #[serde(default, skip_serializing_if = "is_zero")]
    given_back: u64,
    /// The number of every shard's first segment. Those below it belong to the store no more.
    #[serde(default, skip_serializing_if = "is_nought")]
    first: u32,
    /// A change of the number of cores that has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resharding: Option<Resharding>,
}

/// A change of the number of cores that is under way. Before the manifest is switched, what it has
/// made is not the store's; after that, what it was made of is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resharding {
    /// Folders of shards that there may be.
    pub(crate) folders: u16,
    /// The number of the first segment that it makes.
    pub(crate) segment: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_nought(number: &u32) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    #[serde(flatten)]
    manifest: serde_json::Value,
    crc32c: u32,
}

impl Manifest {
    /// The manifest of a new store.
    pub(crate) fn new(store: u64, cores: usize, id_rule: IdRule) -> Self {
        Self {
            format: format::FORMAT,
            store,
            cores,
            id_rule: id_rule.name().to_owned(),
            marks: vec![Position::default(); cores],
            namespaces: vec![String::new()],
            imports: Vec::new(),
            given_back: 0,
            first: 0,
            resharding: None,
        }
    }

    /// The same for a store that has another number, and nothing in its logs yet.
    pub(crate) fn of_another_store(&self, store: u64) -> Self {
        let marks = vec![Position::default(); self.cores];
        Self { store, marks, first: 0, resharding: None, ..self.clone() }
    }

    /// The same with a change of the number of cores that begins, or has ended.
    pub(crate) fn with_resharding(&self, resharding: Option<Resharding>) -> Self {
        let format = if resharding.is_some() { format::STATE_FORMAT } else { self.format };
        Self { format, resharding, ..self.clone() }
    }

    /// That of the same store with a shard for each of these marks, as such a change has made them.
    /// What it was made of is yet to be removed.
    pub(crate) fn resharded(&self, marks: Vec<Position>, resharding: Resharding) -> Self {
        let first = resharding.segment;
        let manifest = self.with_resharding(Some(resharding));
        Self { cores: marks.len(), marks, first, ..manifest }
    }

    /// It has segments of state.
    pub(crate) fn set_has_state(&mut self) {
        self.format = format::STATE_FORMAT;
    }

    /// The version of the store's files.
    pub(crate) fn format(&self) -> u32 {
        self.format
    }

    /// The number of every shard's first segment.
    pub(crate) fn first(&self) -> u32 {
        self.first
    }

    /// A change of the number of cores that has not ended.
    pub(crate) fn resharding(&self) -> Option<Resharding> {
        self.resharding
    }

    /// The numbers of the segments that belong to the store, wherever the last one is.
    pub(crate) fn segments(&self) -> std::ops::Range<u32> {
        let made = self.resharding.map(|resharding| resharding.segment);
        self.first..made.filter(|made| *made > self.first).unwrap_or(u32::MAX)
    }

    /// The manifest of a store that is made of another's logs.
    pub(crate) fn of(store: u64, cores: usize, facts: &StoreFacts) -> Self {
        Self {
            format: facts.format,
            namespaces: facts.namespaces.clone(),
            imports: facts.imports.clone(),
            given_back: facts.given_back,
            first: facts.first,
            ..Self::new(store, cores, facts.id_rule)
        }
    }

    /// How a caller's string becomes an id.
    pub(crate) fn id_rule(&self) -> IdRule {
        self.id_rule.parse().expect("checked when it was read")
    }

    /// The number that was drawn when the store was made.
    pub(crate) fn store(&self) -> u64 {
        self.store
    }

    /// Shards, one a core.
    pub(crate) fn cores(&self) -> usize {
        self.cores
    }

    /// By shard: the place up to which its log must be whole.
    pub(crate) fn marks(&self) -> &[Position] {
        &self.marks
    }

    /// Sets the marks of all shards.
    pub(crate) fn set_marks(&mut self, marks: impl Iterator<Item = Position>) {
        self.marks = marks.collect();
    }

    /// Places of namespaces, those that were given back among them.
    pub(crate) fn namespace_places(&self) -> usize {
        self.namespaces.len()
    }

    /// The namespaces by number, the empty one first.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = (u32, &str)> {
        // Without a name it is a place that was given back.
        let named =
            (0..).zip(&self.namespaces).filter(|(number, name)| *number == 0 || !name.is_empty());
        named.map(|(number, name)| (number, name.as_str()))
    }

    /// Names of the namespaces by number; empty ones are free places, but for the first.
    pub(crate) fn places(&self) -> &[String] {
        &self.namespaces
    }

    /// Up to which sequence entries may name namespaces that are not there.
    pub(crate) fn given_back(&self) -> u64 {
        self.given_back
    }

    /// Whether no namespace has this number.
    pub(crate) fn is_free(&self, number: u32) -> bool {
        number > 0 && self.namespaces.get(number as usize).is_none_or(String::is_empty)
    }

    /// Gives a namespace a number that is free.
    pub(crate) fn name_namespace(&mut self, number: u32, name: &str) {
        let number = number as usize;
        let length = self.namespaces.len().max(number + 1);
        self.namespaces.resize(length, String::new());
        name.clone_into(&mut self.namespaces[number]);
    }

    /// Takes their places from namespaces that are not `in_use`, the empty one aside. Entries up to
    /// this sequence may go on naming them.
    pub(crate) fn give_back(&mut self, in_use: impl Fn(u32) -> bool, sequence: u64) {
        for (number, name) in (0..).zip(&mut self.namespaces) {
            if number > 0 && !in_use(number) {
                name.clear();
            }
        }
        let length =
            self.namespaces.iter().rposition(|name| !name.is_empty()).map_or(1, |last| last + 1);
        self.namespaces.truncate(length);
        self.given_back = sequence;
    }

    /// Whether an entry of this sequence may name a namespace that is not there.
    pub(crate) fn is_given_back(&self, sequence: u64) -> bool {
        sequence <= self.given_back
    }

    /// The digests of files that were imported at starts, those of the last import last.
    pub(crate) fn imports(&self) -> &[String] {
        &self.imports
    }

    /// Adds such digests; beyond [`MAX_IMPORTS`] the oldest are forgotten.
    pub(crate) fn remember_imports(&mut self, digests: Vec<String>) {
        self.imports.retain(|digest| !digests.contains(digest));
        self.imports.extend(digests);
        let forgotten = self.imports.len().saturating_sub(MAX_IMPORTS);
        self.imports.drain(..forgotten);
    }

    fn path(disk: &dyn Disk) -> PathBuf {
        disk.folder().join(NAME)
    }

    /// Reads and checks a store's manifest; `None` where there is none.
    pub(crate) fn read(disk: &dyn Disk) -> Result<Option<Self>, StoreError> {
        let Some(bytes) = disk.read_manifest()? else { return Ok(None) };
        Self::decode(&bytes).map(Some).map_err(|fault| match fault {
            Fault::Invalid(what) => StoreError::Manifest { file: Self::path(disk), what },
            Fault::Version(what) => StoreError::Version { file: Self::path(disk), what },
        })
    }

    /// Replaces a store's manifest.
    pub(crate) fn write(&self, disk: &dyn Disk) -> Result<(), StoreError> {
        Ok(disk.replace_manifest(&self.encode())?)
    }

    fn encode(&self) -> Vec<u8> {
        let manifest = serde_json::to_value(self).expect("strings and numbers become JSON");
        let crc32c = crc32c::crc32c(manifest.to_string().as_bytes());
        let mut bytes = serde_json::to_vec_pretty(&Sealed { manifest, crc32c })
            .expect("strings and numbers become JSON");
        bytes.push(b'\n');
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let unreadable = |error: serde_json::Error| {
            Fault::Invalid(format!("the manifest can't be read ({error})"))
        };
        let sealed: Sealed = serde_json::from_slice(bytes).map_err(unreadable)?;
        if crc32c::crc32c(sealed.manifest.to_string().as_bytes()) != sealed.crc32c {
            return Err(Fault::Invalid("the manifest does not match its checksum".to_owned()));
        }
        // The version first: another one may have other fields.
        match sealed.manifest.get("format").and_then(serde_json::Value::as_u64) {
            Some(version) if format::is_known(version) => {}
            Some(version) => {
                return Err(Fault::Version(format!(
                    "its format is {version}, this one reads {} and {}",
                    format::FORMAT,
                    format::STATE_FORMAT
                )));
            }
            None => return Err(Fault::Invalid("the manifest names no format".to_owned())),
        }
        let manifest: Self = serde_json::from_value(sealed.manifest).map_err(unreadable)?;
        if let Err(unknown) = manifest.id_rule.parse::<IdRule>() {
            return Err(Fault::Version(format!("its id rule is unknown here: {unknown}")));
        }
        let has_default = manifest.namespaces.first().is_some_and(String::is_empty);
        if !has_default || manifest.cores == 0 || manifest.marks.len() != manifest.cores {
            return Err(Fault::Invalid("the manifest makes no sense".to_owned()));
        }
        Ok(manifest)
    }
}

/// How many cores the store in this folder was made for; `None` where there is no store, or none
/// that can be read: opening it says why.
pub fn stored_cores(folder: &Path) -> Option<usize> {
    let mut bytes = Vec::new();
    File::open(folder.join(NAME)).ok()?.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    Manifest::decode(&bytes).ok().map(|manifest| manifest.cores)
}

#[derive(Debug, PartialEq)]
enum Fault {
    Invalid(String),
    Version(String),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            namespaces: vec!["".into(), "na\"m\né".into()],
            marks: vec![Position::new(0, 0), Position::new(7, 8192)],
            ..Manifest::new(u64::MAX, 2, IdRule::default())
        }
    }

    #[test]
    fn a_manifest_reads_as_it_was_written() {
        assert_eq!(Manifest::decode(&manifest().encode()).unwrap(), manifest());
    }

    #[test]
    fn a_published_manifest_keeps_its_bytes() {
        let golden = r#"{
  "cores": 2,
  "format": 1,
  "id_rule": "md5-or-hex",
  "marks": [
    {
      "offset": 0,
      "segment": 0
    },
    {
      "offset": 8192,
      "segment": 7
    }
  ],
  "namespaces": [
    "",
    "na\"m\né"
  ],
  "store": 18446744073709551615,
  "crc32c": 1167776791
}
"#;
        assert_eq!(String::from_utf8(manifest().encode()).unwrap(), golden);
        let imported =
            Manifest { imports: vec!["d41d8cd98f00b204e9800998ecf8427e".into()], ..manifest() };
        let bytes = imported.encode();
        assert_eq!(Manifest::decode(&bytes).unwrap(), imported);
        let text = String::from_utf8(bytes).unwrap();
        let field = "  \"imports\": [\n    \"d41d8cd98f00b204e9800998ecf8427e\"\n  ],\n";
        assert_eq!(text.replace(field, ""), golden.replace("1167776791", "4088991262"));
    }

    #[test]
    fn a_manifest_with_state_keeps_its_bytes_and_has_the_later_format() {
        let resharding = Resharding { folders: 4, segment: 9 };
        let begun = manifest().with_resharding(Some(resharding));
        assert_eq!((begun.segments(), manifest().segments()), (0..9, 0..u32::MAX));
        let switched = manifest().resharded(vec![Position::new(10, 4096); 4], resharding);
        assert_eq!((switched.segments(), switched.cores()), (9..u32::MAX, 4));
        for manifest in [begun, switched.clone(), switched.with_resharding(None)] {
            assert_eq!(Manifest::decode(&manifest.encode()).unwrap(), manifest);
            assert_eq!(manifest.format(), 2);
        }
        let text = String::from_utf8(switched.encode()).unwrap();
        for field in [
            "  \"first\": 9,\n",
            "  \"format\": 2,\n",
            "  \"resharding\": {\n    \"folders\": 4,\n    \"segment\": 9\n  },\n",
        ] {
            assert!(text.contains(field), "{text}");
        }
    }

    #[test]
    fn every_flipped_byte_is_noticed() {
        let bytes = manifest().encode();
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            assert!(Manifest::decode(&bytes).is_err(), "byte {at}");
        }
    }

    #[test]
    fn another_version_is_named_even_where_its_fields_differ() {
        let manifest = serde_json::json!({ "format": 3, "more": true });
        let crc32c = crc32c::crc32c(manifest.to_string().as_bytes());
        let bytes = serde_json::to_vec(&Sealed { manifest, crc32c }).unwrap();
        assert_eq!(
            Manifest::decode(&bytes),
            Err(Fault::Version("its format is 3, this one reads 1 and 2".to_owned()))
        );
    }
}
