//! Nodes' logs: each node writes to a file of its own. The agent bounds it, and reads in it why a
//! node has ended.
//!
//! A node appends to the file that it was given. So logs are rotated by copying and truncating
//! (`copytruncate`). A file that was renamed or removed is still written to: it is bounded where it
//! is, with a warning.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::folder::LOGS;

/// A file longer than this is put aside.
pub(crate) const MOST: u64 = 64 << 20;
/// How much of a file's end is looked at for its last line.
const TAIL: u64 = 8 << 10;
/// A longer line is cut.
const LINE: usize = 500;

/// The file of a node.
pub(crate) fn file(root: &Path, id: &str) -> PathBuf {
    root.join(LOGS).join(format!("{id}.log"))
}

/// Its length now. What comes behind it was written by the process that is started next.
pub(crate) fn length(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |metadata| metadata.len())
}

/// Removes what a node has written.
pub(crate) fn remove(file: &Path) {
    for file in [file.to_owned(), aside(file)] {
        // One that is not there is as good.
        let _ = fs::remove_file(file);
    }
}

fn aside(file: &Path) -> PathBuf {
    file.with_extension("log.1")
}

/// Bounds what a node has written: its file, and the one that its process writes to where that is
/// another by now.
pub(crate) fn keep(file: &Path, pid: Option<u32>, most: u64) -> io::Result<()> {
    if let Some(moved) = pid.and_then(|pid| moved(file, pid)) {
        let length = length(&moved);
        if length > most {
            let name = fs::read_link(&moved).unwrap_or_default();
            tracing::warn!(
                file = %file.display(), now = %name.display(), length,
                "a node's log was renamed or removed, and had grown too long: it is cut; \
                 rotate logs by copying and truncating"
            );
            OpenOptions::new().write(true).open(&moved)?.set_len(0)?;
        }
    }
    bound(file, most)
}

/// The file that a process writes its errors to, where it is a file and another one than this.
fn moved(file: &Path, pid: u32) -> Option<PathBuf> {
    let written = PathBuf::from(format!("/proc/{pid}/fd/2"));
    let of = |path: &Path| {
        fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|file| (file.dev(), file.ino()))
    };
    let now = of(&written)?;
    (of(file) != Some(now)).then_some(written)
}

/// Copies a file that has more than `most` bytes aside and begins it anew. The node appends, so it
/// goes on at the new beginning; the few lines that it writes between copy and cut are lost.
pub(crate) fn bound(file: &Path, most: u64) -> io::Result<()> {
    if length(file) <= most {
        return Ok(());
    }
    let aside = aside(file);
    // Removed first: a symlink there would lead the copy elsewhere.
    let _ = fs::remove_file(&aside);
    let copied = fs::copy(file, &aside);
    if copied.is_err() {
        // A full disk: it is more urgent to give space back than to keep old lines.
        let _ = fs::remove_file(&aside);
    }
    OpenOptions::new().write(true).open(file)?.set_len(0)?;
    copied.map(|_| ())
}

/// The last trouble that was written behind `from`: an error, a panic, or the message of a warning.
/// What a node says while all is well does not explain its end.
pub(crate) fn last_words(file: &Path, from: u64) -> Option<String> {
    let mut opened = File::open(file).ok()?;
    let length = opened.metadata().ok()?.len();
    let from = if from > length { 0 } else { from };
    opened.seek(SeekFrom::Start(from.max(length.saturating_sub(TAIL)))).ok()?;
    let mut bytes = Vec::new();
    opened.take(TAIL).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let words = text.lines().rev().find_map(|line| trouble(line.trim()))?;
    Some(words.chars().filter(|letter| !letter.is_control()).take(LINE).collect())
}

/// What a line says, if it tells of trouble.
fn trouble(line: &str) -> Option<String> {
    if line.starts_with("error: ") || line.contains("panicked at") {
        return Some(line.to_owned());
    }
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let is_bad = matches!(line.get("level")?.as_str()?, "WARN" | "ERROR");
    Some(line.get("message")?.as_str()?.to_owned()).filter(|_| is_bad)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;

    #[test]
    fn the_last_words_are_the_last_trouble_of_this_process() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("n.log");
        assert_eq!(last_words(&file, 0), None);
        fs::write(&file, "error: old\n").unwrap();
        let from = length(&file);
        let mut log = OpenOptions::new().append(true).open(&file).unwrap();
        assert_eq!(last_words(&file, from), None);
        writeln!(log, "{}", "x\n".repeat(9_000)).unwrap();
        writeln!(log, "listening  127.0.0.1:1\n{{\"level\":\"INFO\",\"message\":\"all is well\"}}")
            .unwrap();
        assert_eq!(
            last_words(&file, from),
            None,
            "what it says while all is well explains nothing"
        );
        writeln!(log, "{{\"level\":\"WARN\",\"message\":\"the disk\\u001b is full\"}}").unwrap();
        assert_eq!(last_words(&file, from).unwrap(), "the disk is full");
        writeln!(log, "error: no\n\ntry --help\n\n").unwrap();
        assert_eq!(last_words(&file, from).unwrap(), "error: no");
        assert_eq!(last_words(&file, 0).unwrap(), "error: no");
        writeln!(log, "thread 'core-0' panicked at src/x.rs:1:\nboom").unwrap();
        assert!(last_words(&file, from).unwrap().contains("src/x.rs:1"));
    }

    #[test]
    fn a_file_that_was_renamed_or_removed_under_its_writer_is_bounded_where_it_is() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("n.log");
        let log = OpenOptions::new().create(true).append(true).open(&file).unwrap();
        let mut writer = std::process::Command::new("sh")
            .args(["-c", "while read line; do echo $line >&2; done"])
            .stdin(std::process::Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let (mut stdin, pid) = (writer.stdin.take().unwrap(), writer.id());
        let mut say = |line: &str| writeln!(stdin, "{line}").unwrap();
        let now = PathBuf::from(format!("/proc/{pid}/fd/2"));
        let wait = |bytes: u64| while length(&now) != bytes {};
        say("one");
        wait(4);
        assert_eq!(moved(&file, pid), None);
        let renamed = place.path().join("n.log.old");
        fs::rename(&file, &renamed).unwrap();
        fs::write(&file, "begun anew by who renamed it").unwrap();
        say("two");
        wait(8);
        keep(&file, Some(pid), 7).unwrap();
        assert_eq!(length(&renamed), 0);
        fs::remove_file(&renamed).unwrap();
        say("three");
        wait(6);
        keep(&file, Some(pid), 5).unwrap();
        wait(0);
        writer.kill().unwrap();
        writer.wait().unwrap();
    }

    #[test]
    fn a_long_file_is_put_aside_and_begun_anew_under_its_writer() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("n.log");
        let mut log = OpenOptions::new().create(true).append(true).open(&file).unwrap();
        writeln!(log, "{}", "x".repeat(100)).unwrap();
        bound(&file, 101).unwrap();
        assert_eq!(length(&file), 101);
        bound(&file, 100).unwrap();
        writeln!(log, "new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new\n", "no hole where the old bytes were");
        assert_eq!(length(&place.path().join("n.log.1")), 101);
        remove(&file);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
