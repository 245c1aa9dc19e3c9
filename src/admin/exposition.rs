//! What Prometheus is shown, in the format that it asks for.
//!
//! | format | asked for by | what is special |
//! |---|---|---|
//! | text, 0.0.4 | nothing, and whoever reads with his eyes | a counter is described with `_total` |
//! | OpenMetrics, 1.0.0 | Prometheus by default | a counter is described without; `# EOF` |
//! | protobuf | Prometheus, where it stores native histograms | histograms have all their buckets |

mod accept;
mod format;
mod protobuf;
mod text;

use crate::metric::Metric;
use format::Format;

/// The format that an `Accept` header asks for; text where it asks for none that there is.
pub(crate) fn wanted(accept: &str) -> Format {
    accept::best(accept).unwrap_or(Format::Text)
}

/// All of them in a format.
pub(crate) fn show(metrics: &[Metric], format: Format) -> Vec<u8> {
    match format {
        Format::Text => text::plain(metrics).into_bytes(),
        Format::OpenMetrics => text::open_metrics(metrics).into_bytes(),
        Format::Protobuf => protobuf::delimited(metrics),
    }
}
