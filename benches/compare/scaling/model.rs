//! Computes what servers with more cores than this host has would do, from what was measured.
//!
//! A request's CPU time on N cores is what it takes on one, and up to three parts that grow with N.
//! These are the looks of every turn into every core's mailbox, the messages between cores, and for
//! a search the work that every core does. What is not measured here (memory bandwidth, NUMA,
//! caches that many cores share, the network card) is not in it: real machines do worse.

use super::super::cell::paired;
use super::super::vector_data::MIN_INDEXED;
use super::measured::{Point, Question, Scaling};
use crate::spread::Spread;

/// The greatest number of cores that is tried.
pub(crate) const FAR: usize = 4096;
/// An operation breaks where a request takes this many times the CPU that it takes on one core.
pub(crate) const BROKEN: f64 = 2.0;

/// The loads of queries, as connections and depth.
pub(crate) const SHALLOW: (usize, usize) = (64, 1);
pub(crate) const DEEP: (usize, usize) = (64, 16);
/// The load of searches, as connections and depth.
pub(crate) const SEARCHES: (usize, usize) = (16, 1);

/// The model: what was measured, and the operations that are computed from it.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// Measured numbers, each with what it is.
    pub(crate) constants: Vec<(String, Spread)>,
    pub(crate) operations: Vec<Operation>,
    pub(crate) memory: Option<Memory>,
    mailbox_bytes: f64,
}

/// An operation and what it takes, in µs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Operation {
    pub(crate) name: String,
    /// The measured points that it predicts: their question, the load of one core, and whether
    /// clients know the layout.
    asked: Option<(Question, (usize, usize), bool)>,
    /// CPU of a request on one core.
    own: f64,
    /// Turns for each request on one core.
    turns: f64,
    /// A turn's look into one more mailbox.
    look: f64,
    spread: Over,
}

/// How an operation uses more cores.
#[derive(Clone, Debug, PartialEq)]
enum Over {
    /// The core that has the connection does it.
    Owner,
    /// A request comes to any core, and crosses to its owner and back with two messages, of
    /// `message` µs each.
    Anywhere { message: f64 },
    /// Every core is asked. Each beyond the first costs `further` µs.
    All { further: f64 },
    /// Every core is asked, as in `All`, and searches its part of the vectors.
    Parts { further: f64, part: Part },
}

/// The search of one shard, without what is done once a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Part {
    /// Vectors of all shards when it was measured.
    measured: f64,
    /// Vectors of all shards for which it is computed.
    vectors: f64,
    /// CPU of a search in `measured` vectors, in µs.
    whole: f64,
    /// How much less a search takes in half as many vectors, in µs.
    halving: f64,
    /// CPU of a scan for each vector, in µs.
    scanned: f64,
}

impl Part {
    /// CPU of one core's search, in µs, when the vectors are spread over `cores` cores.
    fn of(&self, cores: f64) -> f64 {
        let vectors = self.vectors / cores;
        if vectors < MIN_INDEXED as f64 {
            return self.scanned * vectors;
        }
        (self.whole - self.halving * (self.measured / vectors).log2()).max(0.0)
    }
}

/// A request's CPU time by what it is spent on, in µs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Cost {
    pub(crate) own: f64,
    pub(crate) looks: f64,
    pub(crate) messages: f64,
    /// Searching on all cores, beyond what one core takes for all vectors.
    pub(crate) searching: f64,
}

impl Cost {
    pub(crate) fn total(&self) -> f64 {
        self.own + self.looks + self.messages + self.searching
    }

    /// The name of the greatest of the parts that grow with the cores.
    pub(crate) fn worst(&self) -> &'static str {
        let terms = [
            (self.looks, "the looks into mailboxes"),
            (self.messages, "the messages"),
            (self.searching, "the searching on every core"),
        ];
        terms.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)).map_or("", |(_, name)| name)
    }
}

impl Operation {
    /// Whether the point is one that the operation predicts: under the load of one core, or under
    /// that load for each core.
    pub(crate) fn is_of(&self, point: &Point) -> bool {
        let Some((question, (connections, depth), is_aware)) = self.asked else { return false };
        let shape = (point.shape.connections, point.shape.depth);
        point.question == question
            && point.is_aware == is_aware
            && (shape == (connections, depth) || shape == (connections * point.cores, depth))
    }

