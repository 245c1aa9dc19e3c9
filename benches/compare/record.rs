//! What a comparison found, as it is written to `report.json` and read again to compare two runs.

use serde::{Deserialize, Serialize};
use sutra_load::{Profile, Report};

use super::host::Host;
use super::scaling::measured::Scaling;

/// A whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) sutra: String,
    /// When the run began, in UTC.
    pub(crate) started: String,
    pub(crate) minutes: f64,
    pub(crate) quick: bool,
    pub(crate) host: Host,
    pub(crate) settings: Settings,
    pub(crate) contenders: Vec<Described>,
    pub(crate) sections: Vec<Section>,
    pub(crate) profiles: Vec<Profiled>,
    pub(crate) idle: Vec<Idle>,
    pub(crate) memory: Vec<Memory>,
    pub(crate) search: Vec<Searched>,
    /// More than one core.
    #[serde(default)]
    pub(crate) scaling: Option<Scaling>,
    pub(crate) serialized: Vec<Serialized>,
    pub(crate) round_trips: Vec<RoundTrips>,
    /// Whatever keeps a figure from being taken at its word, in the order in which it was noticed.
    pub(crate) problems: Vec<String>,
}

/// How the run was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    pub(crate) server_cpu: usize,
    pub(crate) load_cpu: usize,
    pub(crate) concepts: u64,
    /// Bytes of a query's request and reply: what the echoes exchange.
    pub(crate) query_bytes: (usize, usize),
    /// Bytes of a stored record that is learned: what Redis and memcached are given.
    pub(crate) learn_bytes: usize,
}

/// A contender as it was run, or why it was not.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Described {
    pub(crate) name: String,
    pub(crate) what: String,
    /// Each setting with its reason.
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) missing: Option<String>,
}

/// One operation under all its loads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Section {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) note: String,
    pub(crate) cells: Vec<Cell>,
}

/// One contender under one load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) contender: String,
    pub(crate) shape: Shape,
    /// A round each; absent where it could not be measured fairly.
    pub(crate) rounds: Vec<Option<Report>>,
    /// Why there are no figures although it was tried.
    pub(crate) failed: Option<String>,
    /// Rounds in which the load's CPU was busy and the server's was not: the figure is the load's,
    /// a lower bound. Of an open loop: and fewer requests were answered than were due.
    pub(crate) bound_by_load: usize,
    /// System calls a request, counted in a run of its own.
    pub(crate) system_calls: Option<f64>,
}

/// A load: closed loop, or requests at a fixed rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shape {
    pub(crate) connections: usize,
    pub(crate) depth: usize,
    /// Requests a second, open loop.
    pub(crate) rate: Option<f64>,
}

/// Where the time of one of Sutra's requests goes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Profiled {
    /// The table whose request it is.
    pub(crate) section: String,
    pub(crate) shape: Shape,
    pub(crate) profile: Profile,
    /// The server's CPU a request in that run, which the stages explain.
    pub(crate) cpu_us: f64,
}

/// A contender's memory with many connections that say nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Idle {
    pub(crate) contender: String,
    pub(crate) connections: usize,
    /// Or why it was not measured.
    pub(crate) bytes_each: Result<f64, String>,
}

/// A contender's resident memory when it held the data, and after all rounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) contender: String,
    pub(crate) filled: u64,
    pub(crate) at_end: Option<u64>,
}

/// Vector search by one contender under one load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Searched {
    pub(crate) vectors: usize,
    /// The share of the ten nearest that its answers held.
    pub(crate) recall: Option<f64>,
    pub(crate) cell: Cell,
}

/// One message in one encoding.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Serialized {
    pub(crate) encoding: String,
    pub(crate) message: String,
    pub(crate) bytes: usize,
    pub(crate) encode_ns: f64,
    pub(crate) decode_ns: f64,
}

/// From connect to the first answer, in round trips.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RoundTrips {
    pub(crate) contender: String,
    pub(crate) round_trips: Result<f64, String>,
}

impl Shape {
    pub(crate) fn closed((connections, depth): (usize, usize)) -> Self {
        Self { connections, depth, rate: None }
    }

    /// As tables name it.
    pub(crate) fn name(&self) -> String {
        match self.rate {
            None => format!("{} × {}", self.connections, self.depth),
            Some(rate) => format!("{rate:.0}/s"),
        }
    }
}

/// Which figure of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    /// Requests a second.
    Rate,
    /// In µs.
    P50,
    P99,
    P999,
    /// The server's, in µs a request.
    Cpu,
    /// Bytes of a request and its reply on the wire.
    Bytes,
}

impl Figure {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Figure::Rate => "requests/s",
            Figure::P50 => "p50",
            Figure::P99 => "p99",
            Figure::P999 => "p99.9",
            Figure::Cpu => "server CPU a request",
            Figure::Bytes => "bytes a request",
        }
    }

    pub(crate) fn of(self, report: &Report) -> f64 {
        let latency = |ns: fn(&sutra_load::Latency) -> u64| {
            report.latency.as_ref().map_or(f64::NAN, |latency| ns(latency) as f64 / 1000.0)
        };
        match self {
            Figure::Rate => report.requests_per_second,
            Figure::P50 => latency(|latency| latency.p50_ns),
            Figure::P99 => latency(|latency| latency.p99_ns),
            Figure::P999 => latency(|latency| latency.p99_9_ns),
            Figure::Cpu => report.server_cpu.as_ref().map_or(f64::NAN, |cpu| cpu.total_us),
            Figure::Bytes => report.bytes_sent + report.bytes_received,
        }
    }
}

