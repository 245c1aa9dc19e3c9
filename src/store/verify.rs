//! Whether a store is as it was written: every file of it, with nothing changed.

use std::path::Path;

use serde::Serialize;

use crate::StoreError;
use crate::disk::name_of_new;
use crate::read_only_disk::ReadOnlyDisk;
use crate::salvage::{Finding, Severity, Survey, Watch, survey, survey_marked};

/// What a store's files hold.
#[derive(Clone, Debug, Default, Serialize)]
pub struct VerifyReport {
    /// The store's random number.
    pub store: u64,
    /// Its shards.
    pub cores: u16,
    /// Segments that were read.
    pub segments: u64,
    /// Bytes that were read of them, and of the checkpoints.
    pub bytes: u64,
    /// Entries that are whole.
    pub entries: u64,
    /// Bytes of torn tails, which the next start cuts off.
    pub torn_bytes: u64,
    /// Checkpoints of vector indexes.
    pub checkpoints: u64,
    /// What is not as it was written.
    pub findings: Vec<Finding>,
}

impl VerifyReport {
    /// How much of it is damage.
    pub fn damaged(&self) -> u64 {
        self.count(Severity::Damage)
    }

    /// How much is damaged of what the next start makes again.
    pub fn replaceable(&self) -> u64 {
        self.count(Severity::Replaceable)
    }

    fn count(&self, severity: Severity) -> u64 {
        self.findings.iter().filter(|found| found.severity == severity).count() as u64
    }

    pub(crate) fn of(survey: Survey) -> Self {
        Self {
            store: survey.facts.store(),
            cores: survey.facts.cores(),
            segments: survey.shards.iter().map(|verdict| verdict.segments.len() as u64).sum(),
            bytes: survey.bytes,
            entries: survey.shards.iter().map(|verdict| verdict.entries).sum(),
            torn_bytes: survey.shards.iter().map(|verdict| verdict.torn).sum(),
            checkpoints: survey.checkpoints,
            findings: survey.into_findings(),
        }
    }
}

/// Reads every file of the store in a folder and checks it. The folder is kept from servers
/// meanwhile; nothing in it is changed.
///
/// # Errors
/// A server has the folder, or there is no store in it.
pub fn verify(folder: &Path, watch: Watch<'_>) -> Result<VerifyReport, StoreError> {
    let disk = ReadOnlyDisk::open(folder)?;
    let mut report = VerifyReport::of(survey(&disk, watch)?);
    report.findings.extend(lock_findings(&disk, report.cores));
    report.findings.extend(leftovers(&disk)?);
    Ok(report)
}

/// Reads what a store that is served has on the disk: up to its marks, as what is behind them may
/// be on its way there. The store is the one of this random number.
///
/// # Errors
/// The folder can't be read, holds another store by now, or the scrub was ended.
pub fn scrub(folder: &Path, store: u64, watch: Watch<'_>) -> Result<VerifyReport, StoreError> {
    let disk = ReadOnlyDisk::of_own(folder)?;
    let survey = survey_marked(&disk, watch)?;
    if survey.facts.has_manifest() && survey.facts.store() != store {
        let what = "it is another store's by now".to_owned();
        return Err(StoreError::Manifest { file: folder.join("manifest.json"), what });
    }
    Ok(VerifyReport::of(survey))
}

/// What the lock says of where the folder comes from.
pub(crate) fn lock_findings(disk: &ReadOnlyDisk, cores: u16) -> Option<Finding> {
    let lock = disk.lock()?;
    let (severity, what, help) = if lock.is_copy() {
        let severity = if cores > 1 { Severity::Damage } else { Severity::Harmless };
        let what = "this folder is a copy of one that a server had in use: its files may be of \
                    different times";
        (
            severity,
            what,
            "stop that server and copy again; or remove the file lock, to have it as \
                          it was copied",
        )
    } else if lock.is_sound() {
        return None;
    } else {
        let what = "this is not what a server writes there";
        (Severity::Harmless, what, "nothing is to be done: the next start writes it anew")
    };
    Some(Finding {
        severity,
        file: "lock".to_owned(),
        offset: 0,
        length: 0,
        what: what.to_owned(),
        lost: Vec::new(),
        help,
    })
}

/// Files beside the manifest that no server makes.
fn leftovers(disk: &ReadOnlyDisk) -> Result<Vec<Finding>, StoreError> {
    let is_left = |name: &String| name_of_new(name).is_some();
    let mut names: Vec<_> = disk.names()?.into_iter().filter(is_left).collect();
    names.sort_unstable();
    let found = names.into_iter().map(|file| Finding {
        severity: Severity::Harmless,
        file,
        offset: 0,
        length: 0,
        what: "this file was never finished".to_owned(),
        lost: Vec::new(),
        help: "nothing is to be done: the next start removes it",
    });
    Ok(found.collect())
}
