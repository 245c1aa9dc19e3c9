//! The command line as clap reads it. A flag that names a `SUTRA_…` variable is also a key of the
//! settings file (`settings`).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use sutra_server::{Cores, Numbering, Spin};
use sutra_wire::{AssociationKind, Durability, IdRule};

use crate::exit::Failure;
use crate::graph_args::{Export, Neighbors, Path, Search};
use crate::grid::args::{Grid, GridCommand};
use crate::target::{DEFAULT_SERVER, Named, Place, Server};
use crate::values::{OptionalPort, address, count, duration, some_duration};

/// The same for its compat port.
const DEFAULT_COMPAT: &str = "127.0.0.1:50051";

/// Storage server for a graph of concepts, and its client.
#[derive(Debug, Parser)]
#[command(
    name = "sutra",
    version,
    propagate_version = true,
    after_help = "Examples:\n  sutra serve --import tests/data/wordnet\n  sutra query n02084071\n\n\
    Exit codes:\n  \
    0    done, found, healthy\n  \
    1    the answer is no: not found, not healthy, some lines of an import bad\n  \
    2    wrong usage: a flag, a name, a setting or an input that can't be meant\n  \
    3    cannot reach the server, or it refused, or this host did\n  \
    130  ended by Ctrl-C; 128 and its number by another signal: 143 by SIGTERM\n\n\
    Settings come from flags, then SUTRA_… variables, then a file; `sutra config` shows each, and from where."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Args, Debug)]
pub(crate) struct Common {
    /// Settings file; SUTRA_CONFIG names it as well. Without: ./sutra.toml for serve, grid master
    /// and grid agent, ~/.config/sutra/sutra.toml for all other commands
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// What is logged to standard error: error, warn, info, debug, trace, or a list like
    /// info,sutra_net=debug
    #[arg(long, global = true, env = "SUTRA_LOG", value_name = "LEVEL")]
    pub(crate) log: Option<String>,
    /// Answer in JSON, one document a result
    #[arg(long, global = true, env = "SUTRA_JSON", value_parser = BoolishValueParser::new())]
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
    /// Delete a concept and its associations
    #[command(after_help = "Example:\n  sutra delete dog")]
    Delete(Named),
    /// List a concept's neighbours
    Neighbors(Neighbors),
    /// Show how two concepts are connected
    Path(Path),
    /// Find the concepts that are most like one, or like a vector
    Search(Search),
    /// Show what a server has and has done
    #[command(after_help = "Example:\n  sutra stats --json")]
    Stats(Server),
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
    /// Measure a running server
    Bench(Bench),
    /// Show each setting, and where it comes from
    #[command(after_help = "Example:\n  sutra config --json")]
    Config,
    /// Run storage servers on many hosts, and know where they are
    Grid(Grid),
}

impl Command {
    /// Whether it runs until it is told to stop.
    pub(crate) fn is_service(&self) -> bool {
        let is_grid_service = |grid: &Grid| matches!(grid.command, GridCommand::Master(_) | GridCommand::Agent(_));
        matches!(self, Command::Serve(_)) || matches!(self, Command::Grid(grid) if is_grid_service(grid))
    }
}

impl Command {
    /// Refuses numbers that no server would take, before one is asked.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self {
            Command::Learn(learn) => {
                from_zero("--strength", learn.strength)?;
                share("--confidence", learn.confidence)
            }
            Command::Associate(associate) => share("--confidence", associate.confidence),
            Command::Neighbors(neighbors) => share("--min-confidence", neighbors.min_confidence),
            Command::Search(search) => {
                from_zero("--min-strength", search.min_strength)?;
                share("--min-confidence", search.min_confidence)
            }
            _ => Ok(()),
        }
    }
}

fn from_zero(flag: &str, number: f32) -> Result<(), Failure> {
    if number.is_finite() && number >= 0.0 {
        return Ok(());
    }
    Err(Failure::Usage(format!("{flag}: {number} is no number from 0 on")))
}

