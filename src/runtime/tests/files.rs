//! Log writes through the ring: they land where they belong in every mode, and failures are told
//! with the path.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use crate::support::{Script, config, pattern, stop};
use sutra_runtime::{
    DataFile, Durability, Event, Folder, RegionSlice, RegionWriter, Running, RuntimeError,
    WriteMode,
};

const LEN: usize = 3 << 20;

fn filled_region() -> RegionSlice {
    let mut region = RegionWriter::new(LEN).unwrap();
    region.writable().copy_from_slice(&pattern(LEN));
    region.freeze(LEN);
    region.region().slice(0..LEN).unwrap()
}

type Results = Receiver<(u64, Result<(), (std::io::ErrorKind, String)>)>;

/// Opens a file on a core, starts `begin` on it, and reports what was written.
fn on_core(
    open: impl Fn() -> std::io::Result<DataFile> + Send + Sync + 'static,
    begin: fn(&mut sutra_runtime::Core<u64>, &Arc<DataFile>),
) -> (Running, Results) {
    let (sender, results) = channel();
    let running = sutra_runtime::start(config(1), move |_, core| {
        let sender = sender.clone();
        let file = Arc::new(open().unwrap());
        begin(core, &file);
        Ok::<_, RuntimeError>(Script::events(move |_, event| match event {
            Event::Written { token, result } => {
                sender
                    .send((token, result.map_err(|error| (error.kind(), error.to_string()))))
                    .unwrap();
            }
            event => panic!("unexpected {event:?}"),
        }))
    });
    (running.unwrap(), results)
}

fn written_and_read_back(place: &Path, durability: Durability) -> WriteMode {
    let (created, folder) = (Folder::open(place).unwrap(), Folder::open(place).unwrap());
    let (running, results) = on_core(
        move || DataFile::create(&created, "segment", durability),
        |core, file| {
            let all = filled_region();
            // The second half first, and a sync behind it.
            let half = LEN / 2;
            core.write(file, half as u64, all.region().slice(half..LEN).unwrap(), 2);
            core.write(file, 0, all.region().slice(0..half).unwrap(), 1);
            core.sync(file, 3);
            core.write(file, 0, all.region().slice(7..7).unwrap(), 4);
        },
    );
    let mut tokens: Vec<u64> = (0..4)
        .map(|_| {
            let (token, result) = results.recv().unwrap();
            result.unwrap();
            token
        })
        .collect();
    tokens.sort_unstable();
    assert_eq!(tokens, [1, 2, 3, 4]);
    stop(running);
    let file = DataFile::open(&folder, "segment", durability).unwrap();
    let mut back = vec![0; LEN];
    file.read_all_into(0, &mut back).unwrap();
    assert!(back == pattern(LEN));
    file.mode()
}

#[test]
fn durable_writes_land_and_are_readable() {
    let folder = tempfile::tempdir().unwrap();
    let mode = written_and_read_back(folder.path(), Durability::Always);
    assert_ne!(mode, WriteMode::Relaxed);
}

#[test]
fn relaxed_writes_land_and_are_readable() {
    let folder = tempfile::tempdir().unwrap();
    let mode = written_and_read_back(folder.path(), Durability::Relaxed);
    assert_eq!(mode, WriteMode::Relaxed);
}

#[test]
fn where_direct_writes_are_not_to_be_had_writes_are_synced() {
    // tmpfs tells no direct-I/O alignment. A host without it is one where this can't be shown.
    let Ok(folder) = tempfile::tempdir_in("/dev/shm") else {
        return;
    };
    let mode = written_and_read_back(folder.path(), Durability::Always);
    assert_eq!(mode, WriteMode::Buffered);
}

#[test]
fn a_full_disk_fails_the_write_with_its_path() {
    let (running, results) = on_core(
        || DataFile::open(&Folder::open("/dev").unwrap(), "full", Durability::Always),
        |core, file| core.write(file, 0, filled_region(), 9),
    );
    let (token, result) = results.recv().unwrap();
    let (kind, text) = result.unwrap_err();
    assert_eq!((token, kind), (9, std::io::ErrorKind::StorageFull));
    assert!(text.contains("/dev/full"), "{text}");
    stop(running);
}

#[test]
fn a_direct_write_off_its_alignment_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::open(place.path()).unwrap();
    if let WriteMode::Direct { .. } =
        DataFile::create(&folder, "segment", Durability::Always).unwrap().mode()
    {
        let (running, results) = on_core(
            move || DataFile::open(&folder, "segment", Durability::Always),
            |core, file| core.write(file, 1, filled_region().region().slice(0..4096).unwrap(), 5),
        );
        let (_, result) = results.recv().unwrap();
        assert_eq!(result.unwrap_err().0, std::io::ErrorKind::InvalidInput);
        stop(running);
    }
}

#[test]
fn a_write_holds_its_region_until_it_is_over() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::open(place.path()).unwrap();
    let (sender, told) = channel();
    let running = sutra_runtime::start(config(1), move |_, core| {
        let sender = sender.clone();
        let file = Arc::new(DataFile::create(&folder, "segment", Durability::Always).unwrap());
        let mut writer = RegionWriter::new(LEN).unwrap();
        writer.freeze(LEN);
        core.write(&file, 0, writer.region().slice(0..LEN).unwrap(), 0);
        let mut writer = Some(writer.reclaim().unwrap_err());
        Ok::<_, RuntimeError>(Script::events(move |_, event| {
            assert!(matches!(event, Event::Written { result: Ok(()), .. }));
            sender.send(writer.take().unwrap().reclaim().is_ok()).unwrap();
        }))
    });
    assert!(told.recv().unwrap());
    stop(running.unwrap());
}
