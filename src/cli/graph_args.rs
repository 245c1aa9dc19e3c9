//! The arguments of the commands that read the graph: neighbors, path, search, export.

use clap::{ArgGroup, Args, ValueEnum};
use sutra_client::{PathQuery, SearchQuery};
use sutra_wire::{AssociationKind, Direction, limits};

use crate::target::{Named, Place};
use crate::values::count;

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sutra neighbors n02084071 --type hierarchical --direction in --limit 10\n\n\
    Each line is an association: a neighbour with several has a line for each.")]
pub(crate) struct Neighbors {
    #[command(flatten)]
    pub(crate) named: Named,
    /// Only associations of these types, separated by commas
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',', allow_hyphen_values = true)]
    pub(crate) kinds: Vec<AssociationKind>,
    /// Only associations that lead this way
    #[arg(long, value_enum, default_value = "both")]
    pub(crate) direction: Way,
    /// Only associations of at least this confidence, 0 to 1
    #[arg(long, value_name = "NUMBER", default_value_t = 0.0, allow_hyphen_values = true)]
    pub(crate) min_confidence: f32,
    /// At most this many associations; 0 for all
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = count::<0, { u64::MAX }>, allow_hyphen_values = true)]
    pub(crate) limit: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// From either end
    Both,
    /// From source to target
    Out,
    /// From target to source
    In,
}

impl From<Way> for Direction {
    fn from(way: Way) -> Self {
        match way {
            Way::Both => Direction::Both,
            Way::Out => Direction::Out,
            Way::In => Direction::In,
        }
    }
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sutra path n02084071 n02264232 --max-depth 8\n\n\
    Each line is an association of the path: --> follows it from source to target, <-- against that.\n\
    Exits with 1 where there is no such path.")]
pub(crate) struct Path {
    /// Where it starts: name or id
    #[arg(value_name = "FROM")]
    pub(crate) start: String,
    /// Where it ends: name or id
    #[arg(value_name = "TO")]
    pub(crate) end: String,
    /// Of at most this many associations
    #[arg(long, value_name = "N", default_value_t = u64::from(PathQuery::DEFAULT_MAX_DEPTH), value_parser = count::<0, { u32::MAX as u64 }>, allow_hyphen_values = true)]
    pub(crate) max_depth: u64,
    /// Only over associations of these types, separated by commas
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',', allow_hyphen_values = true)]
    pub(crate) kinds: Vec<AssociationKind>,
    /// Only over associations followed this way
    #[arg(long, value_enum, default_value = "both")]
    pub(crate) direction: Way,
    /// Up to this many paths, all equally short
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count::<1, { limits::MAX_ALTERNATIVES as u64 }>, allow_hyphen_values = true)]
    pub(crate) alternatives: u64,
    /// The path whose product of confidences is greatest, instead of the shortest
    #[arg(long, conflicts_with = "alternatives")]
    pub(crate) most_confident: bool,
    /// How many concepts the server may visit before it gives up; 0 for its own bound
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = count::<0, { u32::MAX as u64 }>, allow_hyphen_values = true)]
    pub(crate) max_visited: u64,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args, Debug)]
#[command(
    group = ArgGroup::new("what").args(["like", "vector"]).required(true),
    after_help = "Example:\n  sutra search --like n02084071 -k 5\n\n\
    Each line is a concept's cosine similarity, its name and the first line of its content, the most alike first.\n\
    Exits with 1 where nothing is found."
)]
pub(crate) struct Search {
    /// What is like this concept, by its stored embedding; the concept itself is left out
    #[arg(long, value_name = "NAME")]
    pub(crate) like: Option<String>,
    /// What is like this vector: a JSON list of numbers, or a file that holds one
    #[arg(long, value_name = "FILE|JSON", allow_hyphen_values = true)]
    pub(crate) vector: Option<String>,
    /// At most this many concepts
    #[arg(short, long = "count", value_name = "N", default_value_t = u64::from(SearchQuery::DEFAULT_K), value_parser = count::<1, { limits::MAX_RESULTS as u64 - 1 }>, allow_hyphen_values = true)]
    pub(crate) k: u64,
    /// How many candidates the index looks at; the server takes 100 where it is less. More find
    /// more of the true best, and take longer
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = count::<0, { limits::MAX_SEARCH_WIDTH as u64 }>, allow_hyphen_values = true)]
    pub(crate) ef_search: u64,
    /// Only concepts of at least this strength
    #[arg(long, value_name = "NUMBER", default_value_t = 0.0, allow_hyphen_values = true)]
    pub(crate) min_strength: f32,
    /// Only concepts of at least this confidence, 0 to 1
    #[arg(long, value_name = "NUMBER", default_value_t = 0.0, allow_hyphen_values = true)]
    pub(crate) min_confidence: f32,
    /// Only concepts in the neighbourhood of this one
    #[arg(long, value_name = "NAME", requires = "within")]
    pub(crate) near: Option<String>,
    /// How many associations that neighbourhood reaches
    #[arg(long, value_name = "N", requires = "near", value_parser = count::<0, { u32::MAX as u64 }>, allow_hyphen_values = true)]
    pub(crate) within: Option<u64>,
    /// Compare with every vector instead of asking the index
    #[arg(long)]
    pub(crate) exact: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sutra export n02084071 --format graphml --within 2 --output dog.graphml\n\n\
    graphml is for Gephi, yEd, Cytoscape or networkx, dot for Graphviz; jsonl is what `sutra import` reads.\n\
    Without NAME, the whole namespace is written, as jsonl: all but associations of which neither end is learned, and\n\
    the times of writing. What is changed meanwhile may be in it or not.")]
pub(crate) struct Export {
    /// The middle of the neighbourhood: name or id; the whole namespace without it
    #[arg(value_name = "NAME")]
    pub(crate) concept: Option<String>,
    /// The file's format
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Format,
    /// How many associations the neighbourhood reaches; 2 unless said otherwise
    #[arg(long, value_name = "N", requires = "concept", value_parser = count::<0, { u32::MAX as u64 }>, allow_hyphen_values = true)]
    pub(crate) within: Option<u64>,
    /// The nearest so many concepts of the neighbourhood; 10,000 unless said otherwise
    #[arg(long, value_name = "N", requires = "concept", value_parser = count::<1, 10_000_000>, allow_hyphen_values = true)]
    pub(crate) max_concepts: Option<u64>,
    /// Where it is written; - for standard output. A file is replaced when the export is whole, and
    /// keeps its mode
    #[arg(long, short, value_name = "FILE|-", default_value = "-")]
    pub(crate) output: std::path::PathBuf,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Graphml,
    Dot,
    Jsonl,
}

impl From<&Path> for PathQuery {
    fn from(path: &Path) -> Self {
        let query = PathQuery::between(&path.start, &path.end)
            .max_depth(number(path.max_depth))
            .kinds(path.kinds.iter().copied())
            .direction(path.direction.into())
            .alternatives(number(path.alternatives))
            .max_visited(number(path.max_visited));
        if path.most_confident { query.most_confident() } else { query }
    }
}

/// A number that its flag has kept within 32 bits.
pub(crate) fn number(value: u64) -> u32 {
    u32::try_from(value).expect("the flag's parser bounds it")
}
