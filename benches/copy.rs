//! From what size on is a stored record better sent from its segment than copied beside its header?
//! One server core answers with pieces of a region in both ways; the load is on another.
//!
//! It is the measurement behind `COPY_LIMIT` in src/net/output.rs. The server's CPU time a request
//! decides: at long replies the load's core and not the server's bounds the rate.

use std::time::Duration;

use clap::Args;
use sutra_load::{Length, Plan, ServerCpu};

use crate::Outcome;
use crate::process::{Kind, Running};
use crate::stored::Ask;
use crate::table::Figures;

#[derive(Args)]
pub(crate) struct Options {
    /// Rounds over both ways
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds measured for each figure
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Reply payloads, in bytes: multiples of 16
    #[arg(long, value_delimiter = ',', default_value = "512,1024,2048,4096,8192,16384,32768", value_parser = payload)]
    sizes: Vec<usize>,
    /// The server's CPU
    #[arg(long, default_value_t = 0)]
    server_cpu: usize,
    /// The load's CPU
    #[arg(long, default_value_t = 1)]
    load_cpu: usize,
}

/// Connections and depth: a reply on its own, many connections with one each, many replies in one
/// send.
const SHAPES: [(usize, usize); 3] = [(1, 1), (64, 1), (16, 16)];

fn payload(text: &str) -> Result<usize, String> {
    let bytes = text.parse().ok().filter(|bytes| (16..=1 << 20).contains(bytes) && bytes % 16 == 0);
    bytes.ok_or_else(|| format!("{text:?} is no multiple of 16 between 16 and 1048576"))
}

pub(crate) fn run(options: &Options) -> Outcome {
    println!(
        "replies copied beside their header, and sent from where they lie; median over {} rounds [lowest, highest]",
        options.rounds
    );
    let server = Running::contender(Kind::Stored, options.server_cpu, &[])?;
    for (connections, depth) in SHAPES {
        println!("\n{}", Figures::heading(&format!("{connections} × {depth} deep")));
        for bytes in &options.sizes {
            let plan = Plan {
                connections,
                depth,
                warm_up: Duration::from_millis(200),
                length: Length::Duration(Duration::from_secs_f64(options.seconds)),
                pin: vec![options.load_cpu],
                ..Plan::new(server.address)
            };
            let [copied, shared] = compare(options.rounds, &plan, *bytes, &server)?;
            println!("{}", copied.row(&format!("{bytes:>6} copied")));
            println!("{}", shared.row(&format!("{bytes:>6} shared")));
            println!("{}", shared.ratios(&copied, "       shared/copied"));
        }
    }
    Ok(())
}

/// Both ways, in turn first.
fn compare(rounds: usize, plan: &Plan, bytes: usize, server: &Running) -> Outcome<[Figures; 2]> {
    let mut figures = [Figures::default(), Figures::default()];
    for round in 0..rounds {
        for turn in 0..2 {
            let which = (round + turn) % 2;
            let cpu = ServerCpu::of_process(server.pid());
            figures[which].add(&sutra_load::run(plan, vec![Ask { bytes, shared: which == 1 }], Some(cpu))?);
        }
    }
    Ok(figures)
}
