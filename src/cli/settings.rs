//! Where arguments come from: flags first, then `SUTRA_…` variables, then a TOML file.
//!
//! Which file: the one that `--config` or SUTRA_CONFIG names; else, for the commands that run until
//! they are told to stop, ./sutra.toml, and for all others the user's own. So no folder that a
//! client is called in can send it elsewhere. A file that nobody has named, and that others may
//! change, is refused.
//!
//! The file's keys are the variables' names without `SUTRA_`, in lower case and with dashes, which
//! are the flags' (`server = "10.0.0.1:50050"`, `cores = 4`, `listen = ["127.0.0.1:50050"]`); those
//! of the grid have its name in front (`grid-agent-data = "/srv/agent"`). Each becomes the default
//! of its flag, after its own parser has accepted it: so the precedence and the wording of help are
//! clap's. A key that is no setting is an error that names key and file.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{BoolishValueParser, TypedValueParser};
use clap::{Arg, ArgAction, Command, CommandFactory, FromArgMatches};
use toml::Value;

use crate::args::Arguments;
use crate::exit::Failure;
use crate::text;

/// The longest settings file: each setting takes some dozens of bytes.
const MAX_FILE: u64 = 1 << 20;

/// The file's name, where nobody names another.
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
    fn of(words: &[&str]) -> Self {
        match words {
            ["serve", ..] | ["grid", "master" | "agent", ..] => Reader::Service,
            _ => Reader::Client,
        }
    }

    /// Its file where none is named, if there is one.
    fn file(self) -> Option<PathBuf> {
        let path = match self {
            Reader::Service => PathBuf::from(DEFAULT_FILE),
            Reader::Client => {
                let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
                let home = || Some(absolute(std::env::var_os("HOME")?)?.join(".config"));
                let folder = std::env::var_os("XDG_CONFIG_HOME").and_then(absolute).or_else(home)?;
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
        if let Some(problem) = distrust(found.uid(), found.gid(), found.mode(), found.is_symlink(), own) {
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
    // A link's own mode says nothing; one's own group has no other members on most hosts.
    let is_writable = mode & 0o002 != 0 || mode & 0o020 != 0 && group != own_group;
    (is_writable && !is_link).then(|| format!("can be changed by others (mode {:o})", mode & 0o777))
}

/// The words of the line that name a command: those before any that could be a value.
fn command_words(line: &[OsString]) -> Vec<&str> {
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

/// The process's arguments with the settings file's values behind them, and which file that was.
pub(crate) fn arguments() -> Result<(Arguments, Option<PathBuf>), Failure> {
    let line: Vec<OsString> = std::env::args_os().collect();
    let words = command_words(&line);
    let mut command = Arguments::command();
    // `config` tells of all files, and of what is wrong with them.
    let file =
        if words.first() == Some(&"config") { Ok(None) } else { file(Reader::of(&words), named(&line).as_deref()) };
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
            // Help is given all the same, of which the file changes no more than the defaults.
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
    let flag = std::env::args_os().skip(1).take_while(|word| word != "--").any(|word| word == "--json");
    let parser = BoolishValueParser::new();
    let variable = std::env::var_os("SUTRA_JSON");
    flag || variable.is_some_and(|value| parser.parse_ref(&Command::new("sutra"), None, &value).unwrap_or(false))
}

/// Each wait for a settings file that is a pipe takes no longer.
const PATIENCE: Duration = Duration::from_secs(10);

fn read(path: &Path) -> Result<String, Failure> {
    let text = text::read(path, MAX_FILE, PATIENCE)
        .and_then(|text| String::from_utf8(text).map_err(|error| std::io::Error::new(ErrorKind::InvalidData, error)));
    text.map_err(|error| Failure::Usage(format!("cannot read the settings file {}: {error}", path.display())))
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

fn with_file(command: Command, path: &Path, text: &str) -> Result<Command, Failure> {
    let wrong = |problem: String| Failure::Usage(format!("{}: {problem}", path.display()));
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        wrong(format!("line {}: {}", before.matches('\n').count() + 1, error.message().replace('\n', ", ")))
    })?;
    table.into_iter().try_fold(command, |command, (key, value)| {
        let Some(arg) = setting(&command, &key) else {
            let known = settings(&command);
            return Err(wrong(format!("{key:?} is no setting; settings are {}", known.join(", "))));
        };
        let values = accepted(arg, &value).map_err(|problem| wrong(format!("{key}: {problem}")))?;
        Ok(with_default(command, &key, &values))
    })
}

/// The key of the settings file that sets this flag, if one does.
fn key_of(arg: &Arg) -> Option<String> {
    let (flag, variable) = (arg.get_long()?, arg.get_env()?.to_str()?);
    let name = variable.strip_prefix("SUTRA_").map(|name| name.to_ascii_lowercase().replace('_', "-"));
    Some(name.unwrap_or_else(|| flag.to_owned()))
}

fn all_args(command: &Command) -> Vec<&Arg> {
    let inner = command.get_subcommands().flat_map(all_args);
    command.get_arguments().chain(inner).collect()
}

fn setting<'c>(command: &'c Command, key: &str) -> Option<&'c Arg> {
    all_args(command).into_iter().find(|arg| key_of(arg).as_deref() == Some(key))
}

fn settings(command: &Command) -> Vec<String> {
    let mut names: Vec<_> = all_args(command).into_iter().filter_map(key_of).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// What can be set other than by a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// In the settings file.
    pub(crate) key: String,
    /// In the environment.
    pub(crate) variable: String,
    /// What it is where nobody sets it; empty for nothing.
    pub(crate) default: String,
    /// The commands that read it.
    pub(crate) commands: Vec<String>,
}

impl Setting {
    /// Whether such commands read it.
    pub(crate) fn is_read_by(&self, reader: Reader) -> bool {
        self.commands.iter().any(|command| Reader::of(&command.split(' ').collect::<Vec<_>>()) == reader)
    }
}

/// All that can be set, by key.
pub(crate) fn list() -> Vec<Setting> {
    let command = Arguments::command();
    let mut found: Vec<Setting> = Vec::new();
    let mut all: Vec<(String, Vec<Arg>)> = Vec::new();
    for outer in command.get_subcommands() {
        let name = outer.get_name();
        all.push((name.into(), outer.get_arguments().cloned().collect()));
        for inner in outer.get_subcommands() {
            all.push((format!("{name} {}", inner.get_name()), inner.get_arguments().cloned().collect()));
        }
    }
    for (name, args) in &mut all {
        args.extend(command.get_arguments().filter(|arg| arg.is_global_set()).cloned());
        for arg in args.iter().filter(|arg| !arg.is_hide_set()) {
            let (Some(key), Some(variable)) = (key_of(arg), arg.get_env()) else { continue };
            let default: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
            let default = if arg.get_action().takes_values() { default.join(",") } else { "false".into() };
            let variable = variable.to_string_lossy().into_owned();
            match found.iter_mut().find(|setting| setting.key == key) {
                Some(setting) => {
                    setting.commands.push(name.clone());
                    if setting.default.is_empty() {
                        setting.default = default;
                    }
                }
                None => found.push(Setting { key, variable, default, commands: vec![name.clone()] }),
            }
        }
    }
    found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    found
}

/// What a file sets, as the command line would spell it; an error where a command would refuse it.
pub(crate) fn values(path: &Path) -> Result<Vec<(String, String)>, Failure> {
    let text = read(path)?;
    let command = Arguments::command();
    with_file(command.clone(), path, &text)?;
    let table: toml::Table = text.parse().unwrap_or_default();
    let spelled = |key: &str, value: &Value| Some(accepted(setting(&command, key)?, value).ok()?.join(","));
    Ok(table.iter().filter_map(|(key, value)| Some((key.clone(), spelled(key, value)?))).collect())
}

/// The value as the command line would spell it, if the flag takes it.
fn accepted(arg: &Arg, value: &Value) -> Result<Vec<String>, String> {
    let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => Ok(value.to_string()),
        _ => Err(format!("{value} is neither a text nor a number nor true or false")),
    };
    let values = match value {
        Value::Array(values) => values.iter().map(one).collect::<Result<Vec<_>, _>>()?,
        value => vec![one(value)?],
    };
    if !takes_value {
        return if matches!(value, Value::Boolean(_)) {
            Ok(values)
        } else {
            Err(format!("{value} is not true or false"))
        };
    }
    let long = arg.get_long().unwrap_or_default();
    let line = values.iter().map(|value| format!("--{long}={value}"));
    // The environment must not be asked again: the file's own value is what is checked here.
    let parser = Command::new("setting").no_binary_name(true).arg(arg.clone().env(None::<&str>).global(false));
    parser.try_get_matches_from(line).map(|_| values).map_err(|error| {
        let text = error.to_string();
        text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
    })
}

