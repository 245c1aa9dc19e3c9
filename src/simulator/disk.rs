//! The disk of a simulation: what is durable, what only the page cache has, and what goes wrong.
//!
//! A write is first in the page cache, and durable after a sync of its file (or at once, where the
//! file is written directly). A name is durable after a sync of its folder. A power cut takes what
//! is not durable: of each write nothing, all, or any of its sectors stay, in no order; of each
//! change of a name all or nothing. A kill takes nothing but what was under way.
//!
//! A sync that fails has lost what it covered: some of it is on the disk. The page cache has what
//! the disk has, or it keeps the rest and takes that for written. Later syncs succeed. A full disk
//! takes no longer files; one that writes nothing in place takes nothing. Everything else of
//! [`sutra_store::Disk`] is built of these few operations, and each of them can be the last before
//! the power goes.

mod content;
mod damage;
mod file;
mod names;
mod state;

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use libc::{EIO, ENOENT, ENOSPC};
use sutra_runtime::{DataFile, in_context};
use sutra_store::{Change, CheckpointName, Disk, ReplaceIn, SegmentName, replace};

use self::content::Content;
use self::file::SimulatedSegment;
use self::names::Names;
pub(crate) use self::state::{Crash, Fault, Manner};
use self::state::{State, lock};
use crate::random::{Random, Stream};

const MANIFEST: &str = "manifest.json";
/// Behind the name of a file that is to take another's place.
const NEW: &str = ".new";

/// The disk. Clones of the `Arc` around it are what a store holds of it; it outlives all of them.
#[derive(Debug)]
pub(crate) struct SimulatedDisk {
    folder: PathBuf,
    state: Arc<Mutex<State>>,
}

