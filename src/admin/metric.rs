//! Numbers as Prometheus reads them.
//!
//! Names are in base units (seconds, bytes). What only rises is shown with `_total` behind its
//! name.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// A number, or one for each value of some labels.
#[derive(Clone, Debug)]
pub struct Metric {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    series: Vec<(Vec<(&'static str, String)>, Series)>,
}

/// One of them at a moment.
#[derive(Clone, Debug, PartialEq)]
pub enum Series {
    /// What only rises.
    Counter(f64),
    /// What rises and falls.
    Gauge(f64),
    /// How often values were seen.
    Histogram {
        /// How many values were at most so large, for each bound; the last bound is infinity.
        buckets: Vec<(f64, u64)>,
        /// What they add up to.
        sum: f64,
    },
}

impl Series {
    fn kind(&self) -> MetricType {
        match self {
            Self::Counter(_) => MetricType::Counter,
            Self::Gauge(_) => MetricType::Gauge,
            Self::Histogram { .. } => MetricType::Histogram,
        }
    }
}

impl Metric {
    /// What only rises.
    #[expect(clippy::cast_precision_loss, reason = "Prometheus reads doubles")]
    pub fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Self::one(name, help, Series::Counter(value as f64))
    }

    /// What rises and falls.
    pub fn gauge(name: &'static str, help: &'static str, value: f64) -> Self {
        Self::one(name, help, Series::Gauge(value))
    }

    /// One number.
    pub fn one(name: &'static str, help: &'static str, series: Series) -> Self {
        Self { name, help, kind: series.kind(), series: vec![(Vec::new(), series)] }
    }

    /// What rises and falls, for each value of a label.
    pub fn gauges<L: Into<String>>(
        name: &'static str,
        help: &'static str,
        label: &'static str,
        values: impl IntoIterator<Item = (L, f64)>,
    ) -> Self {
        let gauges = values.into_iter().map(|(value, number)| (value, Series::Gauge(number)));
        Self::labelled(name, help, label, gauges)
    }

    /// A number of one kind for each value of a label.
    pub fn labelled<L: Into<String>>(
        name: &'static str,
        help: &'static str,
        label: &'static str,
        values: impl IntoIterator<Item = (L, Series)>,
    ) -> Self {
        let labelled =
            |(value, series): (L, Series)| (vec![(label, escaped(&value.into()))], series);
        let series: Vec<_> = values.into_iter().map(labelled).collect();
        let kind = series.first().map_or(MetricType::Gauge, |(_, first)| first.kind());
        debug_assert!(series.iter().all(|(_, series)| series.kind().as_str() == kind.as_str()));
        Self { name, help, kind, series }
    }
}

/// A label's value as it stands between quotes; the library leaves that to its caller.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

/// All of them, in OpenMetrics' text.
pub(crate) fn exposition(metrics: Vec<Metric>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Metrics(metrics)));
    let mut text = String::new();
    encode(&mut text, &registry).expect("writing text into memory can't fail");
    text
}

#[derive(Debug)]
struct Metrics(Vec<Metric>);

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Metric { name, help, kind, series } in &self.0 {
            // What is counted nowhere has no series, and needs no description.
            if series.is_empty() {
                continue;
            }
            let mut family = encoder.encode_descriptor(name, help, None, *kind)?;
            for (labels, series) in series {
                if labels.is_empty() {
                    series.encode_into(&mut family)?;
                } else {
                    series.encode_into(&mut family.encode_family(labels)?)?;
                }
            }
        }
        Ok(())
    }
}

impl Series {
    fn encode_into(&self, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        match self {
            Self::Counter(value) => encoder.encode_counter::<NoLabelSet, _, f64>(value, None),
            Self::Gauge(value) => encoder.encode_gauge(value),
            Self::Histogram { buckets, sum } => {
                // The encoder adds them up itself.
                let mut below = 0;
                let each: Vec<(f64, u64)> = buckets
                    .iter()
                    .map(|(bound, at_most)| {
                        let here = at_most - below;
                        below = *at_most;
                        (if bound.is_infinite() { f64::MAX } else { *bound }, here)
                    })
                    .collect();
                encoder.encode_histogram::<NoLabelSet>(*sum, below, &each, None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_read_as_open_metrics_has_them() {
        let buckets = vec![(0.5, 1), (1.0, 3), (f64::INFINITY, 4)];
        let text = exposition(vec![
            Metric::counter("things", "Things done", 7),
            Metric::gauges("parts", "Parts", "state", [("up", 2.0), ("gave \"up\"", 1.0)]),
            Metric::labelled(
                "took_seconds",
                "How long",
                "what",
                [("one", Series::Histogram { buckets, sum: 4.5 })],
            ),
            Metric::gauges("nothing", "Nobody", "name", Vec::<(String, f64)>::new()),
        ]);
        let expected = "# HELP things Things done\n\
                        # TYPE things counter\n\
                        things_total 7.0\n\
                        # HELP parts Parts\n\
                        # TYPE parts gauge\n\
                        parts{state=\"up\"} 2.0\n\
                        parts{state=\"gave \\\"up\\\"\"} 1.0\n\
                        # HELP took_seconds How long\n\
                        # TYPE took_seconds histogram\n\
                        took_seconds_sum{what=\"one\"} 4.5\n\
                        took_seconds_count{what=\"one\"} 4\n\
                        took_seconds_bucket{le=\"0.5\",what=\"one\"} 1\n\
                        took_seconds_bucket{le=\"1.0\",what=\"one\"} 3\n\
                        took_seconds_bucket{le=\"+Inf\",what=\"one\"} 4\n\
                        # EOF\n";
        assert_eq!(text, expected);
    }
}
