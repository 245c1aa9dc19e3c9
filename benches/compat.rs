//! Query through the compat port, in MessagePack and in bincode, beside the native port of the same
//! server.

use std::net::SocketAddr;
use std::time::Duration;

use sutra_load::{KeySpace, Keys, Learn, LegacyQuery, Length, Plan, Query, Report, ServerCpu, Spelling, Workload};

use crate::Outcome;
use crate::options::Rounds;
use crate::process::Running;
use crate::table::Figures;

/// Concepts that are queried, and the content of each.
const CONCEPTS: u64 = 10_000;
const CONTENT_BYTES: usize = 200;
/// Connections and depth.
const SHAPES: [(usize, usize); 3] = [(1, 1), (64, 1), (64, 16)];

pub(crate) fn run(options: &Rounds) -> Outcome {
    println!("query of a {CONTENT_BYTES}-byte concept; median over {} rounds [lowest, highest]", options.rounds);
    let server = Running::sutra(options.server_cpu, &[])?;
    let compat = server.compat.ok_or("the server named no compat port")?;
    let mut learn = Learn::new("", Keys::new("bench", KeySpace::Once(CONCEPTS)), CONTENT_BYTES, 0);
    let archived = learn.archived_bytes();
    let fill =
        Plan { depth: 256, warm_up: Duration::ZERO, length: Length::Requests(CONCEPTS), ..Plan::new(server.address) };
    sutra_load::run(&fill, vec![learn], None)?;
    for (connections, depth) in SHAPES {
        let plan = |address: SocketAddr| Plan {
            connections,
            depth,
            warm_up: Duration::from_millis(300),
            length: Length::Duration(Duration::from_secs_f64(options.seconds)),
            pin: vec![options.load_cpu],
            ..Plan::new(address)
        };
        let keys = || Keys::new("bench", KeySpace::Random(CONCEPTS));
        let legacy = |spelling| LegacyQuery::new(keys(), spelling);
        let mut figures = [Figures::default(), Figures::default(), Figures::default()];
        for round in 0..options.rounds {
            for place in 0..3 {
                let which = (round + place) % 3;
                let report = match which {
                    0 => measure(&plan(server.address), Query::new("", keys(), Some(archived)), &server)?,
                    1 => measure(&plan(compat), legacy(Spelling::Msgpack), &server)?,
                    _ => measure(&plan(compat), legacy(Spelling::Bincode), &server)?,
                };
                figures[which].add(&report);
            }
        }
        let [native, msgpack, bincode] = &figures;
        println!("\n{}", Figures::heading(&format!("{connections} × {depth} deep")));
        for (name, figures) in [("native", native), ("compat, msgpack", msgpack), ("compat, bincode", bincode)] {
            println!("{}", figures.row(name));
        }
        println!("{}", msgpack.ratios(native, "msgpack / native"));
        println!("{}", bincode.ratios(native, "bincode / native"));
    }
    Ok(())
}

fn measure<W: Workload>(plan: &Plan, workload: W, server: &Running) -> Outcome<Report> {
    Ok(sutra_load::run(plan, vec![workload], Some(ServerCpu::of_process(server.pid())))?)
}
