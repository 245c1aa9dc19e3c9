//! What a run found out, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::measured::Measured;
use crate::{CpuTime, Plan, Profile};

/// The figures of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The name of the workload's operation.
    pub operation: String,
    /// Connections of all threads together.
    pub connections: usize,
    /// Requests in flight on each.
    pub depth: usize,
    /// Threads that made the load.
    pub threads: usize,
    /// Whether the threads never slept.
    pub spin: bool,
    /// In an open loop: how many requests were due each second.
    pub offered_per_second: Option<f64>,
    /// In an open loop: requests that were due while measuring and had not been sent when it ended.
    /// They count in the latencies with the time that they had waited until then.
    pub overdue: u64,
    /// How long was measured, in seconds.
    pub seconds: f64,
    /// Requests answered in that time, without refused ones. In an open loop only those that were
    /// also due in it.
    pub requests: u64,
    /// The rate of `requests`, in requests a second.
    pub requests_per_second: f64,
    /// Latencies of the requests that were sent and answered while measuring; in an open loop, of
    /// all that were due while measuring. `None` without any.
    pub latency: Option<Latency>,
    /// The same latencies as pairs of a quantile (0 to 1) and its latency in ns, shortest first.
    pub distribution: Vec<(f64, u64)>,
    /// Bytes of an average request: what the sockets took while measuring.
    pub bytes_sent: f64,
    /// Bytes of an average reply: what the sockets gave while measuring.
    pub bytes_received: f64,
    /// CPU time of the load's threads over the time measured: 1.0 is one CPU kept busy.
    pub load_cpu: f64,
    /// The share of its time in which the busiest thread of the load did anything but wait. Near 1
    /// the load is what is measured, and not the server.
    pub load_busy: f64,
    /// Requests that the server refused while measuring, by status.
    pub refused: BTreeMap<String, u64>,
    /// The words of the last refusal.
    pub last_refusal: Option<String>,
    /// How often a thread that waited for answers got none on any connection for a second or
    /// longer. The latencies of the requests that waited count all the same.
    pub stalls: u64,
    /// The longest time without any answer, in ns.
    pub longest_stall_ns: u64,
    /// Whether the run was told to end before its time.
    pub interrupted: bool,
    /// Requests without an answer when an interrupted run ended.
    pub unanswered: u64,
    /// The server's CPU time a request, if it was asked for and any request was answered or
    /// refused.
    pub server_cpu: Option<CpuPerRequest>,
    /// Whether another process took over from the server while it was measured. Its counters began
    /// anew, so neither CPU time nor profile is told.
    pub server_changed: bool,
    /// Where the server's time went, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
}

/// The distribution of latencies, in ns, to three digits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// The shortest.
    pub min_ns: u64,
    /// The average.
    pub mean_ns: f64,
    /// Half are at most this.
    pub p50_ns: u64,
    /// 90 of 100 are at most this.
    pub p90_ns: u64,
    /// 99 of 100 are at most this.
    pub p99_ns: u64,
    /// 999 of 1,000 are at most this.
    pub p99_9_ns: u64,
    /// The longest.
    pub max_ns: u64,
}

/// The server's CPU time a request, in µs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CpuPerRequest {
    /// In user mode. From /proc this is in clock ticks, which is coarse in short runs.
    pub user_us: f64,
    /// In the kernel.
    pub system_us: f64,
    /// User mode and kernel together, from the finest clock there was.
    pub total_us: f64,
    /// CPU time over the time measured: 1.0 is one CPU kept busy.
    pub cores_busy: f64,
}

/// The quantiles of [`Report::distribution`].
const QUANTILES: [f64; 32] = [
    0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.92, 0.94, 0.95, 0.96,
    0.97, 0.98, 0.985, 0.99, 0.992, 0.995, 0.997, 0.998, 0.999, 0.9993, 0.9996, 0.9998, 0.9999,
    0.99999, 1.0,
];