impl Record {
    pub(crate) fn cell(&self, section: &str, contender: &str, shape: Shape) -> Option<&Cell> {
        let section = self.sections.iter().find(|candidate| candidate.id == section)?;
        section.cells.iter().find(|cell| cell.contender == contender && cell.shape == shape)
    }
}

impl Cell {
    pub(crate) fn new(contender: &str, shape: Shape) -> Self {
        Self {
            contender: contender.to_owned(),
            shape,
            rounds: Vec::new(),
            failed: None,
            bound_by_load: 0,
            system_calls: None,
        }
    }

    /// The fair rounds' figures. None where half of the rounds or more were not fair, or where the
    /// contender failed: what is left of it would flatter or wrong it.
    pub(crate) fn figures(&self, figure: Figure) -> Option<Spread> {
        if self.failed.is_some() {
            return None;
        }
        let fair: Vec<f64> = self.rounds.iter().flatten().map(|report| figure.of(report)).collect();
        if fair.is_empty() || fair.len() * 2 <= self.rounds.len() {
            return None;
        }
        Spread::of(fair)
    }

    /// This one's figure over another's, by the rounds that are fair in both.
    pub(crate) fn ratio(&self, other: &Self, figure: Figure) -> Option<Spread> {
        self.figures(figure)?;
        other.figures(figure)?;
        let pairs = self.rounds.iter().zip(&other.rounds);
        let ratio = |(this, other): (&Option<Report>, &Option<Report>)| {
            Some(figure.of(this.as_ref()?) / figure.of(other.as_ref()?))
        };
        Spread::of(pairs.filter_map(ratio).collect())
    }

    /// Rounds that were not fair.
    pub(crate) fn unfair(&self) -> usize {
        self.rounds.iter().filter(|round| round.is_none()).count()
    }

    /// The round whose p50 is the median: its distribution stands for all.
    pub(crate) fn typical(&self) -> Option<&Report> {
        let median = self.figures(Figure::P50)?.median;
        let distance = |report: &&Report| (Figure::P50.of(report) - median).abs();
        self.rounds.iter().flatten().min_by(|a, b| distance(a).total_cmp(&distance(b)))
    }
}

/// A median with the lowest and the highest round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// None of no figures, or where one is no number.
    pub(crate) fn of(mut figures: Vec<f64>) -> Option<Self> {
        if figures.is_empty() || figures.iter().any(|figure| !figure.is_finite()) {
            return None;
        }
        figures.sort_by(f64::total_cmp);
        let middle = figures.len() / 2;
        let median =
            if figures.len() % 2 == 1 { figures[middle] } else { f64::midpoint(figures[middle - 1], figures[middle]) };
        Some(Self { median, low: figures[0], high: *figures.last()? })
    }

    /// How two spreads of the same thing lie to each other.
    pub(crate) fn agreement(&self, other: &Self) -> Agreement {
        let within = |spread: &Self, median: f64| (spread.low..=spread.high).contains(&median);
        match (within(self, other.median), within(other, self.median)) {
            (true, true) => Agreement::Both,
            (false, false) if self.high < other.low || other.high < self.low => Agreement::Apart,
            (false, false) => Agreement::Ranges,
            _ => Agreement::One,
        }
    }
}

/// How two spreads of the same thing lie to each other. All but the last agree: there are values
/// that both say are possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agreement {
    /// Each median lies within the other's spread.
    Both,
    /// One of the medians does.
    One,
    /// None does, and the spreads overlap.
    Ranges,
    /// The spreads have nothing in common.
    Apart,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(rates: &[Option<f64>]) -> Cell {
        let report = |rate: f64| Report { requests_per_second: rate, ..Report::default() };
        Cell {
            rounds: rates.iter().map(|rate| rate.map(report)).collect(),
            ..Cell::new("somebody", Shape::closed((1, 1)))
        }
    }

    #[test]
    fn figures_are_the_fair_rounds_and_there_are_none_where_half_were_not_fair() {
        let spread = cell(&[Some(3.0), Some(1.0), None, Some(2.0)]).figures(Figure::Rate);
        assert_eq!(spread, Some(Spread { median: 2.0, low: 1.0, high: 3.0 }));
        assert_eq!(cell(&[Some(1.0), None]).figures(Figure::Rate), None);
        assert_eq!(cell(&[]).figures(Figure::Rate), None);
        let failed = Cell { failed: Some("it died".into()), ..cell(&[Some(1.0)]) };
        assert_eq!(failed.figures(Figure::Rate), None);
    }

    #[test]
    fn a_ratio_is_taken_round_by_round_where_both_were_fair() {
        // The host was twice as slow in the second round: the ratio does not see it.
        let (one, other) = (cell(&[Some(4.0), Some(2.0), Some(9.0)]), cell(&[Some(2.0), Some(1.0), None]));
        assert_eq!(one.ratio(&other, Figure::Rate), Some(Spread { median: 2.0, low: 2.0, high: 2.0 }));
    }

    #[test]
    fn two_spreads_agree_by_their_medians_or_at_least_overlap_or_are_apart() {
        let one = Spread { median: 1.0, low: 0.9, high: 1.2 };
        for (median, low, high, agreement) in [
            (1.1, 0.95, 1.3, Agreement::Both),
            (1.15, 1.1, 1.3, Agreement::One),
            (1.3, 0.95, 1.4, Agreement::One),
            (1.3, 1.15, 1.4, Agreement::Ranges),
            (1.3, 1.25, 1.4, Agreement::Apart),
            (0.7, 0.6, 0.8, Agreement::Apart),
        ] {
            let other = Spread { median, low, high };
            assert_eq!((one.agreement(&other), other.agreement(&one)), (agreement, agreement), "{other:?}");
        }
    }
}
