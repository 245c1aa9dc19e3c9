//! Where arguments come from: flags first, then `SUTRA_…` variables, then a TOML file.
//!
//! What the file sets becomes the default of a flag: so the precedence and the wording of help are
//! clap's.

pub(crate) mod file;
mod keys;
pub(crate) mod list;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{BoolishValueParser, TypedValueParser};
use clap::{Command, FromArgMatches};

use crate::args::Arguments;
use crate::exit::Failure;
use file::{Reader, command_words, file, named, read};
use keys::with_file;

/// The process's arguments with the settings file's values behind them, and which file that was.
pub(crate) fn arguments(mut command: Command) -> Result<(Arguments, Option<PathBuf>), Failure> {
    let line: Vec<OsString> = std::env::args_os().collect();
    let words = command_words(&line);
    // `config` tells of all files, and of what is wrong with them.
    let file = if words.first() == Some(&"config") {
        Ok(None)
    } else {
        file(Reader::of(&words), named(&line).as_deref())
    };
    let read_file = file.and_then(|path| match path {
        None => Ok(None),
        Some(path) => {
            let text = read(&path)?;
            Ok(Some((with_file(command.clone(), &path, &text)?, path)))
        }
    });
    let path = match read_file {
        Ok(None) => None,
        Ok(Some((with_file, path))) => {
            command = with_file;
            Some(path)
        }
        Err(failure) => {
            // Help is given all the same: the file would change only the defaults in it.
            return Err(match command.try_get_matches_from(line) {
                Err(asked) if !asked.use_stderr() => asked.into(),
                _ => failure,
            });
        }
    };
    Ok((Arguments::from_arg_matches(&command.try_get_matches_from(line)?)?, path))
}

/// Whether answers in JSON are asked for, where that can't be read from arguments because they are
/// wrong.
pub(crate) fn asks_for_json() -> bool {
    let flag =
        std::env::args_os().skip(1).take_while(|word| word != "--").any(|word| word == "--json");
    let parser = BoolishValueParser::new();
    let variable = std::env::var_os("SUTRA_JSON");
    flag || variable.is_some_and(|value| {
        parser.parse_ref(&Command::new("sutra"), None, &value).unwrap_or(false)
    })
}
