//! What a store is: from its manifest, or, where that is lost, from its segments and records.

use std::collections::{BTreeMap, HashMap};

use sutra_wire::{ConceptId, CoreLayout, IdRule};

use super::finding::{Finding, Severity, damage};
use super::image::is_of_file;
use super::judge::PUT_BACK;
use super::scan::Place;
use crate::StoreError;
use crate::disk::{Disk, SegmentName};
use crate::format::{Entry, KIND_CONCEPT, SegmentHeader};
use crate::manifest::Manifest;
use crate::marks::Position;
use crate::segment::{MAX_SEGMENT, MIN_SEGMENT};

const MANIFEST: &str = "manifest.json";
/// The size of new segments where no header tells it.
const SEGMENT_BYTES: u64 = 64 << 20;
/// Folders of shards that are looked for where no manifest says how many there are.
const MOST_SHARDS: u16 = 1000;
/// Ids of each shard that tell how many cores there are: each rules out most wrong numbers.
const SAMPLE: usize = 10_000;

/// What a store is.
pub(crate) struct Facts {
    manifest: Option<Manifest>,
    store: u64,
    cores: u16,
    id_rule: IdRule,
    /// Namespaces that entries name, with the highest sequence of these.
    namespaces: HashMap<String, u64>,
    /// Some ids by shard, where no manifest says how many cores there are.
    ids: BTreeMap<u16, Vec<ConceptId>>,
    /// The numbers of its segments, where no manifest says them.
    segments: std::ops::Range<u32>,
    /// The size of its segments, and the bytes of all.
    segment_bytes: u64,
    bytes: u64,
    /// Names that are their ids by each rule, and names that were looked at.
    by_rule: [u64; 2],
    names: u64,
}

impl Facts {
    /// Reads the manifest.
    ///
    /// # Errors
    /// It is of another version, or the disk refuses it for a reason that passes.
    pub(super) fn read(disk: &dyn Disk, findings: &mut Vec<Finding>) -> Result<Self, StoreError> {
        let manifest = match Manifest::read(disk) {
            Ok(Some(manifest)) => Some(manifest),
            Ok(None) => {
                findings.push(damage(MANIFEST, "the manifest is missing".to_owned(), PUT_BACK));
                None
            }
            Err(StoreError::Manifest { what, .. }) => {
                findings.push(damage(MANIFEST, what, PUT_BACK));
                None
            }
            Err(StoreError::Io { source }) if is_of_file(&source) => {
                findings.push(damage(MANIFEST, source.to_string(), PUT_BACK));
                None
            }
            Err(error) => return Err(error),
        };
        let cores = manifest.as_ref().and_then(|manifest| u16::try_from(manifest.cores()).ok());
        Ok(Self {
            store: manifest.as_ref().map_or(0, Manifest::store),
            cores: cores.unwrap_or_default(),
            id_rule: manifest.as_ref().map(Manifest::id_rule).unwrap_or_default(),
            manifest,
            namespaces: HashMap::new(),
            ids: BTreeMap::new(),
            segments: 0..u32::MAX,
            segment_bytes: 0,
            bytes: 0,
            by_rule: [0; 2],
            names: 0,
        })
    }

    pub(crate) fn has_manifest(&self) -> bool {
        self.manifest.is_some()
    }

    pub(crate) fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// Drawn when the store was made.
    pub(crate) fn store(&self) -> u64 {
        self.store
    }

    pub(crate) fn cores(&self) -> u16 {
        self.cores
    }

    pub(crate) fn id_rule(&self) -> IdRule {
        self.id_rule
    }

    /// The namespaces that entries name and that must be in a manifest.
    pub(crate) fn unnamed_namespaces(&self) -> impl Iterator<Item = &str> {
        let is_given_back = |highest| {
            self.manifest.as_ref().is_some_and(|manifest| manifest.is_given_back(highest))
        };
        let named = self.namespaces.iter().filter(move |(_, highest)| !is_given_back(**highest));
        named.map(|(name, _)| name.as_str()).filter(|name| !name.is_empty())
    }

    /// How large its segments are, at the most.
    pub(crate) fn segment_bytes(&self) -> usize {
        let bytes = if self.segment_bytes == 0 { SEGMENT_BYTES } else { self.segment_bytes };
        usize::try_from(bytes.clamp(MIN_SEGMENT, MAX_SEGMENT)).expect("2 GiB fit memory")
    }

