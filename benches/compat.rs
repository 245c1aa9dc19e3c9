//! Query through the compat port, in MessagePack and in bincode, beside the native port of the same server.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use sutra_load::{Framing, KeySpace, Keys, Learn, Length, Plan, Query, Report, Routes, ServerCpu, Workload};
use sutra_wire::{ConceptId, FrameBuffer};

use crate::Outcome;
use crate::options::Rounds;
use crate::process::Running;
use crate::table::Figures;

/// Concepts that are queried, and the content of each.
const CONCEPTS: u64 = 10_000;
const CONTENT_BYTES: usize = 200;
/// Connections and depth.
const SHAPES: [(usize, usize); 3] = [(1, 1), (64, 1), (64, 16)];

/// How an old client spells its requests.
#[derive(Clone, Copy)]
enum Spelling {
    Msgpack,
    Bincode,
}

/// Queries as an old client sends them.
struct LegacyQuery {
    keys: Keys,
    spelling: Spelling,
    name: String,
}

impl Workload for LegacyQuery {
    fn name(&self) -> &'static str {
        "query"
    }

    fn framing(&self) -> Framing {
        Framing::Legacy
    }

    fn open(&mut self, routes: &Routes) {
        self.keys.open(routes);
    }

    fn write(&mut self, lane: usize, _: u64, out: &mut FrameBuffer) -> Option<u64> {
        let (id, number) = self.keys.next(lane)?;
        self.name.clear();
        write!(self.name, "{}-{number:010}", self.keys.prefix()).expect("writing to a string can't fail");
        let length = u8::try_from(self.name.len()).expect("names are short");
        let (head, length): (&[u8], &[u8]) = match self.spelling {
            Spelling::Msgpack => (b"\x81\xacQueryConcept\x81\xaaconcept_id\xd9", &[length]),
            Spelling::Bincode => (&[2, 0, 0, 0], &[length, 0, 0, 0, 0, 0, 0, 0]),
        };
        let whole = u32::try_from(head.len() + length.len() + self.name.len()).expect("requests are short");
        out.extend_from_slice(&whole.to_be_bytes());
        out.extend_from_slice(head);
        out.extend_from_slice(length);
        out.extend_from_slice(self.name.as_bytes());
        Some(tag(id))
    }

    /// Compares the id where it stands in the reply.
    fn check(&mut self, asked: u64, reply: &sutra_load::Reply<'_>) -> Result<(), String> {
        let at = match self.spelling {
            Spelling::Msgpack => b"\x81\xaeQueryConceptOk\x85\xa5found\xc3\xaaconcept_id\xd9\x20".len(),
            Spelling::Bincode => 4 + 1 + 8,
        };
        let digits = reply.payload.get(at..at + 32).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(ConceptId::from_digits) {
            Some(id) if tag(id) == asked => Ok(()),
            Some(_) => Err("got the record of another concept".into()),
            None => Err(format!("no record: {:?}", String::from_utf8_lossy(reply.payload))),
        }
    }
}

/// Eight bytes that tell ids apart well enough to find a mixed-up reply.
fn tag(id: ConceptId) -> u64 {
    u64::from_le_bytes(*id.0.first_chunk().expect("ids have 16 bytes"))
}

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
        let legacy = |spelling| LegacyQuery { keys: keys(), spelling, name: String::new() };
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
