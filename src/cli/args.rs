//! The command line as clap reads it: the commands, and the flags that all of them have.
//!
//! A command's own flags are in its file. A flag that names a `SUTRA_…` variable is also a key of
//! the settings file (`settings`).

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand};

use crate::associate::Associate;
use crate::backup::Backup;
use crate::bench::args::Bench;
use crate::completions::Completions;
use crate::delete::Delete;
use crate::dissociate::Dissociate;
use crate::doctor::Doctor;
use crate::export::Export;
use crate::grid::args::{Grid, GridCommand};
use crate::import::Import;
use crate::learn::Learn;
use crate::man::Man;
use crate::neighbors::Neighbors;
use crate::path::Path;
use crate::repair::Repair;
use crate::restore::Restore;
use crate::search::Search;
use crate::serve::Serve;
use crate::simulate::Simulate;
use crate::slow::Slow;
use crate::stats::Stats;
use crate::target::{COMMON, Named, Server};
use crate::top::Top;
use crate::tune::Tune;
use crate::verify::Verify;

/// Storage server for a graph of concepts, and its client.
#[derive(Debug, Parser)]
#[command(
    name = "sutra",
    version,
    propagate_version = true,
    after_help = "Examples:\n  sutra serve --import tests/data/wordnet\n  sutra query n02084071\n\n\
    Exit codes:\n  \
    0    done, found, healthy\n  \
    1    the answer is no: not found, not healthy, some lines of an import bad, a warning of \
    doctor, a damaged store\n  \
    2    wrong usage: a bad flag, name, setting or input\n  \
    3    the server can't be reached, or it refused, or this host did\n  \
    130  ended by Ctrl-C; by another signal 128 plus its number, so 143 by SIGTERM\n\n\
    Settings come from flags, then SUTRA_… variables, then a file. `sutra config` shows each, \
    and where it comes from."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Args, Debug)]
pub(crate) struct Common {
    /// The settings file, which SUTRA_CONFIG names as well. By default ./sutra.toml for serve, grid
    /// master and grid agent, and ~/.config/sutra/sutra.toml for all other commands
    #[arg(long, global = true, value_name = "FILE", help_heading = COMMON, display_order = 106)]
    pub(crate) config: Option<PathBuf>,
    /// What is logged to standard error: error, warn, info, debug, trace, or a list like
    /// info,sutra_net=debug
    #[arg(
        long,
        global = true,
        env = "SUTRA_LOG",
        value_name = "LEVEL",
        help_heading = COMMON,
        display_order = 105
    )]
    pub(crate) log: Option<String>,
    /// Answer in JSON, one document for each result
    #[arg(
        long,
        global = true,
        env = "SUTRA_JSON",
        value_parser = BoolishValueParser::new(),
        help_heading = COMMON,
        display_order = 104
    )]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a server
    Serve(Serve),
    /// Store a concept, or replace it as a whole
    Learn(Learn),
    /// Read a concept
    #[command(after_help = "Example:\n  sutra query n02084071")]
    Query(Named),
    /// Store an association between two concepts
    Associate(Associate),
    /// Remove an association
    Dissociate(Dissociate),
    /// Delete a concept and its associations
    Delete(Delete),
    /// List a concept's neighbours
    Neighbors(Neighbors),
    /// Show how two concepts are connected
    Path(Path),
    /// Find the concepts that are most like one, or like a vector
    Search(Search),
    /// Show what a server has and has done
    Stats(Stats),
    /// Watch what a server does, on a screen
    Top(Top),
    /// Show the last requests that took long, and what each stage took
    Slow(Slow),
    /// Make everything written so far durable
    #[command(after_help = "Example:\n  sutra flush")]
    Flush(Server),
    /// Ask whether a server can do its work
    #[command(after_help = "Example:\n  sutra health && echo well")]
    Health(Server),
    /// Store concepts and associations from files
    Import(Import),
    /// Write a concept's neighbourhood, or a whole namespace, to a file
    Export(Export),
    /// Check that a store's files are as they were written
    Verify(Verify),
    /// Salvage what is whole of a damaged store into a new one
    Repair(Repair),
    /// Take a backup of a running server
    Backup(Backup),
    /// Make a store of a backup
    Restore(Restore),
    /// Measure a running server
    Bench(Bench),
    /// Look for what a store could lose: simulated servers, killed and let down by their disks
    Simulate(Simulate),
    /// Look at this host: what is wrong, why it matters, and what mends it
    Doctor(Doctor),
    /// Change settings of this host for the better, and back
    Tune(Tune),
    /// Show each setting, and where it comes from
    #[command(after_help = "Example:\n  sutra config --json")]
    Config,
    /// Print what a shell needs to complete this command line
    Completions(Completions),
    /// Print the manual page, or write those of all commands
    Man(Man),
    /// Run storage servers on many hosts, and know where they are
    Grid(Grid),
}