/// Makes `values` the default of every flag of this name that is a setting.
fn with_default(command: Command, key: &str, values: &[String]) -> Command {
    let change = |arg: Arg| {
        if key_of(&arg).as_deref() == Some(key) { arg.required(false).default_values(values.to_vec()) } else { arg }
    };
    command.mut_args(change).mut_subcommands(|subcommand| with_default(subcommand, key, values))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::args;
    use crate::grid::args::GridCommand;

    fn parse(file: &str, line: &[&str]) -> Result<Arguments, Failure> {
        let command = with_file(Arguments::command(), Path::new("some.toml"), file)?;
        Ok(Arguments::from_arg_matches(&command.try_get_matches_from(line)?)?)
    }

    fn server_of(arguments: Arguments) -> String {
        let args::Command::Query(query) = arguments.command else { panic!("query was asked for") };
        query.place.server.address
    }

    #[test]
    fn a_flag_goes_before_the_file_and_the_file_before_the_default() {
        let file = "server = \"file:1\"";
        assert_eq!(server_of(parse(file, &["sutra", "query", "dog"]).unwrap()), "file:1");
        assert_eq!(server_of(parse(file, &["sutra", "query", "dog", "--server", "flag:1"]).unwrap()), "flag:1");
        assert_eq!(server_of(parse("", &["sutra", "query", "dog"]).unwrap()), crate::target::DEFAULT_SERVER);
    }

    #[test]
    fn a_variable_goes_before_the_file() {
        // A variable that is always there stands in for SUTRA_SERVER: tests must not change their
        // process's environment.
        let command = Arguments::command().mut_subcommand("query", |query| {
            query.mut_arg("address", |arg| arg.env("PATH").default_value("default:1"))
        });
        let command = with_file(command, Path::new("some.toml"), "server = \"file:1\"").unwrap();
        let arguments = command.try_get_matches_from(["sutra", "query", "dog"]).unwrap();
        assert_eq!(server_of(Arguments::from_arg_matches(&arguments).unwrap()), std::env::var("PATH").unwrap());
    }

    #[test]
    fn every_kind_of_value_is_taken() {
        let file =
            "cores = 1\nlisten = [\"127.0.0.1:1\", \"[::1]:2\"]\nno-pin = true\njson = true\ndurability = \"os\"";
        let arguments = parse(file, &["sutra", "serve"]).unwrap();
        let args::Command::Serve(serve) = arguments.command else { panic!("serve was asked for") };
        assert!(serve.no_pin && arguments.common.json && serve.cores.is_some());
        assert_eq!((serve.listen.len(), serve.durability), (2, sutra_wire::Durability::Os));
    }

    #[test]
    fn the_grids_settings_are_no_other_commands() {
        let file =
            "data = \"/srv/store\"\ngrid-agent-data = \"/srv/agent\"\ngrid-agent-id = \"a\"\ngrid = \"10.0.0.1:7001\"";
        let arguments = parse(file, &["sutra", "grid", "agent"]).unwrap();
        let args::Command::Grid(grid) = arguments.command else { panic!("grid was asked for") };
        let GridCommand::Agent(agent) = grid.command else { panic!("agent was asked for") };
        assert_eq!((agent.data.to_str(), agent.master.as_str()), (Some("/srv/agent"), "10.0.0.1:7001"));
        let args::Command::Serve(serve) = parse(file, &["sutra", "serve"]).unwrap().command else { panic!("serve") };
        assert_eq!(serve.data.to_str(), Some("/srv/store"));
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_key_and_file() {
        let error = parse("sever = \"a:1\"", &["sutra", "health"]).unwrap_err();
        let line = error.problem().unwrap();
        assert!(line.contains("some.toml") && line.contains("\"sever\"") && line.contains("server"), "{line}");
        assert_eq!(error.code(), 2);
    }

    #[test]
    fn a_value_that_the_flag_would_refuse_is_an_error_that_names_key_and_file() {
        for (file, key) in
            [("durability = \"soon\"", "durability"), ("no-pin = 3", "no-pin"), ("data = { a = 1 }", "data")]
        {
            let line = parse(file, &["sutra", "health"]).unwrap_err().problem().unwrap();
            assert!(line.contains("some.toml") && line.contains(key), "{line}");
        }
    }

    #[test]
    fn flags_of_a_single_call_are_no_settings() {
        let known = settings(&Arguments::command());
        assert!(known.contains(&"idle-timeout".into()) && known.contains(&"namespace".into()), "{known:?}");
        assert!(!known.iter().any(|name| name == "config" || name == "limit" || name == "duration"), "{known:?}");
    }

    #[test]
    fn a_file_that_others_may_change_is_not_trusted() {
        let (own, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        assert_eq!(distrust(own, group, 0o100_644, false, own), None);
        assert_eq!(distrust(own, group, 0o100_664, false, own), None);
        assert_eq!(distrust(own, group, 0o120_777, true, own), None);
        for (owner, group, mode) in [(own + 1, group, 0o644), (own, group, 0o646), (own, group + 1, 0o664)] {
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
        for words in ["sutra serve", "sutra --log info serve", "sutra --json grid master", "sutra grid agent --id a"] {
            assert_eq!(reader(words), Reader::Service, "{words}");
        }
        for words in ["sutra", "sutra query serve", "sutra --config serve query dog", "sutra grid status"] {
            assert_eq!(reader(words), Reader::Client, "{words}");
        }
    }

    /// The commands that read it, in a word or two.
    fn readers(setting: &Setting) -> String {
        match setting.commands.as_slice() {
            all if all.iter().any(|command| command == "config") => "every command".into(),
            few if few.len() <= 2 => few.join(", "),
            grid if grid.iter().all(|command| command.starts_with("grid ")) => "grid commands".into(),
            _ => "clients".into(),
        }
    }

    /// The table in README is this list.
    #[test]
    fn readme_lists_every_setting() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
        let readme = fs::read_to_string(path).unwrap();
        let (_, after) = readme.split_once("| setting | variable | default | read by |\n|---|---|---|---|\n").unwrap();
        let written: Vec<&str> = after.lines().take_while(|line| line.starts_with('|')).collect();
        let row = |setting: &Setting| {
            let default = if setting.default.is_empty() { "–".into() } else { format!("`{}`", setting.default) };
            format!("| `{}` | `{}` | {default} | {} |", setting.key, setting.variable, readers(setting))
        };
        let right: Vec<String> = list().iter().map(row).collect();
        assert_eq!(written, right, "the right rows:\n{}", right.join("\n"));
    }

    #[test]
    fn the_file_is_found_on_the_line_in_both_spellings() {
        let line = |words: &[&str]| named_file(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(line(&["sutra", "query", "--config", "a.toml"]), Some("a.toml".into()));
        assert_eq!(line(&["sutra", "--config=b.toml", "query"]), Some("b.toml".into()));
        assert_eq!(line(&["sutra", "query", "--", "--config"]), None);
    }
}