fn share(flag: &str, number: f32) -> Result<(), Failure> {
    if (0.0..=1.0).contains(&number) {
        return Ok(());
    }
    Err(Failure::Usage(format!("{flag}: {number} is no number from 0 to 1")))
}

#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  sutra serve --data sutra-data --listen 127.0.0.1:50050 --import tests/data/wordnet"
)]
pub(crate) struct Serve {
    /// The data folder; made where it does not exist
    #[arg(long, env = "SUTRA_DATA", value_name = "FOLDER", default_value = "sutra-data")]
    pub(crate) data: PathBuf,
    /// Addresses to listen on, separated by commas
    #[arg(long, env = "SUTRA_LISTEN", value_name = "ADDRESS", value_delimiter = ',', default_value = DEFAULT_SERVER, value_parser = address)]
    pub(crate) listen: Vec<SocketAddr>,
    /// Addresses for clients of the old protocol (msgpack and bincode), separated by commas, or
    /// off. An address is of IPv4 or of IPv6: 0.0.0.0:50051,[::]:50051 is every address of both
    #[allow(rustdoc::broken_intra_doc_links, reason = "the help prints it as it stands")]
    #[arg(long, env = "SUTRA_COMPAT", value_name = "ADDRESS|off", value_delimiter = ',', default_value = DEFAULT_COMPAT)]
    pub(crate) compat: Vec<OptionalPort>,
    /// The numbers of bincode variants that those clients use: of the first TCP release, or of
    /// those from late October 2025 on
    #[arg(long, env = "SUTRA_COMPAT_NUMBERING", value_enum, default_value = "first")]
    pub(crate) compat_numbering: CompatNumbering,
    /// How names become ids in a store that is made: md5-or-hex, or legacy for what an old server
    /// filled; kept in the store
    #[arg(long, env = "SUTRA_ID_RULE", value_name = "RULE")]
    pub(crate) id_rule: Option<IdRule>,
    /// How many CPUs serve, or which (0,2,4-7; "3," for CPU 3 alone); all that the process may use
    /// by default
    #[arg(long, env = "SUTRA_CORES", value_name = "N|LIST", allow_hyphen_values = true)]
    pub(crate) cores: Option<Cores>,
    /// When a write is acknowledged: when it is on stable storage (always), or when the system has
    /// it and stable storage follows within so many milliseconds (interval=MS) or some time (os)
    #[arg(long, env = "SUTRA_DURABILITY", value_name = "always|interval=MS|os", default_value = "always")]
    pub(crate) durability: Durability,
    /// Whether a core with nothing to do looks for work before it sleeps: faster answers for CPU
    /// time
    #[arg(long, env = "SUTRA_SPIN", value_enum, default_value = "off")]
    pub(crate) spin: SpinMode,
    /// Import this folder's .jsonl files while serving: what the store does not have yet. A file
    /// that it was given before is passed over, so that changes and deletions outlive a restart;
    /// `sutra import` imports again, and replaces
    #[arg(long, env = "SUTRA_IMPORT", value_name = "FOLDER")]
    pub(crate) import: Option<PathBuf>,
    /// Close connections that are silent for this long (90, 30s, 5m); never by default
    #[arg(long, env = "SUTRA_IDLE_TIMEOUT", value_name = "TIME", value_parser = some_duration, allow_hyphen_values = true)]
    pub(crate) idle_timeout: Option<Duration>,
    /// Leave the threads to the scheduler, for hosts with a CPU quota
    #[arg(long, env = "SUTRA_NO_PIN", value_parser = BoolishValueParser::new())]
    pub(crate) no_pin: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompatNumbering {
    /// GetStats is request 6
    First,
    /// QueryByMetadata is request 6, GetStats 7
    Later,
}

impl From<CompatNumbering> for Numbering {
    fn from(numbering: CompatNumbering) -> Self {
        match numbering {
            CompatNumbering::First => Numbering::First,
            CompatNumbering::Later => Numbering::Later,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SpinMode {
    /// Sleep at once
    Off,
    /// Look for a while, then sleep
    Adaptive,
    /// Never sleep
    Always,
}

impl From<SpinMode> for Spin {
    fn from(mode: SpinMode) -> Self {
        match mode {
            SpinMode::Off => Spin::Off,
            SpinMode::Adaptive => Spin::Adaptive,
            SpinMode::Always => Spin::Always,
        }
    }
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sutra learn dog \"a domesticated carnivore\"\n  \
    sutra learn dog \"a domesticated carnivore\" --namespace pets --embedding \"[0.1, 0.2, 0.3]\"\n\n\
    A learn is the whole record: learning a concept again replaces its content, embedding,\n\
    strength and confidence, also where they are not given; only its associations stay. What was\n\
    replaced is said, as it was just before. A learn that would drop an embedding is refused\n\
    without --without-embedding. Learned by its id, a concept keeps its name. The embeddings of\n\
    a namespace all have the same number of numbers.")]
pub(crate) struct Learn {
    #[command(flatten)]
    pub(crate) named: Named,
    /// Its text
    pub(crate) content: String,
    /// Its embedding: a JSON list of numbers, or a file that holds one
    #[arg(long, value_name = "FILE|JSON", allow_hyphen_values = true)]
    pub(crate) embedding: Option<String>,
    /// Drop the embedding that the concept has
    #[arg(long, conflicts_with = "embedding")]
    pub(crate) without_embedding: bool,
    /// Its strength, not negative
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0, allow_hyphen_values = true)]
    pub(crate) strength: f32,
    /// Its confidence, 0 to 1
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0, allow_hyphen_values = true)]
    pub(crate) confidence: f32,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sutra associate dog animal --type hierarchical --confidence 0.9\n\n\
    An association is known by its two ends and its type: storing it again replaces its\n\
    confidence, also where none is given. What was replaced is said, as it was just before.")]
