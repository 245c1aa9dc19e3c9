//! Numbers that Prometheus is shown.
//!
//! Names are in base units (seconds, bytes). What only rises is shown with `_total` behind its
//! name.

/// A number, or one for each value of some labels.
#[derive(Clone, Debug)]
pub struct Metric {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
    pub(crate) series: Vec<(Vec<(&'static str, String)>, Series)>,
}

/// What kind of numbers a metric has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
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
        /// The same with finer buckets, for whoever reads them.
        native: NativeBuckets,
    },
}

/// How often values were seen, as a native histogram of Prometheus has it: a bucket of the index i
/// is for values above b^(i-1) and up to b^i, where b is 2^(2^-schema).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NativeBuckets {
    /// How fine they are.
    pub schema: i32,
    /// How many values were at most so large, and of no bucket.
    pub zero: (f64, u64),
    /// How many were in each bucket by its index, rising; those that have none are left out.
    pub buckets: Vec<(i32, u64)>,
}

impl Series {
    fn kind(&self) -> Kind {
        match self {
            Self::Counter(_) => Kind::Counter,
            Self::Gauge(_) => Kind::Gauge,
            Self::Histogram { .. } => Kind::Histogram,
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

    /// One number that has labels.
    pub(crate) fn with_labels(
        name: &'static str,
        help: &'static str,
        labels: Vec<(&'static str, String)>,
        series: Series,
    ) -> Self {
        Self { name, help, kind: series.kind(), series: vec![(labels, series)] }
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
        let labelled = |(value, series): (L, Series)| (vec![(label, value.into())], series);
        let series: Vec<_> = values.into_iter().map(labelled).collect();
        let kind = series.first().map_or(Kind::Gauge, |(_, first)| first.kind());
        debug_assert!(series.iter().all(|(_, series)| series.kind() == kind));
        Self { name, help, kind, series }
    }
}