impl SimulatedDisk {
    pub(crate) fn new(seed: u64, manner: Manner) -> SimulatedDisk {
        let state = State {
            contents: Vec::new(),
            names: Names::default(),
            random: Random::of(seed, Stream::Disk, 0),
            manner,
            is_full: false,
            armed: BTreeMap::new(),
            power: None,
            moment: 0,
            flipped: None,
            seen: BTreeMap::new(),
        };
        SimulatedDisk { folder: PathBuf::from("/simulated"), state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// From now on it is this moment of the history.
    pub(crate) fn set_moment(&self, moment: u64) {
        self.state().moment = moment;
    }

    /// From now on there is no space, or there is.
    pub(crate) fn set_full(&self, is_full: bool) {
        self.state().is_full = is_full;
    }

    pub(crate) fn is_full(&self) -> bool {
        self.state().is_full
    }

    /// Has the next so many operations of this kind fail.
    pub(crate) fn arm(&self, fault: Fault, times: u32) {
        self.state().armed.insert(fault, times);
    }

    /// Whether it has not failed as often yet.
    pub(crate) fn is_armed(&self, fault: Fault) -> bool {
        self.state().armed.contains_key(&fault)
    }

    /// Nothing fails any more.
    pub(crate) fn disarm(&self) {
        self.state().armed.clear();
    }

    /// The power goes in the `operations`th operation from now on.
    pub(crate) fn cut_power_in(&self, operations: u64) {
        self.state().power = Some(operations.max(1));
    }

    /// Whether it is gone.
    pub(crate) fn is_off(&self) -> bool {
        self.state().power == Some(0)
    }

    /// The power is back, or does not go after all.
    pub(crate) fn power_on(&self) {
        self.state().power = None;
    }

    /// Everything that ran is gone.
    pub(crate) fn crash(&self, crash: Crash) {
        let state = &mut *self.state();
        state.power = None;
        state.armed.clear();
        for content in &mut state.contents {
            match crash {
                // The kernel goes on writing what it has.
                Crash::Kill if state.random.one_in(2) => content.write_back(&mut state.random),
                Crash::Kill => {}
                Crash::PowerCut => content.lose_power(&mut state.random),
            }
        }
        if crash == Crash::PowerCut {
            state.names.lose_power(&mut state.random);
        }
    }

    /// The moment of the oldest write to a shard's log that a power cut could still take, or that a
    /// failed sync has taken.
    pub(crate) fn oldest_unsynced(&self, shard: u16) -> Option<u64> {
        self.oldest(shard, |content| {
            [content.oldest_unsynced(), content.oldest_lost()].into_iter().flatten().min()
        })
    }

    /// The moment of the oldest write to a shard's log that a failed sync has taken.
    pub(crate) fn oldest_lost(&self, shard: u16) -> Option<u64> {
        self.oldest(shard, Content::oldest_lost)
    }

    fn oldest(&self, shard: u16, of: impl Fn(&Content) -> Option<u64>) -> Option<u64> {
        let state = self.state();
        let folder = format!("shard-{shard:03}/segment-");
        let files = state.names.all().filter(|(name, _)| name.starts_with(&folder));
        files.filter_map(|(_, number)| of(&state.contents[number])).min()
    }

    /// Whether a failed sync has taken something.
    pub(crate) fn has_lost(&self) -> bool {
        self.state().contents.iter().any(|content| content.oldest_lost().is_some())
    }

    /// What failed syncs have taken is known by now.
    pub(crate) fn forget_lost(&self) {
        self.state().contents.iter_mut().for_each(Content::forget_lost);
    }

    /// Every file with its length.
    pub(crate) fn files(&self) -> Vec<(String, usize)> {
        let state = self.state();
        let files = state.names.all();
        files.map(|(name, number)| (name.to_owned(), state.contents[number].len())).collect()
    }

    /// The bytes of a file, as whoever reads it gets them.
    pub(crate) fn content(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        let number = state.names.get(name)?;
        Some(state.contents[number].bytes().to_vec())
    }

    /// The bytes of a file that a power cut would leave.
    pub(crate) fn durable(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        let number = state.names.get(name)?;
        Some(state.contents[number].durable().to_vec())
    }

    /// What has happened, by name.
    pub(crate) fn seen(&self) -> BTreeMap<&'static str, u64> {
        self.state().seen.clone()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn file(&self, name: &str, number: usize) -> Arc<DataFile> {
        let mode = self.state().manner.mode;
        let segment = SimulatedSegment::new(self.path(name), number, mode, Arc::clone(&self.state));
        Arc::new(DataFile::simulated(Arc::new(segment)))
    }

    /// Makes an empty file.
    fn make(&self, name: &str) -> io::Result<usize> {
        let state = &mut *self.state();
        let made = (|| {
            state.whole_step()?;
            state.check(Fault::Create, "a file could not be made")?;
            if state.is_full && state.random.one_in(2) {
                state.see("a full disk refused a new file");
                return Err(io::Error::from_raw_os_error(ENOSPC));
            }
            if state.names.get(name).is_some() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.contents.push(Content::default());
            state.names.link(name, state.contents.len() - 1);
            Ok(state.contents.len() - 1)
        })();
        made.map_err(in_context("create", &self.path(name)))
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        let state = &mut *self.state();
        let removed = state.whole_step().and_then(|()| match state.names.unlink(name) {
            true => Ok(()),
            false => Err(io::Error::from_raw_os_error(ENOENT)),
        });
        removed.map_err(in_context("remove", &self.path(name)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let state = &mut *self.state();
        let renamed = (|| {
            state.whole_step()?;
            state.check(Fault::Rename, "a file could not be renamed")?;
            state.names.rename(from, to);
            Ok(())
        })();
        renamed.map_err(in_context("replace", &self.path(to)))
    }

    fn sync_names(&self, folder: &str) -> io::Result<()> {
        let state = &mut *self.state();
        let synced = (|| {
            state.whole_step()?;
            if state.fails(Fault::SyncFolder) {
                state.see("a folder could not be synced");
                return Err(io::Error::from_raw_os_error(EIO));
            }
            state.names.sync(folder);
            Ok(())
        })();
        synced.map_err(in_context("sync the folder", &self.path(folder)))
    }

    fn read_whole(&self, name: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let state = &mut *self.state();
        let read = (|| {
            state.step()?;
            state.check(Fault::Read, "a file could not be read")?;
            let Some(number) = state.names.get(name) else { return Ok(None) };
            let mut bytes = state.contents[number].bytes().to_vec();
            if bytes.len() as u64 > limit {
                return Err(io::Error::other("it is longer than it can be worth"));
            }
            state.glitch(number, 0, &mut bytes);
            Ok(Some(bytes))
        })();
        read.map_err(in_context("read", &self.path(name)))
    }
}

/// A folder of the disk, in which a file is replaced.
struct InFolder<'a> {
    disk: &'a SimulatedDisk,
    folder: String,
}

impl InFolder<'_> {
    fn path(&self, name: &str) -> String {
        if self.folder.is_empty() { name.to_owned() } else { format!("{}/{name}", self.folder) }
    }
}

impl ReplaceIn for InFolder<'_> {
    /// Its number, its path, and how long it is.
    type File = (usize, PathBuf, u64);

    fn create(&self, name: &str) -> io::Result<Self::File> {
        let name = self.path(name);
        Ok((self.disk.make(&name)?, self.disk.path(&name), 0))
    }

    fn append(&self, (number, path, length): &mut Self::File, bytes: &[u8]) -> io::Result<()> {
        let written = file::write_all(&self.disk.state, *number, *length, bytes);
        *length += bytes.len() as u64;
        written.map_err(in_context("write to", path))
    }

    fn sync(&self, (number, path, _): &Self::File) -> io::Result<()> {
        file::sync(&self.disk.state, *number).map_err(in_context("sync", path))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(&self.path(from), &self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.unlink(&self.path(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        self.disk.sync_names(&self.folder)
    }
}

fn folder_of(shard: u16) -> String {
    format!("shard-{shard:03}")
}

impl Disk for SimulatedDisk {
    fn folder(&self) -> &Path {
        &self.folder
    }

    fn read_manifest(&self) -> io::Result<Option<Vec<u8>>> {
        self.read_whole(MANIFEST, 8 << 20)
    }

    fn replace_manifest(&self, bytes: &[u8]) -> io::Result<()> {
        let folder = InFolder { disk: self, folder: String::new() };
        replace(&folder, MANIFEST, self.random(), &[bytes])
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.sync_names("")
    }

    fn create_shard(&self, shard: u16) -> io::Result<()> {
        // A folder that is there and empty is as good as one that is not.
        self.state().names.make_folder(&folder_of(shard));
        Ok(())
    }

    fn list(&self, shard: u16) -> io::Result<Option<Vec<String>>> {
        let state = self.state();
        let folder = folder_of(shard);
        if !state.names.is_folder(&folder) {
            return Ok(None);
        }
        let prefix = folder + "/";
        let names = state.names.all().filter_map(|(name, _)| name.strip_prefix(&prefix));
        Ok(Some(names.map(str::to_owned).collect()))
    }

    fn create(&self, name: SegmentName) -> io::Result<Arc<DataFile>> {
        let name = name.to_string();
        let number = self.make(&name)?;
        Ok(self.file(&name, number))
    }

    fn open(&self, name: SegmentName) -> io::Result<Arc<DataFile>> {
        let name = name.to_string();
        let number = {
            let state = &mut *self.state();
            state.step().map_err(in_context("open", &self.path(&name)))?;
            let missing = || io::Error::from_raw_os_error(ENOENT);
            let found = state.names.get(&name).ok_or_else(missing);
            found.map_err(in_context("open", &self.path(&name)))?
        };
        Ok(self.file(&name, number))
    }

    fn remove(&self, name: SegmentName) -> io::Result<()> {
        self.unlink(&name.to_string())
    }

    fn remove_shard(&self, shard: u16) -> io::Result<()> {
        let left: Vec<_> = self.list(shard)?.unwrap_or_default();
        for file in left.into_iter().filter(|file| file.starts_with("vectors-")) {
            self.unlink(&format!("{}/{file}", folder_of(shard)))?;
        }
        self.sync_names(&folder_of(shard))
    }

    fn sync_shard(&self, shard: u16) -> io::Result<()> {
        self.sync_names(&folder_of(shard))
    }

    fn len(&self, file: &DataFile) -> io::Result<u64> {
        file.len()
    }

    fn read(&self, file: &DataFile, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        file.read_all_into(offset, buffer)
    }

    fn zero_fill(&self, file: &DataFile, range: Range<u64>) -> io::Result<()> {
        file.zero_fill(range)
    }

    fn write(&self, file: &DataFile, offset: u64, bytes: &[u8]) -> io::Result<()> {
        file.write_synced(offset, bytes)
    }

    fn sync(&self, file: &DataFile) -> io::Result<()> {
        file.sync_all()
    }

    fn read_checkpoint(&self, name: CheckpointName, limit: u64) -> io::Result<Option<Vec<u8>>> {
        self.read_whole(&name.to_string(), limit)
    }

    fn replace_checkpoint(&self, name: CheckpointName, parts: &[&[u8]]) -> io::Result<()> {
        let folder = InFolder { disk: self, folder: folder_of(name.shard) };
        let name = name.to_string();
        let file_name = name.rsplit_once('/').map_or(name.as_str(), |(_, file)| file);
        replace(&folder, file_name, self.random(), parts)
    }

    fn is_manifest_touched(&self) -> io::Result<bool> {
        Ok(self.state().names.get(MANIFEST).is_none())
    }

    fn look(&self) -> io::Result<Option<Change>> {
        self.state().step()?;
        Ok(None)
    }

    fn note_use(&self, in_use: bool) -> io::Result<()> {
        if !in_use {
            return Ok(());
        }
        let leftovers: Vec<String> = {
            let state = self.state();
            let all = state.names.all().map(|(name, _)| name.to_owned());
            all.filter(|name| name.ends_with(NEW)).collect()
        };
        for name in leftovers {
            self.unlink(&name)?;
            self.state().see("a file that was never finished was removed");
        }
        Ok(())
    }

    /// There is nobody else.
    fn release(&self) -> io::Result<()> {
        Ok(())
    }

    fn random(&self) -> u64 {
        self.state().random.next()
    }

    fn is_for_one_thread(&self) -> bool {
        true
    }
}