impl Command {
    /// What it is called in its log where it runs until it is told to stop.
    pub(crate) fn service(&self) -> Option<&'static str> {
        match self {
            Command::Serve(_) => Some("sutra-server"),
            Command::Grid(grid) => match grid.command {
                GridCommand::Master(_) => Some("sutra-grid-master"),
                GridCommand::Agent(_) => Some("sutra-grid-agent"),
                _ => None,
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    /// All commands, those within others too, and how each is called.
    fn commands() -> Vec<(String, clap::Command)> {
        let mut all = Vec::new();
        for command in Arguments::command().get_subcommands() {
            let name = format!("sutra {}", command.get_name());
            all.extend(
                command
                    .get_subcommands()
                    .map(|inner| (format!("{name} {}", inner.get_name()), inner.clone())),
            );
            all.push((name, command.clone()));
        }
        all
    }

    #[test]
    fn every_command_shows_an_example() {
        for (name, command) in commands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&name), "{name}");
        }
    }

    /// A line ends where the next word has no room, a paragraph ends, or a list goes on.
    #[test]
    fn help_is_wrapped_by_its_width_and_not_by_hand() {
        const COLUMNS: usize = 100;
        let mut all = Arguments::command();
        all.build();
        let inner =
            |command: &clap::Command| command.get_subcommands().cloned().collect::<Vec<_>>();
        let outer = inner(&all);
        let commands =
            outer.iter().flat_map(inner).chain(outer.iter().cloned()).chain([all.clone()]);
        for command in commands {
            let name = command.get_name().to_owned();
            let help = command.term_width(COLUMNS).render_long_help().to_string();
            let lines: Vec<&str> = help.lines().collect();
            for (line, next) in lines.iter().zip(&lines[1..]) {
                let (text, following) = (line.trim(), next.trim());
                let is_list = ["-", "[", "sutra "].iter().any(|item| following.starts_with(item));
                let is_table = following.contains("  ") || text.contains("  ");
                let indent = |line: &str| line.len() - line.trim_start().len();
                if text.is_empty()
                    || following.is_empty()
                    || is_list
                    || is_table
                    || indent(line) != indent(next)
                {
                    continue;
                }
                let word = following.split(' ').next().map_or(0, |word| word.chars().count());
                assert!(
                    line.chars().count() + 1 + word > COLUMNS,
                    "{name}: {line:?} ends before {next:?}"
                );
            }
        }
    }

    #[test]
    fn every_example_is_a_valid_command_line() {
        for (_, command) in commands() {
            let help = command.get_after_help().unwrap().to_string();
            let example = help.lines().nth(1).unwrap().split(" && ").next().unwrap();
            let mut words = Vec::new();
            for (at, part) in example.split('"').enumerate() {
                if at % 2 == 0 { words.extend(part.split_whitespace()) } else { words.push(part) }
            }
            Arguments::try_parse_from(words).unwrap();
        }
    }

    #[test]
    fn negative_values_get_to_the_checks_of_their_flags() {
        for (line, says) in [
            (&["learn", "a", "b", "--strength", "-x"][..], "expected a number from 0 on"),
            (&["neighbors", "a", "--limit", "-1"], "a whole number from 0 on"),
            (&["path", "a", "b", "--max-depth", "-1"], "a whole number from 0 to 4294967295"),
            (
                &["path", "a", "b", "--max-depth", "4294967296"],
                "a whole number from 0 to 4294967295",
            ),
            (&["path", "a", "b", "--alternatives", "0"], "a whole number from 1 to 64"),
            (&["path", "a", "b", "--alternatives", "2", "--most-confident"], "cannot be used with"),
            (&["path", "a", "b", "--direction", "up"], "both, out, in"),
            (&["path", "a"], "<TO>"),
            (&["search"], "--like <NAME>|--vector <FILE|JSON>"),
            (&["search", "--like", "a", "--vector", "[1]"], "cannot be used with"),
            (&["search", "--like", "a", "-k", "0"], "a whole number from 1 to 1000"),
            (&["search", "--like", "a", "-k", "1001"], "a whole number from 1 to 1000"),
            (&["search", "--like", "a", "--near", "b"], "--within <N>"),
            (&["search", "--like", "a", "--within", "1"], "--near <NAME>"),
            (&["export", "a"], "--format <FORMAT>"),
            (&["export", "--format", "jsonl", "--within", "1"], "<NAME>"),
            (&["export", "a", "--format", "png"], "graphml, dot, jsonl"),
            (&["associate", "a", "b", "--type", "-3"], "neither a number nor"),
            (&["bench", "--connections", "-1"], "a whole number from 1 to"),
            (&["bench", "--duration", "-1"], "is not a time"),
            (&["bench", "--duration", "0"], "it is zero; write a time above it"),
            (&["health", "--timeout", "0"], "it is zero; write a time above it"),
            (&["serve", "--listen", "localhost:5"], "localhost is a name; expected an IP address"),
            (&["serve", "--compat", "localhost:5"], "localhost is a name; expected an IP address"),
            (&["serve", "--slow", "-1"], "write 90, 500us, 500ms, 30s, 5m or 2h; or off"),
            (&["serve", "--compat", "127.0.0.1:5,on"], "[::1]:50050, or off alone"),
            (
                &["serve", "--listen", "5"],
                "invalid value '5' for '--listen <ADDRESS>': expected an IP address",
            ),
        ] {
            let error =
                Arguments::try_parse_from(["sutra"].iter().chain(line)).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