    pub(crate) fn cost(&self, cores: usize) -> Cost {
        let cores = cores.max(1) as f64;
        let others = cores - 1.0;
        // In an operation that goes to all cores, every core takes the turns.
        let looks = |turns: f64| self.look * others * turns;
        let own = Cost { own: self.own, ..Cost::default() };
        match &self.spread {
            Over::Owner => Cost { looks: looks(self.turns), ..own },
            Over::Anywhere { message } => {
                let crossing = others / cores;
                // The owner takes a turn, too.
                Cost {
                    looks: looks(self.turns * (1.0 + crossing)),
                    messages: 2.0 * crossing * message,
                    ..own
                }
            }
            Over::All { further } => {
                Cost { looks: looks(self.turns * cores), messages: further * others, ..own }
            }
            Over::Parts { further, part } => Cost {
                looks: looks(self.turns * cores),
                messages: further * others,
                searching: cores * part.of(cores) - part.of(1.0),
                ..own
            },
        }
    }

    /// Requests a second of the whole machine.
    pub(crate) fn rate(&self, cores: usize) -> f64 {
        cores as f64 * 1e6 / self.cost(cores).total()
    }

    /// The number of cores at which a request takes [`BROKEN`] times the CPU that it takes on one;
    /// `None` if [`FAR`] cores are too few for that.
    pub(crate) fn breaks_at(&self) -> Option<usize> {
        let alone = self.cost(1).total();
        (2..=FAR).find(|cores| self.cost(*cores).total() >= BROKEN * alone)
    }

    /// The number of cores with which the machine has the highest rate: with more cores it answers
    /// less.
    pub(crate) fn best(&self) -> usize {
        (1..=FAR).max_by(|a, b| self.rate(*a).total_cmp(&self.rate(*b))).unwrap_or(1)
    }
}

/// Resident memory of an empty store, in bytes: a fixed part, and a part for each core.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Memory {
    pub(crate) fixed: f64,
    pub(crate) each: f64,
}

impl Model {
    /// The model from what was measured, or what is missing for it. `apart` is what a request takes
    /// on one core while the load has a CPU of its own, if a table has that.
    pub(crate) fn of(
        scaling: &Scaling,
        apart: impl Fn(Question, (usize, usize)) -> Option<Spread>,
    ) -> Result<Self, String> {
        let mut constants = Vec::new();
        let mut keep = |name: &str, value: Spread| {
            constants.push((name.to_owned(), value));
            value.median
        };
        let (look, line) =
            looks(scaling).ok_or("turns were not measured at two numbers of cores")?;
        let look = keep("a look into one more core's mailbox, ns", look) / 1000.0;
        keep("what a turn of one core takes in its mailbox, ns", line);
        let mut operations = Vec::new();
        for (question, shape) in
            [(Question::Query, SHALLOW), (Question::Query, DEEP), (Question::Learn, SHALLOW)]
        {
            let apart = apart(question, shape);
            operations.extend(of_one_concept(scaling, question, shape, apart, look, &mut keep)?);
        }
        let health = health(scaling, look, &mut keep)?;
        let request = health.own;
        operations.push(health);
        operations.extend(searches(scaling, request, look, &mut keep)?);
        Ok(Self {
            constants,
            operations,
            memory: memory(scaling),
            mailbox_bytes: scaling.mailbox_bytes as f64,
        })
    }

    /// Bytes of all mailboxes: one for each ordered pair of cores, with room for all its messages.
    pub(crate) fn mailbox_bytes(&self, cores: usize) -> f64 {
        (cores * cores) as f64 * self.mailbox_bytes
    }

    /// The number of cores from which on the mailboxes take more memory than everything else in an
    /// empty store.
    pub(crate) fn mailboxes_outgrow(&self) -> Option<usize> {
        let Memory { fixed, each } = self.memory?;
        (1..=FAR).find(|cores| self.mailbox_bytes(*cores) > fixed + each * *cores as f64)
    }
}

/// A measured point that has figures, or what is missing.
fn point(
    scaling: &Scaling,
    question: Question,
    cores: usize,
    is_aware: bool,
    shape: (usize, usize),
) -> Result<&Point, String> {
    let point = scaling.point(question, cores, is_aware, shape);
    point
        .filter(|point| point.cpu().is_some())
        .ok_or_else(|| format!("{} on {cores} cores has no figures", question.name()))
}