impl Report {
    /// Adds up what the threads measured over about the same time.
    pub fn of(operation: &str, plan: &Plan, threads: &[Measured]) -> Self {
        let mut all = Measured::new();
        let mut rate = 0.0;
        let mut cpu = None;
        let mut busiest = 0f64;
        for thread in threads {
            all.seconds = all.seconds.max(thread.seconds);
            all.answered += thread.answered;
            all.carried += thread.carried;
            rate +=
                if thread.seconds > 0.0 { thread.answered as f64 / thread.seconds } else { 0.0 };
            all.latencies.add(&thread.latencies).expect("histograms of the same bounds add up");
            for (status, count) in &thread.refused {
                *all.refused.entry(status.clone()).or_default() += count;
            }
            all.last_refusal = thread.last_refusal.clone().or(all.last_refusal);
            cpu = cpu.or(thread.cpu);
            all.overdue += thread.overdue;
            all.stalls += thread.stalls;
            all.longest_stall_ns = all.longest_stall_ns.max(thread.longest_stall_ns);
            all.unanswered += thread.unanswered;
            all.bytes_sent += thread.bytes_sent;
            all.bytes_received += thread.bytes_received;
            if thread.seconds > 0.0 {
                all.load_cpu += thread.load_cpu / thread.seconds;
                busiest = busiest.max((thread.load_cpu - thread.polled) / thread.seconds);
            }
        }
        let completed = all.completed();
        let server_changed = cpu.is_some_and(|(before, after)| before.is_of_another(&after));
        Self {
            operation: operation.into(),
            connections: plan.connections,
            depth: plan.depth,
            threads: threads.len(),
            spin: plan.spin,
            offered_per_second: plan.rate,
            overdue: all.overdue,
            seconds: all.seconds,
            requests: all.answered,
            requests_per_second: rate,
            latency: Latency::of(&all.latencies),
            distribution: distribution(&all.latencies),
            bytes_sent: all.bytes_sent as f64 / completed.max(1) as f64,
            bytes_received: all.bytes_received as f64 / completed.max(1) as f64,
            load_cpu: all.load_cpu,
            load_busy: busiest.clamp(0.0, 1.0),
            refused: all.refused,
            last_refusal: all.last_refusal,
            stalls: all.stalls,
            longest_stall_ns: all.longest_stall_ns,
            interrupted: plan.stop.load(Ordering::Relaxed),
            unanswered: all.unanswered,
            server_cpu: cpu
                .filter(|_| completed > 0 && !server_changed)
                .map(|cpu| CpuPerRequest::of(cpu, completed, all.seconds)),
            server_changed,
            profile: None,
        }
    }
}

fn distribution(latencies: &Histogram<u64>) -> Vec<(f64, u64)> {
    if latencies.is_empty() {
        return Vec::new();
    }
    QUANTILES.iter().map(|quantile| (*quantile, latencies.value_at_quantile(*quantile))).collect()
}

impl Latency {
    fn of(latencies: &Histogram<u64>) -> Option<Self> {
        (!latencies.is_empty()).then(|| Self {
            min_ns: latencies.min(),
            mean_ns: latencies.mean(),
            p50_ns: latencies.value_at_quantile(0.50),
            p90_ns: latencies.value_at_quantile(0.90),
            p99_ns: latencies.value_at_quantile(0.99),
            p99_9_ns: latencies.value_at_quantile(0.999),
            max_ns: latencies.max(),
        })
    }
}

