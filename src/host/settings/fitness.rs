//! What the host can do, as rows of the table: what was measured, against what is to be expected
//! and against the last time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sutra_runtime::by_use;

use crate::fitness::disk;
use crate::fitness::record::{Measurement, Record};
use crate::fitness::waking::{self, Waiting};
use crate::host::Host;
use crate::setting::{Group, Look, Setting, Severity, State};

/// With one writer, and with as many as one commit gathers in a busy moment.
const WRITERS: [usize; 2] = [1, 32];
/// Ten seconds in all: three for each number of writers, two for each way of waiting.
const COMMITTING: Duration = Duration::from_secs(3);
const WAKING: Duration = Duration::from_secs(2);
/// A commit that takes longer, in µs, is one of a disk without power-loss protection; and one that
/// takes so much longer is one of moving parts.
const SLOW_COMMIT: f64 = 2_000.0;
const VERY_SLOW_COMMIT: f64 = 10_000.0;
/// An exchange of two sleepers that takes longer, in µs, is one of deep sleep or of a busy
/// hypervisor.
const SLOW_WAKING: f64 = 250.0;
/// So many times as long as the last time is worth a word, and worth a warning.
const SLOWER: f64 = 1.5;
const MUCH_SLOWER: f64 = 3.0;

const NOT_HERE: &str = "it is measured on this host only, not below --root";

pub(crate) const ALL: &[Setting] = &[
    Setting {
        name: "disk-fitness",
        group: Group::Fitness,
        why: "A write is answered when its commit is on stable storage. This is how long that \
              takes on this disk, and it bounds how many writers are answered in a second.",
        effect: "A durable write takes one commit at least, and up to two where another one is \
                 under way.",
        source: "measured here, by the server's own write path",
        look: commits,
        tuning: None,
    },
    Setting {
        name: "waking",
        group: Group::Fitness,
        why: "An idle core sleeps. The first request after a pause waits until it is awake, and \
              its client until it is awake itself.",
        effect: "The difference between both asleep and both spinning is what `sutra serve \
                 --spin` can take away.",
        source: "measured here, by two cores of the server's runtime over the loopback",
        look: exchanges,
        tuning: None,
    },
];

fn commits(host: &Host) -> Look {
    if !host.root.is_here() {
        return Look::unknown(NOT_HERE);
    }
    let (mode, [one, many]) = match disk::measure(&host.nearest(), WRITERS, COMMITTING) {
        Ok(measured) => measured,
        Err(error) => return Look::unknown(format!("it can't be measured: {error}")),
    };
    let current = format!(
        "a commit takes {:.0} µs (p99 {:.0}), {:.0} a second; of 32 writers {:.0} µs (p99 {:.0}), \
         {:.0} writes a second ({mode})",
        one.p50, one.p99, one.rate, many.p50, many.p99, many.records
    );
    let wanted = format!("a commit within {} ms", SLOW_COMMIT / 1e3);
    let remedy = "a disk with power-loss protection; see `sutra doctor disk`";
    let look = match one.p50 {
        p50 if p50 > VERY_SLOW_COMMIT => Look::wrong(Severity::Warning, current, wanted, remedy),
        p50 if p50 > SLOW_COMMIT => Look::wrong(Severity::Hint, current, wanted, remedy),
        _ => Look::good(current, wanted),
    };
    let figures = [
        ("commit_p50_us", one.p50),
        ("commit_p99_us", one.p99),
        ("commits_per_second", one.rate),
        ("group_commit_p50_us", many.p50),
        ("group_commit_p99_us", many.p99),
        ("group_writes_per_second", many.records),
    ];
    let what = format!("disk {}", host.data().display());
    compared(host, look, &figures, &what, &["commit_p50_us", "group_commit_p50_us"])
}

fn exchanges(host: &Host) -> Look {
    if !host.root.is_here() {
        return Look::unknown(NOT_HERE);
    }
    let allowed = sutra_runtime::allowed_cpus();
    let two = match by_use(&allowed)[..] {
        [first, second, ..] => [first, second],
        _ => [allowed[0]; 2],
    };
    let asleep = match waking::measure(two, Waiting::Asleep, WAKING) {
        Ok(measured) => measured,
        Err(error) => return Look::unknown(format!("it can't be measured: {error}")),
    };
    let mut figures = vec![("asleep_p50_us", asleep.p50), ("asleep_p99_us", asleep.p99)];
    let mut current = format!("both asleep {:.0} µs (p99 {:.0})", asleep.p50, asleep.p99);
    // Two that spin on one CPU take turns by the scheduler's clock.
    if two[0] == two[1] {
        current += "; spinning needs two CPUs";
    } else {
        match waking::measure(two, Waiting::Spinning, WAKING) {
            Ok(spinning) => {
                current +=
                    &format!("; both spinning {:.0} µs (p99 {:.0})", spinning.p50, spinning.p99);
                figures.push(("spinning_p50_us", spinning.p50));
                figures.push(("spinning_p99_us", spinning.p99));
            }
            Err(error) => current += &format!("; spinning can't be measured: {error}"),
        }
    }
    let wanted = format!("both asleep within {SLOW_WAKING} µs");
    let look = match asleep.p50 > SLOW_WAKING {
        true => Look::wrong(
            Severity::Hint,
            current,
            wanted,
            "see `sutra doctor cpu`; `sutra serve --spin adaptive` keeps cores awake for a while",
        ),
        false => Look::good(current, wanted),
    };
    compared(host, look, &figures, "waking", &["asleep_p50_us", "spinning_p50_us"])
}

