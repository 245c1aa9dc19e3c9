//! Measures more than one core: what messages between cores cost, and what each further core adds
//! to a turn and to a request that asks all cores. A model computes what that comes to on machines
//! with more cores than this one.
//!
//! The servers take turns. They have one pinned core, two pinned cores, or more unpinned cores than
//! there are CPUs. The load runs on the same two CPUs as the servers, so only the CPU time of a
//! request is compared, and never throughput.

pub(crate) mod measured;
mod model;
pub(crate) mod text;

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use rand::seq::SliceRandom;
use sutra_client::blocking::Client;
use sutra_load::{Health, KeySpace, Keys, Learn, Length, Plan, Query, Search, ServerCpu, Workload};
use sutra_wire::CoreLayout;

use super::ask::write_all;
use super::cell::Shape;
use super::fairness::{Fair, Watched, check, fairly, problem, starved_together, used, used_here};
use super::setup::{CONCEPTS, Setup, Timing, learned_bytes, queried_keys, queried_records};
use super::vector_data::{K, Vectors, learn_and_index};
use crate::Outcome;
use crate::process::Running;
use measured::{Costs, Point, Question, Scaling, Turning};
use model::{DEEP, SEARCHES, SHALLOW};

/// Namespaces of the vectors: one with all of them, one with half.
const ALL: &str = "vectors";
const HALF: &str = "half";
/// Threads of the load, one on each of the two CPUs.
const THREADS: usize = 2;

/// How much is measured.
pub(crate) struct Extent {
    pub(crate) rounds: usize,
    pub(crate) timing: Timing,
    /// Numbers of cores, all greater than the number of CPUs.
    many: &'static [usize],
    /// Numbers of cores of the servers on which one core works.
    turning: &'static [usize],
}

impl Extent {
    pub(crate) fn new(rounds: usize, timing: Timing, quick: bool) -> Self {
        let timing = |warm_up, most: u64| Timing {
            warm_up: Duration::from_millis(warm_up),
            measured: timing.measured.min(Duration::from_millis(most)),
        };
        if quick {
            return Self {
                rounds: rounds.min(2),
                timing: timing(40, 150),
                many: &[4],
                turning: &[1, 16],
            };
        }
        let (many, turning) = (&[4, 8, 16], &[1, 2, 4, 8, 16, 32]);
        Self { rounds: rounds.min(5), timing: timing(100, 500), many, turning }
    }
}

/// Measures everything. Returns it with the problems that came up.
pub(crate) fn measure(
    vectors: &Vectors,
    setup: &Setup,
    extent: &Extent,
) -> Outcome<(Scaling, Vec<String>)> {
    let mut scaling = Scaling {
        vectors: vectors.count(),
        mailbox_bytes: sutra_server::mailbox_bytes(),
        ..Scaling::default()
    };
    turns(&mut scaling, setup, extent)?;
    eprintln!("More than one core: filling");
    let mut servers = Vec::new();
    for cores in [1, 2].iter().chain(extent.many) {
        servers.push((*cores, filled(*cores, vectors, setup)?));
    }
    let mut points = points(vectors.count(), extent.many);
    for round in 0..extent.rounds {
        eprintln!("More than one core: round {} of {}", round + 1, extent.rounds);
        let mut turns: Vec<_> = points.iter_mut().collect();
        turns.shuffle(&mut rand::rng());
        for point in turns.into_iter().filter(|point| point.failed.is_none()) {
            let server = servers.iter_mut().find(|(cores, _)| *cores == point.cores);
            let (_, running) = server.ok_or("no server has this number of cores")?;
            let whose = format!("{} on {} cores", point.question.name(), point.cores);
            match fairly(&whose, || measured(running, point, vectors, setup, extent.timing)) {
                Ok(costs) => point.rounds.push(costs),
                Err(error) => point.failed = Some(error.to_string()),
            }
        }
    }
    let problems = points.iter().filter_map(|point| {
        let (question, cores, load) = (point.question.name(), point.cores, point.shape.name());
        let place = format!("More than one core: {question} on {cores} cores under {load}");
        problem(&place, point.failed.as_deref(), &point.rounds)
    });
    let problems = problems.collect();
    scaling.points = points;
    Ok((scaling, problems))
}

/// A server of `cores` cores, frozen, with all records and vectors that are asked for.
fn filled(cores: usize, vectors: &Vectors, setup: &Setup) -> Outcome<Running> {
    let running = match cores {
        1 => Running::sutra(&format!("{},", setup.server_cpu), &["--durability", "os"])?,
        2 => Running::sutra(
            &format!("{},{}", setup.server_cpu, setup.load_cpu),
            &["--durability", "os"],
        )?,
        _ => unpinned(cores)?,
    };
    write_all(&running, Box::new(queried_records()), CONCEPTS)?;
    learn_and_index(&running, ALL, &vectors.rows, u16::try_from(cores)?)?;
    if cores == 1 {
        learn_and_index(
            &running,
            HALF,
            &Arc::new(vectors.rows[..vectors.count() / 2].to_vec()),
            1,
        )?;
    }
    running.freeze()?;
    Ok(running)
}

