//! Measures the recovery of a store whose files are not in the page cache, beside a plain
//! sequential read of the same files.
//!
//! Both use one core, as the store has one shard. The plain read is O_DIRECT, a MiB at a time: what
//! the disk gives to one reader who does nothing with the bytes. Both figures count all bytes of
//! the files, the log's unwritten end included.

use std::fs::{File, OpenOptions};
use std::io::IoSliceMut;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use rustix::fs::{Advice, OFlags, fadvise};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use sutra_load::{KeySpace, Keys, Learn};
use sutra_store::{Opened, Store};

use crate::Outcome;
use crate::aligned::{Aligned, BLOCK};
use crate::options::filling;
use crate::process::Running;
use crate::spread::{ratios, show};

#[derive(Args)]
pub(crate) struct Options {
    /// Records in the store
    #[arg(long, default_value_t = 200_000)]
    records: u64,
    /// Bytes of each record's content
    #[arg(long, default_value_t = 100)]
    content: usize,
    /// Numbers in each record's embedding
    #[arg(long, default_value_t = 384)]
    dimension: usize,
    /// Rounds over both
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The CPU of the server that writes the store
    #[arg(long, default_value_t = 0)]
    server_cpu: usize,
}

/// Bytes that the plain read asks for at a time.
const CHUNK: usize = 1 << 20;

pub(crate) fn run(options: &Options) -> Outcome {
    let folder = fill(options)?;
    let data = folder.path().join("data");
    let files = segments(&data)?;
    let bytes =
        files.iter().map(|file| Ok(file.metadata()?.len())).sum::<std::io::Result<u64>>()?;
    let megabytes = bytes as f64 / 1e6;
    println!(
        "{} records in {} segments, {megabytes:.0} MB; none in the page cache; \
         median over {} rounds [lowest, highest]",
        options.records,
        files.len(),
        options.rounds
    );
    let (mut plain, mut recovery) = (Vec::new(), Vec::new());
    for round in 0..options.rounds {
        for turn in 0..2 {
            drop_from_cache(&files)?;
            if (round + turn) % 2 == 0 {
                plain.push(megabytes / read(&files)?.as_secs_f64());
            } else {
                recovery.push(megabytes / recover(&data, options.records)?.as_secs_f64());
            }
        }
    }
    println!("  sequential read   {} MB/s a core", show(plain.iter().copied(), 0));
    println!("  recovery          {} MB/s a core", show(recovery.iter().copied(), 0));
    println!("  recovery / read   {}", show(ratios(&recovery, &plain), 3));
    Ok(())
}

/// A store of one shard, written by a server that was stopped in an orderly way.
fn fill(options: &Options) -> Outcome<tempfile::TempDir> {
    let server = Running::sutra(&format!("{},", options.server_cpu), &[])?;
    let keys = Keys::new("bench", KeySpace::Once(options.records));
    let learn = Learn::new("", keys, options.content, options.dimension);
    sutra_load::run(&filling(&server, options.records), vec![learn], None)?;
    server.stop()
}

/// The store's log, in order.
fn segments(data: &Path) -> Outcome<Vec<File>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(data.join("shard-000"))? {
        let path = entry?.path();
        // The index of the vectors beside it is no part of the log.
        if path.extension().is_some_and(|extension| extension == "log") {
            paths.push(path);
        }
    }
    paths.sort();
    let direct = i32::try_from(OFlags::DIRECT.bits())?;
    let open = |path: PathBuf| Ok(OpenOptions::new().read(true).custom_flags(direct).open(path)?);
    paths.into_iter().map(open).collect()
}

/// Takes the files out of the page cache, and checks that they are out: a block that is still there
/// can be read without waiting.
fn drop_from_cache(files: &[File]) -> Outcome {
    for file in files {
        file.sync_all()?;
        fadvise(file, 0, None, Advice::DontNeed)?;
    }
    for file in files {
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file));
        let buffered = File::open(path)?;
        fadvise(&buffered, 0, None, Advice::Random)?;
        let mut block = [0; BLOCK];
        for offset in (0..file.metadata()?.len()).step_by(16 * CHUNK) {
            match preadv2(
                &buffered,
                &mut [IoSliceMut::new(&mut block)],
                offset,
                ReadWriteFlags::NOWAIT,
            ) {
                Err(Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => {
                    return Err(
                        "the files stay in the page cache; is the folder on a real disk?".into()
                    );
                }
            }
        }
    }
    Ok(())
}

fn read(files: &[File]) -> Outcome<Duration> {
    let mut chunk = Aligned::new(CHUNK);
    let start = Instant::now();
    for file in files {
        let mut offset = 0;
        loop {
            match file.read_at(chunk.bytes_mut(), offset)? {
                0 => break,
                count => offset += count as u64,
            }
        }
    }
    Ok(start.elapsed())
}

/// Opens the store as a server does.
fn recover(data: &Path, records: u64) -> Outcome<Duration> {
    let options = sutra_store::OpenOptions {
        cores: 1,
        durability: sutra_wire::Durability::Always,
        id_rule: None,
        segment_bytes: 64 << 20,
        listening: String::new(),
    };
    let opened: Opened<()> = Store::open(data, options)?;
    let concepts: u64 = opened.shards.iter().map(|shard| shard.stats().concepts).sum();
    if concepts != records {
        return Err(format!("{records} concepts were written and {concepts} recovered").into());
    }
    Ok(opened.report.elapsed)
}
