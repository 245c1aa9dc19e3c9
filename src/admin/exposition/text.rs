//! Metrics as text: as OpenMetrics has it, and as Prometheus had it before.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::metric::{Kind, Metric, Series};

/// All of them, in OpenMetrics' text.
pub(super) fn open_metrics(metrics: &[Metric]) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Metrics(metrics.to_vec())));
    let mut text = String::new();
    encode(&mut text, &registry).expect("writing text into memory can't fail");
    text
}

/// All of them in the text before OpenMetrics, of version 0.0.4: it has no end mark, and describes
/// a counter under its whole name.
pub(super) fn plain(metrics: &[Metric]) -> String {
    let counters = metrics.iter().filter(|metric| metric.kind == Kind::Counter);
    let counters: Vec<&str> = counters.map(|metric| metric.name).collect();
    let mut text = String::new();
    for line in open_metrics(metrics).lines().filter(|line| *line != "# EOF") {
        let mut words = line.splitn(4, ' ');
        match [words.next(), words.next(), words.next(), words.next()] {
            [Some("#"), Some(what), Some(name), Some(rest)] if counters.contains(&name) => {
                text.extend(["# ", what, " ", name, "_total ", rest]);
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
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
            let kind = match kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for (labels, series) in series {
                if labels.is_empty() {
                    write(series, &mut family)?;
                } else {
                    let labels: Vec<_> =
                        labels.iter().map(|(label, value)| (*label, escaped(value))).collect();
                    write(series, &mut family.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }
}

/// A label's value as it stands between quotes; the library leaves that to its caller.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

fn write(series: &Series, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
    match series {
        Series::Counter(value) => encoder.encode_counter::<NoLabelSet, _, f64>(value, None),
        Series::Gauge(value) => encoder.encode_gauge(value),
        Series::Histogram { buckets, sum, .. } => {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::NativeBuckets;

    fn sample() -> Vec<Metric> {
        let buckets = vec![(0.5, 1), (1.0, 3), (f64::INFINITY, 4)];
        let took = Series::Histogram { buckets, sum: 4.5, native: NativeBuckets::default() };
        vec![
            Metric::counter("things", "Things done", 7),
            Metric::gauges("parts", "Parts", "state", [("up", 2.0), ("gave \"up\"", 1.0)]),
            Metric::labelled("took_seconds", "How long", "what", [("one", took)]),
            Metric::gauges("nothing", "Nobody", "name", Vec::<(String, f64)>::new()),
        ]
    }

    const REST: &str = "# HELP parts Parts\n\
                        # TYPE parts gauge\n\
                        parts{state=\"up\"} 2.0\n\
                        parts{state=\"gave \\\"up\\\"\"} 1.0\n\
                        # HELP took_seconds How long\n\
                        # TYPE took_seconds histogram\n\
                        took_seconds_sum{what=\"one\"} 4.5\n\
                        took_seconds_count{what=\"one\"} 4\n\
                        took_seconds_bucket{le=\"0.5\",what=\"one\"} 1\n\
                        took_seconds_bucket{le=\"1.0\",what=\"one\"} 3\n\
                        took_seconds_bucket{le=\"+Inf\",what=\"one\"} 4\n";

    #[test]
    fn metrics_read_as_open_metrics_has_them() {
        let counter = "# HELP things Things done\n# TYPE things counter\nthings_total 7.0\n";
        assert_eq!(open_metrics(&sample()), format!("{counter}{REST}# EOF\n"));
    }

    #[test]
    fn before_open_metrics_a_counter_has_its_whole_name_and_nothing_marks_the_end() {
        let counter =
            "# HELP things_total Things done\n# TYPE things_total counter\nthings_total 7.0\n";
        assert_eq!(plain(&sample()), format!("{counter}{REST}"));
    }
}
