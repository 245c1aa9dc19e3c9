//! Which format an `Accept` header asks for (RFC 9110, 12.5.1).

use super::format::Format;

/// In the order in which they are preferred where somebody likes several as well.
const FORMATS: [Format; 3] = [Format::Protobuf, Format::OpenMetrics, Format::Text];

/// The one that it likes best; `None` where it likes none of them.
pub(super) fn best(accept: &str) -> Option<Format> {
    let quality = |format: Format| {
        let ranges = accept.split(',').filter_map(Range::read);
        ranges.filter(|range| range.fits(format)).map(|range| range.quality).max()
    };
    let liked = FORMATS.into_iter().filter_map(|format| Some((format, quality(format)?)));
    let liked = liked.filter(|(_, quality)| *quality > 0);
    // The first of equals.
    liked.reduce(|best, other| if other.1 > best.1 { other } else { best }).map(|(best, _)| best)
}

/// A kind of answer, and how much it is liked: 1,000 at most.
struct Range<'a> {
    kind: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    quality: u16,
}

impl<'a> Range<'a> {
    /// `None` where it can't be read: it is left out.
    fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let kind = parts.next().filter(|kind| kind.contains('/'))?;
        let (mut parameters, mut quality) = (Vec::new(), 1000);
        for part in parts {
            let (name, value) = part.split_once('=')?;
            let (name, value) = (name.trim(), value.trim().trim_matches('"'));
            if name.eq_ignore_ascii_case("q") {
                let share: f32 = value.parse().ok().filter(|share| (0.0..=1.0).contains(share))?;
                quality = (share * 1000.0) as u16;
            } else {
                parameters.push((name, value));
            }
        }
        Some(Self { kind, parameters, quality })
    }

    fn fits(&self, format: Format) -> bool {
        let is = |kind: &str| self.kind.eq_ignore_ascii_case(kind);
        let has = |name: &str, allowed: &[&str]| {
            let mut of_name = self.parameters.iter().filter(|(known, _)| *known == name);
            of_name.all(|(_, value)| allowed.contains(value))
        };
        match format {
            Format::Text => {
                is("*/*") || is("text/*") || (is("text/plain") && has("version", &["0.0.4"]))
            }
            // The two versions do not differ in what is shown here.
            Format::OpenMetrics => {
                is("application/openmetrics-text") && has("version", &["1.0.0", "0.0.1"])
            }
            Format::Protobuf => {
                is("application/vnd.google.protobuf")
                    && has("proto", &["io.prometheus.client.MetricFamily"])
                    && has("encoding", &["delimited"])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_liked_best_is_taken() {
        let protobuf = "application/vnd.google.protobuf;\
                        proto=io.prometheus.client.MetricFamily;encoding=delimited";
        let rest = "application/openmetrics-text;version=1.0.0;q=0.8,\
                    application/openmetrics-text;version=0.0.1;q=0.75,\
                    text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, wanted) in [
            (&format!("{protobuf},{rest}")[..], Some(Format::Protobuf)),
            (rest, Some(Format::OpenMetrics)),
            (&format!("{protobuf};q=0.2, text/plain"), Some(Format::Text)),
            ("Text/Plain; version=0.0.4, application/openmetrics-text", Some(Format::OpenMetrics)),
            ("text/html, */*;q=0.8", Some(Format::Text)),
            ("application/openmetrics-text;version=2.0.0, text/*;q=0.1", Some(Format::Text)),
            ("application/vnd.google.protobuf;encoding=text", None),
            ("application/openmetrics-text;q=0", None),
            ("application/openmetrics-text;q=2, application/json", None),
            ("", None),
            ("nonsense;;;, /", None),
        ] {
            assert_eq!(best(accept), wanted, "{accept}");
        }
    }
}
