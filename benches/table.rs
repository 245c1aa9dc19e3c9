//! Figures over rounds: the median with the spread, and ratios of medians.

use sutra_load::Report;

/// One contender's figures of one kind, a round each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rounds(Vec<f64>);

impl Rounds {
    pub(crate) fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => f64::NAN,
            odd if odd % 2 == 1 => sorted[odd / 2],
            even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
        }
    }

    /// The median, and in brackets the lowest and highest round.
    pub(crate) fn show(&self, digits: usize) -> String {
        let low = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let high = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        format!("{:.digits$} [{low:.digits$}, {high:.digits$}]", self.median())
    }

    /// The median of this one's rounds over the other's, round by round.
    pub(crate) fn ratio(&self, other: &Rounds) -> Rounds {
        Rounds(self.0.iter().zip(&other.0).map(|(this, other)| this / other).collect())
    }
}

/// One contender's latency, rate and CPU time under one load.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    p50: Rounds,
    rate: Rounds,
    cpu: Rounds,
}

impl Figures {
    pub(crate) fn add(&mut self, report: &Report) {
        self.p50.push(report.latency.as_ref().map_or(f64::NAN, |latency| latency.p50_ns as f64 / 1000.0));
        self.rate.push(report.requests_per_second / 1000.0);
        self.cpu.push(report.server_cpu.as_ref().map_or(f64::NAN, |cpu| cpu.total_us));
    }

    /// Thousands a second.
    pub(crate) fn rates(&self) -> &Rounds {
        &self.rate
    }

    /// What stands above [`Figures::row`].
    pub(crate) fn heading(name: &str) -> String {
        line(name, ["p50 µs", "thousand/s", "server CPU µs a request"].map(str::to_owned))
    }

    pub(crate) fn row(&self, name: &str) -> String {
        line(name, [self.p50.show(1), self.rate.show(1), self.cpu.show(2)])
    }

    /// A row of this one's figures over the other's.
    pub(crate) fn ratios(&self, other: &Self, name: &str) -> String {
        let ratio = |this: &Rounds, other| this.ratio(other).show(3);
        line(name, [ratio(&self.p50, &other.p50), ratio(&self.rate, &other.rate), ratio(&self.cpu, &other.cpu)])
    }
}

fn line(name: &str, [p50, rate, cpu]: [String; 3]) -> String {
    format!("{name:<22} {p50:<26} {rate:<26} {cpu}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ratios_go_round_by_round() {
        let (mut a, mut b) = (Rounds::default(), Rounds::default());
        [1.0, 3.0, 2.0].into_iter().for_each(|figure| a.push(figure));
        [2.0, 3.0, 8.0].into_iter().for_each(|figure| b.push(figure));
        assert_eq!((a.median(), a.ratio(&b).median(), a.show(1)), (2.0, 0.5, "2.0 [1.0, 3.0]".to_owned()));
    }
}