/// A question about one concept, which has one owner: of clients that know the layout, and of those
/// that don't.
fn of_one_concept(
    scaling: &Scaling,
    question: Question,
    shape: (usize, usize),
    apart: Option<Spread>,
    look: f64,
    keep: &mut impl FnMut(&str, Spread) -> f64,
) -> Result<[Operation; 2], String> {
    let name = format!("{}, {} × {}", question.name(), shape.0, shape.1);
    let (mut own, turns) = alone(point(scaling, question, 1, true, shape)?, &name, keep)?;
    if let Some(apart) = apart {
        let what = format!(
            "{name}: CPU a request on one core, from its own table, µs \
             (the model starts from this)"
        );
        own = keep(&what, apart);
    }
    let aware = point(scaling, question, 2, true, shape)?;
    let unaware = point(scaling, question, 2, false, shape)?;
    let message =
        messages(aware, unaware).ok_or_else(|| format!("{name}: no messages were counted"))?;
    let what = format!("{name}: CPU a message between cores, its wake-up included, µs");
    let message = keep(&what, message).max(0.0);
    let operation = |whose: &str, is_aware, spread| Operation {
        name: format!("{name}, {whose}"),
        asked: Some((question, shape, is_aware)),
        own,
        turns,
        look,
        spread,
    };
    Ok([
        operation("clients know the layout", true, Over::Owner),
        operation("clients don't know the layout", false, Over::Anywhere { message }),
    ])
}

fn health(
    scaling: &Scaling,
    look: f64,
    keep: &mut impl FnMut(&str, Spread) -> f64,
) -> Result<Operation, String> {
    let one = point(scaling, Question::Health, 1, true, SHALLOW)?;
    let (own, turns) = alone(one, "health, 64 × 1", keep)?;
    let more = difference(point(scaling, Question::Health, 2, true, SHALLOW)?, one);
    let more = more.ok_or("health has no figures")?;
    let further = keep("health, 64 × 1: each further core, µs", more).max(0.0);
    Ok(Operation {
        name: "health (stats asks as many cores), 64 × 1".into(),
        asked: Some((Question::Health, SHALLOW, true)),
        own,
        turns,
        look,
        spread: Over::All { further },
    })
}

/// What a request takes on one core: CPU in µs, and turns.
fn alone(
    point: &Point,
    name: &str,
    keep: &mut impl FnMut(&str, Spread) -> f64,
) -> Result<(f64, f64), String> {
    let missing = || format!("{name} has no figures");
    let own =
        keep(&format!("{name}: CPU a request on one core, µs"), point.cpu().ok_or_else(missing)?);
    let turns = point.spread(|costs| costs.turns).ok_or_else(missing)?;
    Ok((own, keep(&format!("{name}: turns a request on one core"), turns)))
}

fn searches(
    scaling: &Scaling,
    request: f64,
    look: f64,
    keep: &mut impl FnMut(&str, Spread) -> f64,
) -> Result<Vec<Operation>, String> {
    let at = |question, cores| {
        let found = scaling.point(question, cores, true, SEARCHES);
        found.ok_or_else(|| format!("{} on {cores} cores is missing", Question::name(question)))
    };
    let (one, two, scan) =
        (at(Question::Search, 1)?, at(Question::Search, 2)?, at(Question::Scan, 1)?);
    let half = scaling.half().ok_or("the search in half of the vectors is missing")?;
    let measured = scaling.vectors as f64;
    let (own, turns) = alone(one, "search, 16 × 1", keep)?;
    let halving =
        difference(one, half).ok_or("the search in half of the vectors has no figures")?;
    let halving = keep("search: how much less half of the vectors take, µs", halving).max(0.0);
    let scanned = scan.cpu().ok_or("the scan has no figures")?;
    let each = |figure: f64| (figure - request).max(0.0) / measured;
    let scanned =
        Spread { median: each(scanned.median), low: each(scanned.low), high: each(scanned.high) };
    let scanned = keep("search: CPU of a scan for each vector, µs", scanned);
    let part = Part { measured, vectors: measured, whole: own - request, halving, scanned };
    // On two cores a request searches two halves. Twice the search of a half has a request's own
    // cost once too often. What is left over is the second core's message and answer.
    let left =
        paired(&two.rounds, &half.rounds, |two, half| two.cpu_us - 2.0 * half.cpu_us + request);
    let further = left.ok_or("search on two cores has no figures")?;
    let further =
        keep("search: asking each further core, beyond its searching, µs", further).max(0.0);
    let operation = |name: String, asked, vectors: f64| {
        let part = Part { vectors, ..part };
        Operation {
            name,
            asked,
            own: request + part.of(1.0),
            turns,
            look,
            spread: Over::Parts { further, part },
        }
    };
    let asked = Some((Question::Search, SEARCHES, true));
    Ok(vec![
        operation(format!("search, {measured} vectors in all"), asked, measured),
        operation("search, 10 million vectors in all (extrapolated)".into(), None, 1e7),
    ])
}

/// How much more CPU a request of one point takes than one of the other, in µs, over the rounds
/// that are fair in both.
fn difference(point: &Point, other: &Point) -> Option<Spread> {
    paired(&point.rounds, &other.rounds, |this, other| this.cpu_us - other.cpu_us)
}

