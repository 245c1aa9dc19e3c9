//! What a settings file sets: each of its keys is the default of a flag.
//!
//! The keys are the variables' names without `SUTRA_`, in lower case and with dashes, which are the
//! flags' (`server = "10.0.0.1:50050"`, `cores = 4`, `listen = ["127.0.0.1:50050"]`). Those of the
//! grid have its name in front (`grid-agent-data = "/srv/agent"`). A value is accepted by its
//! flag's own parser. An unknown key is an error that names key and file.

use std::path::Path;

use clap::{Arg, ArgAction, Command};
use toml::Value;

use crate::exit::Failure;

/// The command with the defaults that the file at `path`, of this text, gives its flags.
pub(super) fn with_file(command: Command, path: &Path, text: &str) -> Result<Command, Failure> {
    let wrong = |problem: String| Failure::Usage(format!("{}: {problem}", path.display()));
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        wrong(format!(
            "line {}: {}",
            before.matches('\n').count() + 1,
            error.message().replace('\n', ", ")
        ))
    })?;
    table.into_iter().try_fold(command, |command, (key, value)| {
        let Some(arg) = setting(&command, &key) else {
            let known = settings(&command);
            return Err(wrong(format!(
                "{key:?} is not a setting; settings are {}",
                known.join(", ")
            )));
        };
        let values = accepted(arg, &value).map_err(|problem| wrong(format!("{key}: {problem}")))?;
        Ok(with_default(command, &key, &values))
    })
}

/// The key of the settings file that sets this flag, if one does.
pub(super) fn key_of(arg: &Arg) -> Option<String> {
    let (flag, variable) = (arg.get_long()?, arg.get_env()?.to_str()?);
    let name =
        variable.strip_prefix("SUTRA_").map(|name| name.to_ascii_lowercase().replace('_', "-"));
    Some(name.unwrap_or_else(|| flag.to_owned()))
}

fn all_args(command: &Command) -> Vec<&Arg> {
    let inner = command.get_subcommands().flat_map(all_args);
    command.get_arguments().chain(inner).collect()
}

/// The flag that a key sets.
pub(super) fn setting<'c>(command: &'c Command, key: &str) -> Option<&'c Arg> {
    all_args(command).into_iter().find(|arg| key_of(arg).as_deref() == Some(key))
}

/// All keys.
pub(super) fn settings(command: &Command) -> Vec<String> {
    let mut names: Vec<_> = all_args(command).into_iter().filter_map(key_of).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The value as the command line would spell it, if the flag takes it.
pub(super) fn accepted(arg: &Arg, value: &Value) -> Result<Vec<String>, String> {
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
    let parser = Command::new("setting")
        .no_binary_name(true)
        .arg(arg.clone().env(None::<&str>).global(false));
    parser.try_get_matches_from(line).map(|_| values).map_err(|error| {
        let text = error.to_string();
        text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
    })
}

/// Makes `values` the default of every flag of this name that is a setting.
fn with_default(command: Command, key: &str, values: &[String]) -> Command {
    let change = |arg: Arg| {
        if key_of(&arg).as_deref() == Some(key) {
            arg.required(false).default_values(values.to_vec())
        } else {
            arg
        }
    };
    command.mut_args(change).mut_subcommands(|subcommand| with_default(subcommand, key, values))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::SocketAddr;
    use std::path::PathBuf;

    use clap::{ArgMatches, CommandFactory, FromArgMatches};
    use sutra_wire::Durability;

    use super::*;
    use crate::args::{self, Arguments};
    use crate::grid::args::GridCommand;

    fn parse(file: &str, line: &[&str]) -> Result<Arguments, Failure> {
        let command = with_file(Arguments::command(), Path::new("some.toml"), file)?;
        Ok(Arguments::from_arg_matches(&command.try_get_matches_from(line)?)?)
    }

    /// What `sutra serve` reads where this is the file.
    fn serve(file: &str) -> ArgMatches {
        let command = with_file(Arguments::command(), Path::new("some.toml"), file).unwrap();
        command.try_get_matches_from(["sutra", "serve"]).unwrap().remove_subcommand().unwrap().1
    }

    fn server_of(arguments: Arguments) -> String {
        let args::Command::Query(query) = arguments.command else { panic!("query was asked for") };
        query.place.server.address
    }

    #[test]
    fn a_flag_goes_before_the_file_and_the_file_before_the_default() {
        let file = "server = \"file:1\"";
        assert_eq!(server_of(parse(file, &["sutra", "query", "dog"]).unwrap()), "file:1");
        assert_eq!(
            server_of(parse(file, &["sutra", "query", "dog", "--server", "flag:1"]).unwrap()),
            "flag:1"
        );
        assert_eq!(
            server_of(parse("", &["sutra", "query", "dog"]).unwrap()),
            crate::target::DEFAULT_SERVER
        );
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
        assert_eq!(
            server_of(Arguments::from_arg_matches(&arguments).unwrap()),
            std::env::var("PATH").unwrap()
        );
    }

    #[test]
    fn every_kind_of_value_is_taken() {
        let file = "cores = 1\nlisten = [\"127.0.0.1:1\", \"[::1]:2\"]\nno-pin = true\n\
                    json = true\ndurability = \"os\"";
        let serve = serve(file);
        assert!(serve.get_flag("no_pin") && serve.get_flag("json") && serve.contains_id("cores"));
        assert_eq!(serve.get_many::<SocketAddr>("listen").unwrap().len(), 2);
        assert_eq!(serve.get_one("durability"), Some(&Durability::Os));
    }

    #[test]
    fn the_grids_settings_are_no_other_commands() {
        let file = "data = \"/srv/store\"\ngrid-agent-data = \"/srv/agent\"\n\
                    grid-agent-id = \"a\"\ngrid = \"10.0.0.1:7001\"";
        let arguments = parse(file, &["sutra", "grid", "agent"]).unwrap();
        let args::Command::Grid(grid) = arguments.command else { panic!("grid was asked for") };
        let GridCommand::Agent(agent) = grid.command else { panic!("agent was asked for") };
        assert_eq!(
            (agent.data.to_str(), agent.master.as_str()),
            (Some("/srv/agent"), "10.0.0.1:7001")
        );
        assert_eq!(serve(file).get_one::<PathBuf>("data"), Some(&"/srv/store".into()));
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_key_and_file() {
        let error = parse("sever = \"a:1\"", &["sutra", "health"]).unwrap_err();
        let line = error.problem().unwrap();
        assert!(
            line.contains("some.toml") && line.contains("\"sever\"") && line.contains("server"),
            "{line}"
        );
        assert_eq!(error.code(), 2);
    }

    #[test]
    fn a_value_that_the_flag_would_refuse_is_an_error_that_names_key_and_file() {
        for (file, key) in [
            ("durability = \"soon\"", "durability"),
            ("no-pin = 3", "no-pin"),
            ("data = { a = 1 }", "data"),
        ] {
            let line = parse(file, &["sutra", "health"]).unwrap_err().problem().unwrap();
            assert!(line.contains("some.toml") && line.contains(key), "{line}");
        }
    }

    #[test]
    fn flags_of_a_single_call_are_no_settings() {
        let known = settings(&Arguments::command());
        assert!(
            known.contains(&"idle-timeout".into()) && known.contains(&"namespace".into()),
            "{known:?}"
        );
        assert!(
            !known.iter().any(|name| name == "config" || name == "limit" || name == "duration"),
            "{known:?}"
        );
    }
}
