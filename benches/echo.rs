//! Query beside an echo on our runtime beside an echo on a bare io_uring loop, one server core,
//! load on the other.

use std::time::Duration;

use clap::Args;
use sutra_load::{Echo as EchoLoad, KeySpace, Keys, Learn, Length, Plan, Query, Report, ServerCpu, Workload};

use crate::Outcome;
use crate::options::Rounds;
use crate::process::{Kind, Running};
use crate::table::Figures;

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    rounds: Rounds,
    /// Also with servers that never sleep and a client that never sleeps
    #[arg(long)]
    spin: bool,
}

/// Concepts that are queried.
const CONCEPTS: u64 = 10_000;
/// Content of each.
const CONTENT_BYTES: usize = 200;
/// Bytes of an echoed message: those of a query's frame, and between it and its reply.
const ECHO_BYTES: usize = 64;
const SIZES: (usize, usize) = (ECHO_BYTES, ECHO_BYTES);

/// Connections and depth.
const SHAPES: [(usize, usize); 3] = [(1, 1), (64, 1), (64, 16)];

pub(crate) fn run(options: &Options) -> Outcome {
    let mut modes = vec![("asleep", false, false)];
    if options.spin {
        modes.push(("both spinning", true, true));
    }
    for (name, server_spins, client_spins) in modes {
        println!(
            "\n{name}: {ECHO_BYTES}-byte echo, query of a {CONTENT_BYTES}-byte concept; median over {} rounds [lowest, highest]",
            options.rounds.rounds
        );
        let shapes: &[(usize, usize)] = if server_spins { &SHAPES[..1] } else { &SHAPES };
        for (connections, depth) in shapes {
            compare(options, (*connections, *depth), server_spins, client_spins)?;
        }
    }
    Ok(())
}

fn compare(options: &Options, (connections, depth): (usize, usize), server_spins: bool, client_spins: bool) -> Outcome {
    let spin = if server_spins { "always" } else { "off" };
    let bare = Running::echo(Kind::Bare, options.rounds.server_cpu, server_spins, SIZES)?;
    let runtime = Running::echo(Kind::Runtime, options.rounds.server_cpu, server_spins, SIZES)?;
    let server = Running::sutra(options.rounds.server_cpu, &["--spin", spin])?;
    let mut learn = Learn::new("", Keys::new("bench", KeySpace::Once(CONCEPTS)), CONTENT_BYTES, 0);
    let archived = learn.archived_bytes();
    let fill =
        Plan { depth: 256, warm_up: Duration::ZERO, length: Length::Requests(CONCEPTS), ..Plan::new(server.address) };
    sutra_load::run(&fill, vec![learn], None)?;

    let plan = |running: &Running| Plan {
        connections,
        depth,
        warm_up: Duration::from_millis(300),
        length: Length::Duration(Duration::from_secs_f64(options.rounds.seconds)),
        spin: client_spins,
        pin: vec![options.rounds.load_cpu],
        ..Plan::new(running.address)
    };
    let mut figures = [Figures::default(), Figures::default(), Figures::default()];
    for round in 0..options.rounds.rounds {
        for place in 0..3 {
            // Each contender is first, second and last in turn. Spinning servers share the CPU, so
            // the others are stopped meanwhile.
            let which = (round + place) % 3;
            let others: Vec<&Running> = [&bare, &runtime, &server]
                .into_iter()
                .enumerate()
                .filter(|(at, _)| *at != which)
                .map(|(_, running)| running)
                .collect();
            let _stopped = server_spins.then(|| Stopped::all(&others));
            let report = match which {
                0 => measure(&plan(&bare), EchoLoad::new(ECHO_BYTES, ECHO_BYTES), &bare)?,
                1 => measure(&plan(&runtime), EchoLoad::new(ECHO_BYTES, ECHO_BYTES), &runtime)?,
                _ => measure(
                    &plan(&server),
                    Query::new("", Keys::new("bench", KeySpace::Random(CONCEPTS)), Some(archived)),
                    &server,
                )?,
            };
            figures[which].add(&report);
        }
    }
    let [bare, runtime, query] = &figures;
    println!("\n{}", Figures::heading(&format!("{connections} × {depth} deep")));
    for (name, figures) in [("bare io_uring echo", bare), ("echo on our runtime", runtime), ("query", query)] {
        println!("{}", figures.row(name));
    }
    for (name, this, other) in
        [("runtime / bare", runtime, bare), ("query / runtime", query, runtime), ("query / bare", query, bare)]
    {
        println!("{}", this.ratios(other, name));
    }
    Ok(())
}

fn measure<W: Workload>(plan: &Plan, workload: W, server: &Running) -> Outcome<Report> {
    Ok(sutra_load::run(plan, vec![workload], Some(ServerCpu::of_process(server.pid())))?)
}

/// Processes that are stopped (SIGSTOP) until this is dropped.
struct Stopped(Vec<rustix::process::Pid>);

impl Stopped {
    fn all(running: &[&Running]) -> Self {
        let pids = running
            .iter()
            .filter_map(|running| rustix::process::Pid::from_raw(i32::try_from(running.pid()).ok()?))
            .collect::<Vec<_>>();
        for pid in &pids {
            let _ = rustix::process::kill_process(*pid, rustix::process::Signal::STOP);
        }
        Self(pids)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for pid in &self.0 {
            let _ = rustix::process::kill_process(*pid, rustix::process::Signal::CONT);
        }
    }
}
