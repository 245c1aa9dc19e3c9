//! What was measured before, by what was measured: a small file of JSON in the user's state folder.
//!
//! Promises: the file is there whole, as it was or as it is now; it is bounded; one that can't be
//! read is begun anew, and that is said.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What this version writes. One of another version is begun anew.
const VERSION: u32 = 1;
/// Measurements that are kept: one for each data folder, and one of waking. The oldest goes.
const MOST: usize = 64;
/// The longest file that is read: 64 measurements have some 20 KB.
const LONGEST: u64 = 1 << 20;

/// Something that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measurement {
    /// When, in µs since 1970.
    pub(crate) at_us: u64,
    /// What the kernel called itself.
    pub(crate) kernel: String,
    /// How much, by what with its unit.
    pub(crate) figures: BTreeMap<String, f64>,
}

/// The file.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    version: u32,
    measurements: BTreeMap<String, Measurement>,
}

/// Where measurements are kept.
#[derive(Clone, Debug)]
pub(crate) struct Record(pub(crate) PathBuf);

impl Record {
    /// The last measurement of this. An error where there is a file that can't be read.
    pub(crate) fn last(&self, what: &str) -> io::Result<Option<Measurement>> {
        Ok(self.read()?.measurements.remove(what))
    }

    /// Keeps a measurement in place of the last one.
    pub(crate) fn keep(&self, what: &str, measurement: Measurement) -> io::Result<()> {
        // One that can't be read was told of when the last measurement was asked for.
        let mut kept = self.read().unwrap_or_else(|_| Kept::new());
        kept.measurements.insert(what.to_owned(), measurement);
        while kept.measurements.len() > MOST {
            let oldest = kept.measurements.iter().min_by_key(|(_, kept)| kept.at_us);
            let Some(oldest) = oldest.map(|(what, _)| what.clone()) else { break };
            kept.measurements.remove(&oldest);
        }
        let text = serde_json::to_vec_pretty(&kept).map_err(io::Error::other)?;
        let folder = self.0.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut new = tempfile::NamedTempFile::new_in(folder)?;
        new.write_all(&text)?;
        new.as_file().sync_all()?;
        new.persist(&self.0)?;
        Ok(())
    }

    fn read(&self) -> io::Result<Kept> {
        let mut text = String::new();
        match fs::File::open(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::new()),
            Err(error) => return Err(error),
            Ok(file) => file.take(LONGEST).read_to_string(&mut text)?,
        };
        let kept: Kept = serde_json::from_str(&text).map_err(io::Error::other)?;
        match kept.version {
            VERSION => Ok(kept),
            other => Err(io::Error::other(format!("it is of version {other}"))),
        }
    }
}

impl Kept {
    fn new() -> Self {
        Self { version: VERSION, measurements: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn measured(at_us: u64) -> Measurement {
        Measurement {
            at_us,
            kernel: "6.18".into(),
            figures: BTreeMap::from([("commit_p50_us".into(), 181.5)]),
        }
    }

    #[test]
    fn the_last_measurement_of_each_thing_is_kept_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let record = Record(folder.path().join("sutra/doctor.json"));
        assert_eq!(record.last("disk /srv").unwrap(), None);
        record.keep("disk /srv", measured(1)).unwrap();
        record.keep("waking", measured(2)).unwrap();
        record.keep("disk /srv", measured(3)).unwrap();
        assert_eq!(record.last("disk /srv").unwrap(), Some(measured(3)));
        for number in 0..MOST as u64 {
            record.keep(&format!("disk /{number}"), measured(10 + number)).unwrap();
        }
        let left = (record.last("waking").unwrap(), record.last("disk /srv").unwrap());
        assert_eq!(left, (None, None));
        assert!(record.last("disk /63").unwrap().is_some());
        let names = fs::read_dir(folder.path().join("sutra")).unwrap().count();
        assert_eq!(names, 1, "nothing is left beside it");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_told_and_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let record = Record(folder.path().join("doctor.json"));
        for text in ["nonsense", "{\"version\":2,\"measurements\":{}}"] {
            fs::write(&record.0, text).unwrap();
            assert!(record.last("waking").is_err(), "{text}");
            record.keep("waking", measured(7)).unwrap();
            assert_eq!(record.last("waking").unwrap(), Some(measured(7)));
        }
    }
}