pub(crate) struct Associate {
    /// The concept that it leads from: name or id
    pub(crate) source: String,
    /// The concept that it leads to: name or id
    pub(crate) target: String,
    /// What it means: semantic, causal, temporal, hierarchical, compositional, or a number
    #[arg(long = "type", value_name = "TYPE", default_value = "semantic", allow_hyphen_values = true)]
    pub(crate) kind: AssociationKind,
    /// Its confidence, 0 to 1
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0, allow_hyphen_values = true)]
    pub(crate) confidence: f32,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sutra import tests/data/wordnet\n\n\
    A line is a concept {\"id\": NAME, \"content\": TEXT, \"embedding\"?: [..], \"strength\"?, \"confidence\"?, \"namespace\"?}\n\
    or an association {\"source\": NAME, \"target\": NAME, \"type\"?: NAME|NUMBER, \"confidence\"?, \"namespace\"?}.\n\
    Embeddings may lie beside: FILE.npy for FILE.jsonl, or embeddings.npy (real numbers of any type, row i for concept i).\n\
    The first line with an embedding decides how many numbers those of its namespace have.\n\
    Files may be compressed by gzip or zstd (.jsonl.gz, .jsonl.zst), in UTF-8 or UTF-16. Pipes and standard input are read\n\
    to their end into a temporary file first; --timeout says how long each wait for them may take.\n\
    Importing again writes only what is new or differs, and replaces what differs as a whole: a\n\
    line without an embedding drops the one that is stored. A line that names a concept by its\n\
    id leaves it its name. Of lines about the same concept or\n\
    association the last one counts. Ctrl-C ends it and says what was done.")]