    /// Bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn note_bytes(&mut self, bytes: u64) {
        self.bytes = bytes;
    }

    pub(super) fn shards_to_look_for(&self) -> std::ops::Range<u16> {
        match self.has_manifest() {
            true => 0..self.cores,
            false => 0..MOST_SHARDS,
        }
    }

    /// Up to where a shard's log was whole once.
    pub(super) fn mark(&self, shard: u16) -> Position {
        let marks = self.manifest.as_ref().map(Manifest::marks).unwrap_or_default();
        marks.get(usize::from(shard)).copied().unwrap_or_default()
    }

    /// The numbers of the segments that belong to the store, wherever the last one is.
    pub(super) fn segments(&self) -> std::ops::Range<u32> {
        match &self.manifest {
            Some(manifest) => manifest.segments(),
            None => self.segments.clone(),
        }
    }

    /// Where concepts belong, where that is known.
    pub(super) fn layout(&self) -> Option<CoreLayout> {
        self.has_manifest().then(|| CoreLayout::new(self.cores))
    }

    /// Where there is no manifest, the segments say of which store they are: the most of them.
    pub(super) fn learn_from_headers<'a>(
        &mut self,
        headers: impl Iterator<Item = &'a SegmentHeader>,
    ) {
        let mut stores: BTreeMap<u64, (u64, u16)> = BTreeMap::new();
        for header in headers {
            self.segment_bytes = self.segment_bytes.max(header.capacity);
            let (count, shards) = stores.entry(header.store).or_default();
            *count += 1;
            *shards = (*shards).max(header.shard + 1);
        }
        if self.has_manifest() {
            return;
        }
        if let Some((store, (_, shards))) = stores.into_iter().max_by_key(|(_, known)| *known) {
            (self.store, self.cores) = (store, shards);
        }
        self.cores = self.cores.max(1);
    }

    /// Where there is no manifest, the segments say which of them belong together. Of a change of
    /// the number of cores that had not ended, those that it was made of do.
    pub(super) fn learn_from_places(&mut self, places: impl Iterator<Item = (SegmentName, bool)>) {
        let (mut first, mut end) = (u32::MAX, u32::MAX);
        let mut logs: BTreeMap<u16, u32> = BTreeMap::new();
        for (name, is_state) in places {
            first = first.min(name.number);
            match (is_state, logs.get(&name.shard)) {
                (true, Some(_)) => end = end.min(name.number),
                (false, None) => drop(logs.insert(name.shard, name.number)),
                _ => {}
            }
        }
        self.segments = if first < end { first..end } else { 0..u32::MAX };
    }

    /// An entry is whole.
    pub(super) fn meet(&mut self, shard: u16, entry: &Entry<'_>, place: &Place<'_>) {
        let sequence = entry.header.sequence;
        match self.namespaces.get_mut(place.namespace) {
            Some(highest) => *highest = (*highest).max(sequence),
            None => drop(self.namespaces.insert(place.namespace.to_owned(), sequence)),
        }
        if self.has_manifest() {
            return;
        }
        let ids = self.ids.entry(shard).or_default();
        if ids.len() < SAMPLE {
            ids.push(place.id);
        }
        if entry.header.kind == KIND_CONCEPT && !place.name.is_empty() {
            self.names += 1;
            for (rule, count) in
                [IdRule::Md5OrHex, IdRule::Legacy].into_iter().zip(&mut self.by_rule)
            {
                *count += u64::from(ConceptId::from_name_by(rule, place.name) == Ok(place.id));
            }
        }
    }

    /// All was read: says what does not fit the manifest, or what stands in for it.
    pub(super) fn settle(&mut self, findings: &mut Vec<Finding>) {
        let Some(manifest) = &self.manifest else {
            self.settle_without_manifest(findings);
            return;
        };
        let named: Vec<&str> = manifest.namespaces().map(|(_, name)| name).collect();
        let mut unknown: Vec<_> = self
            .namespaces
            .iter()
            .filter(|(name, highest)| {
                !named.contains(&name.as_str()) && !manifest.is_given_back(**highest)
            })
            .map(|(name, _)| name)
            .collect();
        unknown.sort_unstable();
        for name in unknown {
            let what = format!("the manifest does not name the namespace {name:?} of the log");
            findings.push(damage(MANIFEST, what, PUT_BACK));
        }
    }

    fn settle_without_manifest(&mut self, findings: &mut Vec<Finding>) {
        let fits = |cores: u16| {
            let layout = CoreLayout::new(cores);
            let mut ids = self.ids.iter();
            ids.all(|(shard, ids)| ids.iter().all(|id| layout.owner(id) == *shard))
        };
        if let Some(cores) = (self.cores..=MOST_SHARDS).find(|cores| fits(*cores)) {
            self.cores = cores;
        }
        let [strict, legacy] = self.by_rule;
        self.id_rule = if legacy > strict { IdRule::Legacy } else { IdRule::Md5OrHex };
        let certain = match (strict == legacy, self.names) {
            (_, 0) => "no record has a name, so that is a guess",
            (true, _) => "all names fit both rules",
            (false, _) => "as their ids tell",
        };
        let what = format!(
            "it is taken for a store of {} cores, by where its records lie, and with the id rule \
             {} ({certain}); which files were imported at starts is not known any more",
            self.cores, self.id_rule
        );
        findings.push(Finding {
            severity: Severity::Harmless,
            ..damage(MANIFEST, what, "check both before you serve what is salvaged")
        });
    }
}