fn unpinned(cores: usize) -> Outcome<Running> {
    Running::sutra(&cores.to_string(), &["--no-pin", "--durability", "os"])
}

/// All points: what is asked, on how many cores, by which clients, under which load.
fn points(vectors: usize, many: &[usize]) -> Vec<Point> {
    let mut points = Vec::new();
    let mut push = |question, cores, is_aware, shape, vectors| {
        let shape = Shape::closed(shape);
        points.push(Point {
            question,
            cores,
            is_aware,
            shape,
            vectors,
            rounds: Vec::new(),
            failed: None,
        });
    };
    for (question, shape) in
        [(Question::Query, SHALLOW), (Question::Query, DEEP), (Question::Learn, SHALLOW)]
    {
        push(question, 1, true, shape, 0);
        push(question, 2, true, shape, 0);
        push(question, 2, false, shape, 0);
    }
    for cores in [1, 2].iter().chain(many) {
        push(Question::Health, *cores, true, SHALLOW, 0);
        push(Question::Search, *cores, true, SEARCHES, vectors);
    }
    push(Question::Search, 1, true, SEARCHES, vectors / 2);
    push(Question::Scan, 1, true, SEARCHES, vectors);
    for cores in many {
        // For each core as many connections as the server with one core has, so that a turn finds
        // about as much to do.
        push(Question::Query, *cores, true, (SHALLOW.0 * cores, 1), 0);
        push(Question::Query, *cores, false, (SHALLOW.0 * cores, 1), 0);
    }
    points
}

/// One measurement, with both CPUs watched.
fn measured(
    running: &mut Running,
    point: &Point,
    vectors: &Vectors,
    setup: &Setup,
    timing: Timing,
) -> Outcome<Fair<Costs>> {
    let watched = [Watched::begin(setup.server_cpu)?, Watched::begin(setup.load_cpu)?];
    let used_together = |pid| Outcome::Ok(used(pid)?.total + used_here()?.total);
    let before = used_together(running.pid())?;
    let costs = running.take_turn(|running| ask(running, point, vectors, setup, timing))?;
    let own = used_together(running.pid())? - before;
    let watches = watched.into_iter().map(Watched::end).collect::<Outcome<Vec<_>>>()?;
    Ok(Fair::unless(starved_together(&watches, own), costs))
}

fn ask(
    running: &Running,
    point: &Point,
    vectors: &Vectors,
    setup: &Setup,
    timing: Timing,
) -> Outcome<Costs> {
    let plan = |length| Plan {
        layout_aware: point.is_aware,
        pin: vec![setup.server_cpu, setup.load_cpu],
        ..setup.plan(
            running.address,
            point.shape,
            Timing { warm_up: Duration::ZERO, measured: length },
        )
    };
    let workloads =
        || (0..THREADS).map(|thread| workload(point, vectors, thread)).collect::<Vec<_>>();
    // The warm-up is a run of its own, so that the counters cover the same time as the requests.
    sutra_load::run(&plan(timing.warm_up), workloads(), None)?;
    let before = counters(running)?;
    let report = sutra_load::run(
        &plan(timing.measured),
        workloads(),
        Some(ServerCpu::of_process(running.pid())),
    )?;
    let [messages, wakes, turns, ..] =
        grown(running, before)?.map(|grown| grown / report.requests as f64);
    check(&report)?;
    let cpu_us = report.server_cpu.as_ref().map_or(f64::NAN, |cpu| cpu.total_us);
    Ok(Costs { cpu_us, per_second: report.requests_per_second, messages, wakes, turns })
}

/// The requests of one thread of the load.
fn workload(point: &Point, vectors: &Vectors, thread: usize) -> Box<dyn Workload> {
    let search = || {
        let namespace = if point.vectors == vectors.count() { ALL } else { HALF };
        // Each thread begins at another query.
        let mut queries = vectors.queries.clone();
        let middle = queries.len() * thread / THREADS;
        queries.rotate_left(middle);
        Search::new(namespace, &queries, K as u32, 0)
    };
    match point.question {
        Question::Query => Box::new(Query::new("", queried_keys(KeySpace::Random(CONCEPTS)), None)),
        // As long as a record with 384 numbers, but with content in their place: indexing would be
        // measured, too.
        Question::Learn => Box::new(learned_bytes()),
        Question::Health => Box::new(Health),
        Question::Search => Box::new(search()),
        Question::Scan => Box::new(search().exact()),
    }
}

