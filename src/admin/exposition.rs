//! What Prometheus is shown, in the format that it asks for.
//!
//! | format | asked for by | what is special |
//! |---|---|---|
//! | text, 0.0.4 | nothing, and whoever reads with his eyes | a counter is described with `_total` |
//! | OpenMetrics, 1.0.0 | Prometheus by default | a counter is described without; `# EOF` |
//! | protobuf | Prometheus, where it stores native histograms | histograms have all their buckets |

mod accept;
mod protobuf;
mod text;

use crate::metric::Metric;

/// A format that Prometheus reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    OpenMetrics,
    Protobuf,
}

impl Format {
    /// The one that an `Accept` header asks for; text where it asks for none that there is.
    pub(crate) fn wanted(accept: &str) -> Self {
        accept::best(accept).unwrap_or(Self::Text)
    }

    /// What it is called over HTTP.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                 encoding=delimited"
            }
        }
    }

    /// All of them in this format.
    pub(crate) fn show(self, metrics: &[Metric]) -> Vec<u8> {
        match self {
            Self::Text => text::plain(metrics).into_bytes(),
            Self::OpenMetrics => text::open_metrics(metrics).into_bytes(),
            Self::Protobuf => protobuf::delimited(metrics),
        }
    }
}