pub(crate) struct Import {
    /// .jsonl files, folders of them, pipes, or - for standard input
    #[arg(required = true, value_name = "FILE|FOLDER|-")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sutra bench query --connections 64 --depth 1 --duration 2\n  \
    sutra bench learn --connections 32 --dimension 384 --duration 2 --profile\n\n\
    Records are prepared first, in a namespace of their own, and deleted at the end. Ctrl-C ends it, shows what was\n\
    measured until then and deletes them as well. The load runs on one thread of this host.")]
pub(crate) struct Bench {
    /// What is asked for
    #[arg(value_enum, default_value = "query")]
    pub(crate) operation: Operation,
    /// Connections
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = count::<1, 1_000_000>, allow_hyphen_values = true)]
    pub(crate) connections: u64,
    /// Requests in flight on each
    #[arg(long, value_name = "D", default_value_t = 1, value_parser = count::<1, 1_000_000>, allow_hyphen_values = true)]
    pub(crate) depth: u64,
    /// How long is measured (10, 30s, 5m)
    #[arg(long, value_name = "TIME", default_value = "10", value_parser = some_duration, allow_hyphen_values = true)]
    pub(crate) duration: Duration,
    /// Load before anything is measured
    #[arg(long, value_name = "TIME", default_value = "1", value_parser = duration, allow_hyphen_values = true)]
    pub(crate) warmup: Duration,
    /// Never sleep while waiting for a reply
    #[arg(long)]
    pub(crate) spin: bool,
    /// Tell where a request's time goes on the server, by its own clock, warm-up included; other
    /// clients' requests are in it
    #[arg(long)]
    pub(crate) profile: bool,
    /// Records to ask for, or to write over and over
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10_000,
        value_parser = count::<16, 10_000_000>,
        allow_hyphen_values = true
    )]
    pub(crate) records: u64,
    /// Bytes of content of each
    #[arg(
        long,
        value_name = "N",
        default_value_t = 200,
        value_parser = count::<0, { 8 << 20 }>,
        allow_hyphen_values = true
    )]
    pub(crate) content_bytes: u64,
    /// Numbers in the embedding of each
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = count::<0, 65_536>, allow_hyphen_values = true)]
    pub(crate) dimension: u64,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Operation {
    /// Read concepts
    Query,
    /// Write concepts
    Learn,
    /// Write associations
    Associate,
    /// Read neighbours
    Neighbors,
    /// Ask for the server's health
    Health,
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
            all.extend(command.get_subcommands().map(|inner| (format!("{name} {}", inner.get_name()), inner.clone())));
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
            (&["learn", "a", "b", "--strength", "-x"][..], "invalid float"),
            (&["neighbors", "a", "--limit", "-1"], "a whole number from 0 on"),
            (&["path", "a", "b", "--max-depth", "-1"], "a whole number from 0 to 4294967295"),
            (&["path", "a", "b", "--max-depth", "4294967296"], "a whole number from 0 to 4294967295"),
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
            (&["bench", "--duration", "-1"], "is no time"),
            (&["bench", "--duration", "0"], "it is zero; write a time above it"),
            (&["health", "--timeout", "0"], "it is zero; write a time above it"),
            (&["serve", "--listen", "localhost:5"], "localhost is a name; expected an IP address"),
            (&["serve", "--compat", "localhost:5"], "localhost is a name; expected an IP address"),
            (&["serve", "--compat", "127.0.0.1:5,on"], "[::1]:50050, or off alone"),
            (&["serve", "--listen", "5"], "invalid value '5' for '--listen <ADDRESS>': expected an IP address"),
        ] {
            let error = Arguments::try_parse_from(["sutra"].iter().chain(line)).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        let line = ["sutra", "learn", "a", "b", "--strength", "-1", "--embedding", "-1"];
        let Command::Learn(learn) = Arguments::try_parse_from(line).unwrap().command else { panic!("learn") };
        assert_eq!((learn.strength, learn.embedding.as_deref()), (-1.0, Some("-1")));
    }

    #[test]
    fn cores_spin_and_listen_read_as_the_server_takes_them() {
        let line =
            ["sutra", "serve", "--cores", "0,2-3", "--spin", "adaptive", "--listen", "127.0.0.1:1,[::1]:2", "--no-pin"];
        let Command::Serve(serve) = Arguments::try_parse_from(line).unwrap().command else { panic!("serve") };
        assert_eq!(serve.cores, Some(Cores::List(vec![0, 2, 3])));
        assert_eq!((Spin::from(serve.spin), serve.listen.len(), serve.no_pin), (Spin::Adaptive, 2, true));
    }
}