impl CpuPerRequest {
    fn of((before, after): (CpuTime, CpuTime), requests: u64, seconds: f64) -> Self {
        let each = |before: u64, after: u64| after.saturating_sub(before) as f64 / requests as f64;
        let total_ns = after.total.saturating_sub(before.total) as f64;
        Self {
            user_us: each(before.user, after.user),
            system_us: each(before.system, after.system),
            total_us: total_ns / 1000.0 / requests as f64,
            cores_busy: if seconds > 0.0 { total_ns / 1e9 / seconds } else { 0.0 },
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spin = if self.spin { ", spinning" } else { "" };
        writeln!(
            f,
            "{}: {} connections, {} in flight on each{spin}; {} requests in {:.2} s",
            self.operation, self.connections, self.depth, self.requests, self.seconds
        )?;
        write!(f, "throughput  {:.0} requests/s", self.requests_per_second)?;
        if let Some(latency) = &self.latency {
            let us = |ns: u64| ns as f64 / 1000.0;
            write!(
                f,
                "\nlatency     p50 {:.1} µs   p90 {:.1} µs   p99 {:.1} µs   \
                 p99.9 {:.1} µs   max {:.1} µs",
                us(latency.p50_ns),
                us(latency.p90_ns),
                us(latency.p99_ns),
                us(latency.p99_9_ns),
                us(latency.max_ns)
            )?;
        }
        if let Some(cpu) = &self.server_cpu {
            write!(
                f,
                "\nserver CPU  {:.2} µs a request ({:.2} user, {:.2} system), {:.2} CPUs busy",
                cpu.total_us, cpu.user_us, cpu.system_us, cpu.cores_busy
            )?;
        }
        if self.server_changed {
            // Both count from their own start.
            write!(
                f,
                "\nserver      another process took over meanwhile: how much CPU time the requests \
                 took, and for what, is not told"
            )?;
        }
        if self.stalls > 0 {
            let longest = self.longest_stall_ns as f64 / 1e9;
            write!(
                f,
                "\nstalls      {} without any answer for a second or longer, \
                 at most {longest:.1} s",
                self.stalls
            )?;
        }
        if self.interrupted {
            write!(
                f,
                "\ninterrupted before its time; {} requests were not answered",
                self.unanswered
            )?;
        }
        if let Some(offered) = self.offered_per_second {
            write!(
                f,
                "\nopen loop   {offered:.0} requests/s due, {} not sent in time",
                self.overdue
            )?;
        }
        let refused: Vec<String> =
            self.refused.iter().map(|(status, count)| format!("{status} {count}")).collect();
        write!(
            f,
            "\nrefused     {}",
            if refused.is_empty() { "none".to_owned() } else { refused.join(", ") }
        )?;
        self.last_refusal.as_ref().map_or(Ok(()), |words| write!(f, " (the last: {words})"))?;
        self.profile.as_ref().map_or(Ok(()), |profile| write!(f, "\n{profile}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(latencies: &[u64]) -> Measured {
        let mut measured =
            Measured { seconds: 2.0, answered: latencies.len() as u64, ..Measured::new() };
        latencies.iter().for_each(|ns| measured.latencies.saturating_record(*ns));
        measured
    }

    #[test]
    fn threads_add_up() {
        let (mut one, two) = (thread(&[1_000; 60]), thread(&[9_000; 40]));
        one.refused.insert("busy".into(), 100);
        one.cpu = Some((
            CpuTime::default(),
            CpuTime { user: 400, system: 600, total: 1_000_000, process: 0 },
        ));
        let report = Report::of("query", &Plan::new(([127, 0, 0, 1], 1).into()), &[one, two]);
        assert_eq!(
            (report.requests, report.requests_per_second, report.refused["busy"]),
            (100, 50.0, 100)
        );
        let latency = report.latency.expect("there were requests");
        assert_eq!((latency.p50_ns, latency.p90_ns / 100), (1_000, 90));
        let cpu = report.server_cpu.expect("it was measured");
        assert_eq!(
            (cpu.user_us, cpu.system_us, cpu.total_us, cpu.cores_busy),
            (2.0, 3.0, 5.0, 0.0005)
        );
    }

    #[test]
    fn what_was_due_before_the_window_shares_the_cpu_and_is_in_no_other_figure() {
        let mut measured = Measured { seconds: 1.0, bytes_sent: 300, ..Measured::new() };
        // Before the window, across its beginning, within it twice, across its end, after it.
        for (due, now) in [(1, 5), (9, 15), (10, 12), (14, 19), (19, 25), (20, 26)] {
            measured.answer_due(due, now, &(10..20));
        }
        assert_eq!((measured.answered, measured.carried, measured.latencies.len()), (2, 1, 3));
        assert_eq!((measured.latencies.min(), measured.latencies.max()), (2, 6));
        measured.cpu = Some((CpuTime::default(), CpuTime { total: 9_000, ..CpuTime::default() }));
        let report = Report::of("query", &Plan::new(([127, 0, 0, 1], 1).into()), &[measured]);
        assert_eq!(
            (report.requests, report.requests_per_second, report.bytes_sent),
            (2, 2.0, 100.0)
        );
        assert_eq!(report.server_cpu.map(|cpu| cpu.total_us), Some(3.0));
    }

    #[test]
    fn over_a_takeover_no_cpu_time_is_told() {
        let mut measured = Measured { seconds: 1.0, answered: 10, ..Measured::new() };
        let time = |total, process| CpuTime { total, process, ..CpuTime::default() };
        for (before, after, is_told) in [
            (time(1_000, 7), time(9_000, 7), true),
            (time(1_000, 7), time(9_000, 8), false),
            // A server that does not say which process it is.
            (time(9_000, 0), time(1_000, 0), false),
        ] {
            measured.cpu = Some((before, after));
            let plan = Plan::new(([127, 0, 0, 1], 1).into());
            let report = Report::of("query", &plan, std::slice::from_ref(&measured));
            assert_eq!(report.server_cpu.is_some(), is_told);
            assert_eq!(report.server_changed, !is_told);
            assert_eq!(report.to_string().contains("another process took over"), !is_told);
        }
    }

    #[test]
    fn what_took_longer_than_a_minute_is_in_the_figures() {
        let mut measured = thread(&[2_000, 90_000_000_000]);
        (measured.stalls, measured.longest_stall_ns) = (1, 90_000_000_000);
        let report = Report::of("query", &Plan::new(([127, 0, 0, 1], 1).into()), &[measured]);
        let longest = report.latency.expect("there were requests").max_ns;
        assert!((89_900_000_000..90_100_000_000).contains(&longest), "{longest}");
        assert!(
            report.to_string().contains("stalls      1 without")
                && report.to_string().contains("90.0 s"),
            "{report}"
        );
    }

    #[test]
    fn a_run_without_answers_prints_no_latency() {
        let report = Report::of("query", &Plan::new(([127, 0, 0, 1], 1).into()), &[thread(&[])]);
        assert!(report.latency.is_none() && !report.to_string().contains("latency"), "{report}");
    }
}