/// The look with its figures, held against the last time, which they then replace. `judged` are
/// those that should not have grown.
fn compared(
    host: &Host,
    mut look: Look,
    figures: &[(&'static str, f64)],
    what: &str,
    judged: &[&str],
) -> Look {
    look.figures = figures.iter().copied().collect();
    let Some(record) = host.record.clone().map(Record) else {
        look.measured = "not kept: neither XDG_STATE_HOME nor HOME names a folder".into();
        return look;
    };
    let (words, growth) = match record.last(what) {
        Err(error) => (format!("begun anew: {} can't be read: {error}", record.0.display()), 1.0),
        Ok(None) => (format!("the first time; kept in {}", record.0.display()), 1.0),
        Ok(Some(last)) => since(&last, figures, judged),
    };
    look.measured = words;
    let busy = host.root.text("/proc/loadavg").and_then(|load| busy(&load, host.online()?.len()));
    look.measured += busy.as_deref().unwrap_or_default();
    let severity = match growth {
        // What a busy host takes longer for is no word on its disk.
        _ if busy.is_some() => None,
        growth if growth >= MUCH_SLOWER => Some(Severity::Warning),
        growth if growth >= SLOWER => Some(Severity::Hint),
        _ => None,
    };
    if let Some(severity) = severity.filter(|worse| State::Wrong(*worse) > look.state) {
        look.state = State::Wrong(severity);
        look.remedy = "see what is different since: `sutra doctor`, `iostat -x 1`, `top`; then \
                       measure again"
            .into();
    }
    let measurement = Measurement {
        at_us: now(),
        kernel: host.kernel().unwrap_or_default(),
        figures: figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
    };
    if let Err(error) = record.keep(what, measurement) {
        look.measured += &format!("; not kept: {}: {error}", record.0.display());
    }
    look
}

/// That more wanted to run than there are CPUs, the measurement left out; `None` where that is not
/// so.
fn busy(loadavg: &str, cpus: usize) -> Option<String> {
    let load: f64 = loadavg.split(' ').next()?.parse().ok()?;
    let is_busy = load > cpus as f64 + 1.0;
    is_busy.then(|| {
        format!("; this host is busy (load {load:.1}, CPUs {cpus}): measure again when it is not")
    })
}

/// What the last time was like, and how many times as long things take now.
fn since(last: &Measurement, figures: &[(&'static str, f64)], judged: &[&str]) -> (String, f64) {
    let mut words = Vec::new();
    let mut greatest = 0.0f64;
    for (name, now) in figures.iter().filter(|(name, _)| judged.contains(name)) {
        let Some(before) = last.figures.get(*name).filter(|before| **before > 0.0) else {
            continue;
        };
        greatest = greatest.max(now / before);
        let plain = name.trim_end_matches("_p50_us").replace('_', " ");
        words.push(format!("{plain} {before:.0} µs, now {:.2} of it", now / before));
    }
    let when = jiff::Timestamp::from_microsecond(i64::try_from(last.at_us).unwrap_or(0));
    let when = when.map_or_else(|_| String::new(), |at| at.strftime("%F %R UTC").to_string());
    let kernel = &last.kernel;
    (format!("last time ({when}, Linux {kernel}): {}", words.join("; ")), greatest)
}

/// µs since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::tests::host;
    use crate::root::tests::Sample;

    #[test]
    fn a_host_on_which_more_wants_to_run_than_can_is_told_to_be_busy() {
        assert_eq!(busy("2.90 1.00 0.50 3/99 7", 2), None);
        let words = busy("7.16 6.33 6.81 3/99 7", 2).unwrap();
        assert!(words.contains("load 7.2, CPUs 2"), "{words}");
        assert_eq!(busy("nonsense", 2), None);
    }

    #[test]
    fn what_takes_longer_than_the_last_time_is_told_by_how_much() {
        let sample = Sample::new(&[
            ("/proc/loadavg", "0.50 0.40 0.30 1/99 7\n"),
            ("/sys/devices/system/cpu/online", "0-1\n"),
        ]);
        let at = |here: &Host, p50: f64| {
            let figures = [("commit_p50_us", p50), ("commits_per_second", 9.0)];
            compared(here, Look::good("", ""), &figures, "disk /x", &["commit_p50_us"])
        };
        let here = host(sample.root());
        assert!(at(&here, 100.0).measured.starts_with("not kept"));
        let here = here.with_record(sample.root().at("/state/doctor.json"));
        assert!(at(&here, 100.0).measured.starts_with("the first time"));
        let same = at(&here, 120.0);
        assert_eq!(same.state, State::Good);
        assert!(same.measured.contains("commit 100 µs, now 1.20 of it"), "{}", same.measured);
        assert_eq!(at(&here, 240.0).state, State::Wrong(Severity::Hint));
        let much = at(&here, 960.0);
        assert_eq!(much.state, State::Wrong(Severity::Warning));
        assert!(much.figures["commit_p50_us"] == 960.0 && !much.remedy.is_empty());
        // On a busy host it is told, and judged by nobody.
        sample.write("/proc/loadavg", "9.00 8.00 7.00 9/99 7\n");
        let busy = at(&here, 9600.0);
        assert!(busy.state == State::Good && busy.measured.contains("now 10.00 of it; this host"));
    }

    #[test]
    fn nothing_is_measured_below_another_root() {
        let elsewhere = host(Sample::new(&[]).root());
        let states = (commits(&elsewhere).state, exchanges(&elsewhere).state);
        assert_eq!(states, (State::Unknown, State::Unknown));
    }
}
