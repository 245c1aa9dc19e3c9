//! One contender under one load: its rounds, and the figures made of them.

use serde::{Deserialize, Serialize};
use sutra_load::{Latency, Report};

use crate::spread::Spread;

/// One contender under one load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) contender: String,
    pub(crate) shape: Shape,
    /// One report for each round; `None` for a round that could not be measured fairly.
    pub(crate) rounds: Vec<Option<Report>>,
    /// How the contender failed, if it did. It then has no figures.
    pub(crate) failed: Option<String>,
    /// In how many rounds the load was the limit: its CPU was busy, and the server's was not. The
    /// rate is then a lower bound. In an open loop such a round must also have answered fewer
    /// requests than were due.
    pub(crate) bound_by_load: usize,
    /// The server's system calls for each request, counted in a run of its own.
    pub(crate) system_calls: Option<f64>,
}

/// A load: closed loop, or requests at a fixed rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shape {
    pub(crate) connections: usize,
    pub(crate) depth: usize,
    /// Requests a second in an open loop; `None` in a closed loop.
    pub(crate) rate: Option<f64>,
}

impl Shape {
    pub(crate) fn closed((connections, depth): (usize, usize)) -> Self {
        Self { connections, depth, rate: None }
    }

    /// Its name in tables.
    pub(crate) fn name(&self) -> String {
        match self.rate {
            None => format!("{} × {}", self.connections, self.depth),
            Some(rate) => format!("{rate:.0}/s"),
        }
    }
}

/// A figure over the fair rounds; `None` if half of the rounds or more were not fair.
pub(crate) fn fair<T>(rounds: &[Option<T>], figure: impl Fn(&T) -> f64) -> Option<Spread> {
    let fair: Vec<f64> = rounds.iter().flatten().map(figure).collect();
    if fair.len() * 2 <= rounds.len() { None } else { Spread::of(fair) }
}

/// A figure made of two things' rounds, over the rounds that are fair in both.
pub(crate) fn paired<T>(
    these: &[Option<T>],
    others: &[Option<T>],
    figure: impl Fn(&T, &T) -> f64,
) -> Option<Spread> {
    let pairs = these.iter().zip(others);
    Spread::of(pairs.filter_map(|(this, other)| Some(figure(this.as_ref()?, other.as_ref()?))))
}

/// A figure of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    /// Requests a second.
    Rate,
    /// The median latency, in µs.
    P50,
    P99,
    P999,
    /// The server's CPU time, in µs a request.
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
        let latency = |ns: fn(&Latency) -> u64| {
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

    /// The figure over the fair rounds. `None` if half of the rounds or more were not fair, or if
    /// the contender failed: the rest of its rounds could look better or worse than it is.
    pub(crate) fn figures(&self, figure: Figure) -> Option<Spread> {
        if self.failed.is_some() {
            return None;
        }
        fair(&self.rounds, |report| figure.of(report))
    }

    /// This cell's figure over another's, over the rounds that are fair in both.
    pub(crate) fn ratio(&self, other: &Self, figure: Figure) -> Option<Spread> {
        self.figures(figure)?;
        other.figures(figure)?;
        paired(&self.rounds, &other.rounds, |this, other| figure.of(this) / figure.of(other))
    }

    /// The round whose p50 is nearest to the median: its distribution stands for all.
    pub(crate) fn typical(&self) -> Option<&Report> {
        let median = self.figures(Figure::P50)?.median;
        let distance = |report: &&Report| (Figure::P50.of(report) - median).abs();
        self.rounds.iter().flatten().min_by(|a, b| distance(a).total_cmp(&distance(b)))
    }
}

/// The items without repetitions, in their order.
pub(crate) fn distinct<T: PartialEq>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut list = Vec::new();
    for item in items {
        if !list.contains(&item) {
            list.push(item);
        }
    }
    list
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
        let (one, other) =
            (cell(&[Some(4.0), Some(2.0), Some(9.0)]), cell(&[Some(2.0), Some(1.0), None]));
        assert_eq!(
            one.ratio(&other, Figure::Rate),
            Some(Spread { median: 2.0, low: 2.0, high: 2.0 })
        );
    }
}