/// CPU of a message in µs: how much more requests take that come to any core, over the messages
/// that they add.
fn messages(aware: &Point, unaware: &Point) -> Option<Spread> {
    paired(&aware.rounds, &unaware.rounds, |aware, unaware| {
        (unaware.cpu_us - aware.cpu_us) / (unaware.messages - aware.messages)
    })
}

/// The slope of a turn's time in the mailboxes over the number of cores, and its value at one core;
/// both in ns, over the rounds.
fn looks(scaling: &Scaling) -> Option<(Spread, Spread)> {
    let rounds = scaling.turns.iter().map(|turning| turning.mailboxes_ns.len()).min()?;
    let lines: Vec<_> = (0..rounds)
        .filter_map(|round| {
            line(
                scaling
                    .turns
                    .iter()
                    .map(|turning| (turning.cores as f64, turning.mailboxes_ns[round])),
            )
        })
        .collect();
    let at_one = lines.iter().map(|(start, slope)| start + slope);
    Some((Spread::of(lines.iter().map(|(_, slope)| *slope))?, Spread::of(at_one)?))
}

fn memory(scaling: &Scaling) -> Option<Memory> {
    let points =
        scaling.turns.iter().map(|turning| (turning.cores as f64, turning.resident as f64));
    line(points).map(|(fixed, each)| Memory { fixed, each })
}

/// Start and slope of the line that fits the points best by least squares; `None` for fewer than
/// two.
fn line(points: impl Iterator<Item = (f64, f64)> + Clone) -> Option<(f64, f64)> {
    let count = points.clone().count() as f64;
    let (x, y) =
        points.clone().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let (mut over, mut under) = (0.0, 0.0);
    for point in points {
        over += (point.0 - x) * (point.1 - y);
        under += (point.0 - x) * (point.0 - x);
    }
    (under > 0.0).then(|| (y - over / under * x, over / under))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(spread: Over) -> Operation {
        Operation { name: String::new(), asked: None, own: 4.0, turns: 0.5, look: 0.002, spread }
    }

    #[test]
    fn a_line_goes_through_points_that_lie_on_one() {
        let (start, slope) =
            line([(1.0, 5.0), (2.0, 7.0), (4.0, 11.0)].into_iter()).expect("a line");
        assert!((start - 3.0).abs() < 1e-9 && (slope - 2.0).abs() < 1e-9);
        assert_eq!(line([(1.0, 5.0), (1.0, 6.0)].into_iter()), None);
    }

    #[test]
    fn one_core_has_nothing_but_its_own() {
        let part =
            Part { measured: 4096.0, vectors: 4096.0, whole: 100.0, halving: 10.0, scanned: 0.1 };
        for spread in [
            Over::Owner,
            Over::Anywhere { message: 1.0 },
            Over::All { further: 3.0 },
            Over::Parts { further: 3.0, part },
        ] {
            assert_eq!(operation(spread).cost(1), Cost { own: 4.0, ..Cost::default() });
        }
    }

    #[test]
    fn requests_that_cross_pay_two_messages_and_looks_grow_with_cores() {
        let cost = operation(Over::Anywhere { message: 1.5 }).cost(4);
        assert!((cost.messages - 2.0 * 0.75 * 1.5).abs() < 1e-9, "{cost:?}");
        assert!((cost.looks - 0.002 * 3.0 * 0.5 * 1.75).abs() < 1e-9, "{cost:?}");
        // 4 µs of looks are reached at 4,001 cores.
        assert_eq!(operation(Over::Owner).breaks_at(), Some(4001));
        assert!((operation(Over::Owner).rate(1) - 250_000.0).abs() < 1e-6);
    }

    #[test]
    fn a_question_to_all_breaks_where_its_messages_are_as_dear_as_itself() {
        let operation = Operation { look: 0.0, ..operation(Over::All { further: 1.0 }) };
        assert_eq!((operation.breaks_at(), operation.cost(5).worst()), (Some(5), "the messages"));
    }

    #[test]
    fn parts_get_cheaper_by_halves_and_small_ones_are_scanned() {
        let part =
            Part { measured: 4096.0, vectors: 4096.0, whole: 100.0, halving: 10.0, scanned: 0.1 };
        assert!((part.of(2.0) - 90.0).abs() < 1e-9 && (part.of(4.0) - 80.0).abs() < 1e-9);
        assert!((part.of(8.0) - 51.2).abs() < 1e-9);
        let cost = operation(Over::Parts { further: 0.0, part }).cost(2);
        assert!((cost.searching - 80.0).abs() < 1e-9, "{cost:?}");
    }
}
