//! Metrics as Prometheus's own messages (io.prometheus.client): the only format in which it takes
//! native histograms. Each family is preceded by its length.
//!
//! The fields that are used here, under their numbers there.

use prost::Message;

use crate::metric::{Kind, Metric, NativeBuckets, Series};

#[derive(Clone, PartialEq, Message)]
struct MetricFamily {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    help: String,
    #[prost(enumeration = "MetricType", tag = "3")]
    kind: i32,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<Sample>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
enum MetricType {
    Counter = 0,
    Gauge = 1,
    Histogram = 4,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Number>,
    #[prost(message, optional, tag = "3")]
    counter: Option<Number>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct LabelPair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// A gauge or a counter.
#[derive(Clone, PartialEq, Message)]
struct Number {
    #[prost(double, tag = "1")]
    value: f64,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(uint64, tag = "1")]
    sample_count: u64,
    #[prost(double, tag = "2")]
    sample_sum: f64,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<Bucket>,
    #[prost(sint32, tag = "5")]
    schema: i32,
    #[prost(double, tag = "6")]
    zero_threshold: f64,
    #[prost(uint64, tag = "7")]
    zero_count: u64,
    #[prost(message, repeated, tag = "12")]
    positive_span: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "13")]
    positive_delta: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Bucket {
    #[prost(uint64, tag = "1")]
    cumulative_count: u64,
    #[prost(double, tag = "2")]
    upper_bound: f64,
}

/// Buckets without a gap: how far the first is behind the last one of the span before, and how many
/// they are.
#[derive(Clone, PartialEq, Message)]
struct BucketSpan {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}

/// All of them, each behind its length.
pub(super) fn delimited(metrics: &[Metric]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for metric in metrics.iter().filter(|metric| !metric.series.is_empty()) {
        bytes.extend(family(metric).encode_length_delimited_to_vec());
    }
    bytes
}

fn family(metric: &Metric) -> MetricFamily {
    let Metric { name, help, kind, series } = metric;
    let (name, kind) = match kind {
        Kind::Counter => (format!("{name}_total"), MetricType::Counter),
        Kind::Gauge => ((*name).to_owned(), MetricType::Gauge),
        Kind::Histogram => ((*name).to_owned(), MetricType::Histogram),
    };
    let samples = series.iter().map(|(labels, series)| {
        let label = |(name, value): &(&str, String)| LabelPair {
            name: (*name).to_owned(),
            value: value.clone(),
        };
        Sample { label: labels.iter().map(label).collect(), ..sample(series) }
    });
    MetricFamily { name, help: (*help).to_owned(), kind: kind.into(), metric: samples.collect() }
}

fn sample(series: &Series) -> Sample {
    let number = |value: &f64| Some(Number { value: *value });
    match series {
        Series::Counter(value) => Sample { counter: number(value), ..Sample::default() },
        Series::Gauge(value) => Sample { gauge: number(value), ..Sample::default() },
        Series::Histogram { buckets, sum, native } => {
            let bucket = |(bound, at_most): &(f64, u64)| Bucket {
                cumulative_count: *at_most,
                upper_bound: *bound,
            };
            let (positive_span, positive_delta) = spans(native);
            let histogram = Histogram {
                sample_count: buckets.last().map(|(_, all)| *all).unwrap_or_default(),
                sample_sum: *sum,
                bucket: buckets.iter().map(bucket).collect(),
                schema: native.schema,
                zero_threshold: native.zero.0,
                zero_count: native.zero.1,
                positive_span,
                positive_delta,
            };
            Sample { histogram: Some(histogram), ..Sample::default() }
        }
    }
}

/// Which buckets there are, and what each has more than the one before.
fn spans(native: &NativeBuckets) -> (Vec<BucketSpan>, Vec<i64>) {
    let (mut spans, mut deltas): (Vec<BucketSpan>, Vec<i64>) = (Vec::new(), Vec::new());
    let (mut next, mut before) = (0, 0);
    for (index, count) in &native.buckets {
        match spans.last_mut() {
            Some(span) if *index == next => span.length += 1,
            _ => spans.push(BucketSpan { offset: index - next, length: 1 }),
        }
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        deltas.push(count - before);
        (next, before) = (index + 1, count);
    }
    (spans, deltas)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_family_reads_back_with_its_spans() {
        let native = NativeBuckets {
            schema: 3,
            zero: (0.25, 2),
            buckets: vec![(-3, 5), (-2, 4), (1, 9), (2, 9)],
        };
        let buckets = vec![(1.0, 11), (f64::INFINITY, 29)];
        let took = Series::Histogram { buckets, sum: 4.5, native };
        let metrics = [
            Metric::counter("things", "Things done", 7),
            Metric::gauges("nothing", "Nobody", "name", Vec::<(String, f64)>::new()),
            Metric::labelled("took_seconds", "How long", "what", [("a \"b\"", took)]),
        ];
        let bytes = delimited(&metrics);
        let mut rest = &bytes[..];
        let things = MetricFamily::decode_length_delimited(&mut rest).unwrap();
        assert_eq!((things.name.as_str(), things.kind()), ("things_total", MetricType::Counter));
        assert_eq!(things.metric[0].counter, Some(Number { value: 7.0 }));
        let took = MetricFamily::decode_length_delimited(&mut rest).unwrap();
        assert!(rest.is_empty());
        let sample = &took.metric[0];
        assert_eq!(sample.label[0].value, "a \"b\"");
        let histogram = sample.histogram.as_ref().unwrap();
        assert_eq!((histogram.sample_count, histogram.zero_count, histogram.schema), (29, 2, 3));
        let spans: Vec<_> =
            histogram.positive_span.iter().map(|span| (span.offset, span.length)).collect();
        assert_eq!(spans, [(-3, 2), (2, 2)]);
        assert_eq!(histogram.positive_delta, [5, -1, 5, 0]);
    }
}