/// Names of counters, each over all cores of a server: messages and wake-ups to other cores, turns,
/// the turns whose stages were timed, and the ns that those took in the mailboxes.
const COUNTERS: [&str; 5] =
    ["messages_sent", "wakes_sent", "turns", "profile_turns", "profile_messages_ns"];

fn counters(running: &Running) -> Outcome<[u64; 5]> {
    let stats = Client::connect(running.address.to_string())?.stats()?;
    let mut values = [0; 5];
    for (value, name) in values.iter_mut().zip(COUNTERS) {
        let found = stats.counters.iter().find(|counter| counter.name == name);
        *value = found.ok_or_else(|| format!("stats have no counter {name}"))?.value.to_native();
    }
    Ok(values)
}

/// How much each counter has grown since `before`.
fn grown(running: &Running, before: [u64; 5]) -> Outcome<[f64; 5]> {
    let after = counters(running)?;
    Ok(std::array::from_fn(|at| after[at].saturating_sub(before[at]) as f64))
}

/// Measures how long a turn looks into mailboxes that nobody wrote into, and the memory of empty
/// stores. One core answers one request after the other while the others sleep, so that no thread
/// waits for a CPU in the middle of a look.
fn turns(scaling: &mut Scaling, setup: &Setup, extent: &Extent) -> Outcome {
    eprintln!("More than one core: looks into mailboxes");
    let mut servers = Vec::new();
    for cores in extent.turning {
        let running = unpinned(*cores)?;
        // By then the server has prepared what it prepares in the background.
        sleep(Duration::from_millis(200));
        let resident = running.resident()?;
        let prefix = owned_by_the_first(u16::try_from(*cores)?);
        write_all(
            &running,
            Box::new(Learn::new("", Keys::new(&prefix, KeySpace::Once(1)), 0, 0)),
            1,
        )?;
        running.freeze()?;
        scaling.turns.push(Turning { cores: *cores, mailboxes_ns: Vec::new(), resident });
        servers.push((running, prefix));
    }
    for _ in 0..extent.rounds {
        for ((running, prefix), turning) in servers.iter_mut().zip(&mut scaling.turns) {
            let taken = running.take_turn(|running| {
                mailboxes_ns(running, prefix, setup, extent.timing.measured)
            })?;
            turning.mailboxes_ns.push(taken);
        }
    }
    Ok(())
}

/// A prefix of keys whose first key belongs to core 0, which the first connection asks for.
fn owned_by_the_first(cores: u16) -> String {
    let layout = CoreLayout::new(cores);
    let mut prefixes = (0..).map(|number| format!("own{number}"));
    prefixes
        .find(|prefix| layout.owner(&Keys::new(prefix, KeySpace::Once(1)).id(0)) == 0)
        .expect("ids are spread over all cores")
}

/// The mean time that a turn takes in the mailboxes, in ns, while one connection asks its own core
/// for one concept.
fn mailboxes_ns(running: &Running, prefix: &str, setup: &Setup, time: Duration) -> Outcome<f64> {
    let plan = Plan {
        warm_up: Duration::ZERO,
        length: Length::Duration(time),
        pin: vec![setup.load_cpu],
        ..Plan::new(running.address)
    };
    let before = counters(running)?;
    let query = Query::new("", Keys::new(prefix, KeySpace::Cycling(1)), None);
    check(&sutra_load::run(&plan, vec![query], None)?)?;
    let [.., turns, nanoseconds] = grown(running, before)?;
    Ok(nanoseconds / turns.max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_finds_every_point_that_it_needs() {
        let costs = Costs { cpu_us: 10.0, per_second: 1.0, messages: 0.0, wakes: 0.0, turns: 1.0 };
        let mut points = points(4_000, &[4]);
        for point in &mut points {
            let messages = if point.is_aware { 0.0 } else { 1.0 };
            point.rounds = vec![Some(Costs { messages, cpu_us: 10.0 + messages, ..costs })];
        }
        let turns = [(1, 100.0), (3, 104.0)];
        let turns = turns
            .map(|(cores, turn)| Turning { cores, mailboxes_ns: vec![turn], resident: 1 << 20 })
            .to_vec();
        let scaling = Scaling { points, turns, vectors: 4_000, mailbox_bytes: 1024 };
        let model = model::Model::of(&scaling, |_, _| None).expect("nothing is missing");
        let look = model.constants.iter().find(|(name, _)| name.contains("look")).expect("a look");
        assert_eq!((look.1.median, model.operations.len()), (2.0, 9));
        // Every point can be held against the model, except those that only constants are made of.
        let of = |point: &Point| {
            model.operations.iter().filter(|operation| operation.is_of(point)).count()
        };
        let unmodelled = |point: &&Point| of(point) != 1;
        let left: Vec<_> =
            scaling.points.iter().filter(unmodelled).map(|point| point.question).collect();
        assert_eq!(left, [Question::Scan]);
    }
}
