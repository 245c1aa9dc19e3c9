//! Which settings file a command reads, and whether it is to be trusted.
//!
//! The file that `--config` or SUTRA_CONFIG names; else, for the commands that run until they are
//! told to stop, ./sutra.toml, and for all others the user's own. So no folder that a client is
//! called in can send it elsewhere. A file that nobody has named, and that others may change, is
//! refused.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::exit::Failure;
use crate::text;

/// The longest settings file: each setting takes some dozens of bytes.
const MAX_FILE: u64 = 1 << 20;
/// Each wait for a settings file that is a pipe takes no longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The file's default name.
const DEFAULT_FILE: &str = "sutra.toml";

/// Who reads a settings file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Commands that run until they are told to stop.
    Service,
    /// All others.
    Client,
}

impl Reader {
    /// Of a command, by its words.
    pub(super) fn of(words: &[&str]) -> Self {
        match words {
            ["serve", ..] | ["grid", "master" | "agent", ..] => Reader::Service,
            _ => Reader::Client,
        }
    }

    /// Its default file, if that exists.
    fn file(self) -> Option<PathBuf> {
        let path = match self {
            Reader::Service => PathBuf::from(DEFAULT_FILE),
            Reader::Client => {
                let absolute =
                    |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
                let home = || Some(absolute(std::env::var_os("HOME")?)?.join(".config"));
                let folder =
                    std::env::var_os("XDG_CONFIG_HOME").and_then(absolute).or_else(home)?;
                folder.join("sutra").join(DEFAULT_FILE)
            }
        };
        path.symlink_metadata().is_ok().then_some(path)
    }
}

/// The settings file of `reader`: the named one, or its own.
pub(crate) fn file(reader: Reader, named: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
    if let Some(named) = named {
        return Ok(Some(named.to_owned()));
    }
    let Some(path) = reader.file() else { return Ok(None) };
    let refused = |problem: String| {
        let cure = "make it yours alone, move it away, or name it with --config";
        Err(Failure::Usage(format!("the settings file {} {problem}: {cure}", path.display())))
    };
    let own = rustix::process::geteuid().as_raw();
    // A link's owner can have it point elsewhere, its target's owner can change what it says.
    for found in [fs::symlink_metadata(&path), fs::metadata(&path)] {
        let found = match found {
            Ok(found) => found,
            Err(error) => return refused(format!("can't be read ({error})")),
        };
        if let Some(problem) =
            distrust(found.uid(), found.gid(), found.mode(), found.is_symlink(), own)
        {
            return refused(problem);
        }
    }
    Ok(Some(path))
}

/// Why a file of this owner, group and mode is not to be trusted, if so.
fn distrust(owner: u32, group: u32, mode: u32, is_link: bool, own: u32) -> Option<String> {
    let own_group = rustix::process::getegid().as_raw();
    if owner != own && owner != 0 {
        return Some(format!("belongs to another user ({owner})"));
    }
    // A link's own mode says nothing. A user's own group has no other members on most hosts.
    let is_writable = mode & 0o002 != 0 || mode & 0o020 != 0 && group != own_group;
    (is_writable && !is_link).then(|| format!("can be changed by others (mode {:o})", mode & 0o777))
}

/// The words of the line that name a command: those before any that could be a value.
pub(super) fn command_words(line: &[OsString]) -> Vec<&str> {
    let mut words = line.iter().skip(1);
    let mut found = Vec::new();
    while let Some(word) = words.next().and_then(|word| word.to_str()) {
        if word == "--config" || word == "--log" {
            words.next();
        } else if !word.starts_with('-') {
            found.push(word);
        }
        if found.len() == 2 {
            break;
        }
    }
    found
}

/// The file that the line or the environment names.
pub(crate) fn named(line: &[OsString]) -> Option<PathBuf> {
    named_file(line).or_else(|| std::env::var_os("SUTRA_CONFIG").map(PathBuf::from))
}

/// The file that `--config` names. Looked for by hand: what the file says must be known before the
/// line is parsed.
fn named_file(line: &[OsString]) -> Option<PathBuf> {
    let mut words = line.iter().skip(1).take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        if word == "--config" {
            return words.next().map(PathBuf::from);
        }
        if let Some(path) = word.to_str().and_then(|word| word.strip_prefix("--config=")) {
            return Some(PathBuf::from(path));
        }
    }
    None
}

/// The text of a settings file.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    let text = text::read(path, MAX_FILE, PATIENCE).and_then(|text| {
        String::from_utf8(text).map_err(|error| std::io::Error::new(ErrorKind::InvalidData, error))
    });
    text.map_err(|error| {
        let cure =
            "name one that can be read with --config, or leave out the flag and SUTRA_CONFIG";
        Failure::Usage(format!("cannot read the settings file {}: {error}; {cure}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_others_may_change_is_not_trusted() {
        let (own, group) =
            (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        assert_eq!(distrust(own, group, 0o100_644, false, own), None);
        assert_eq!(distrust(own, group, 0o100_664, false, own), None);
        assert_eq!(distrust(own, group, 0o120_777, true, own), None);
        for (owner, group, mode) in
            [(own + 1, group, 0o644), (own, group, 0o646), (own, group + 1, 0o664)]
        {
            assert!(distrust(owner, group, mode, false, own).is_some(), "{owner} {group} {mode:o}");
        }
        assert!(distrust(own + 1, group, 0o777, true, own).is_some(), "somebody else's link");
    }

    #[test]
    fn the_reader_is_known_by_the_commands_words() {
        let reader = |words: &str| {
            let line: Vec<OsString> = words.split(' ').map(OsString::from).collect();
            Reader::of(&command_words(&line))
        };
        for words in [
            "sutra serve",
            "sutra --log info serve",
            "sutra --json grid master",
            "sutra grid agent --id a",
        ] {
            assert_eq!(reader(words), Reader::Service, "{words}");
        }
        for words in
            ["sutra", "sutra query serve", "sutra --config serve query dog", "sutra grid status"]
        {
            assert_eq!(reader(words), Reader::Client, "{words}");
        }
    }

    #[test]
    fn the_file_is_found_on_the_line_in_both_spellings() {
        let line =
            |words: &[&str]| named_file(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(line(&["sutra", "query", "--config", "a.toml"]), Some("a.toml".into()));
        assert_eq!(line(&["sutra", "--config=b.toml", "query"]), Some("b.toml".into()));
        assert_eq!(line(&["sutra", "query", "--", "--config"]), None);
    }
}
