//! A comparison as a user runs it, with contenders that answer wrongly, die, are missing or are
//! starved of CPU. The report says so, and none of them has a figure.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use tempfile::TempDir;

/// A memcached that stores every value, and answers a get with the value of another key under the
/// name of the key that was asked for. It takes the real one's options.
const LYING_MEMCACHED: &str = include_str!("lying_memcached.py");

/// A Redis that stores what it is given, and exits at the first other command.
const DYING_REDIS: &str = include_str!("dying_redis.py");

struct Host {
    folder: TempDir,
    path: OsString,
}

impl Host {
    /// A host on which these programs are found before all others.
    fn with(programs: &[(&str, &str)]) -> Self {
        let host = Self::without_any(&std::env::var_os("PATH").unwrap_or_default());
        for (name, text) in programs {
            let file = host.folder.path().join(name);
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        host
    }

    /// A host whose programs are those in `path`.
    fn without_any(path: &OsString) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("host-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .unwrap();
        let mut all = OsString::from(folder.path());
        all.push(":");
        all.push(path);
        Self { folder, path: all }
    }

    fn compare(&self, arguments: &[&str]) -> (Output, Value, String) {
        let out = self.folder.path().join("report");
        let output = Command::new(env!("CARGO_BIN_EXE_sutra-bench"))
            .args([
                "compare",
                "--quick",
                "--no-build",
                "--rounds",
                "1",
                "--seconds",
                "0.05",
                "--out",
            ])
            .arg(&out)
            .args(arguments)
            .env("PATH", &self.path)
            .output()
            .unwrap();
        let read = |name: &str| {
            let read = fs::read_to_string(out.join(name));
            read.unwrap_or_else(|error| {
                panic!("{name}: {error}: {}", String::from_utf8_lossy(&output.stderr))
            })
        };
        let (record, report) =
            (serde_json::from_str(&read("report.json")).unwrap(), read("report.md"));
        (output, record, report)
    }
}

fn problems(record: &Value) -> Vec<&str> {
    record["problems"].as_array().unwrap().iter().map(|problem| problem.as_str().unwrap()).collect()
}

/// Whether the problem is a failure of the contender. On a busy host a short load may end before
/// the first answer, which is none.
fn has_failed(problem: &str) -> bool {
    problem.contains("FAILED") && !problem.contains("it answered nothing while it was measured")
}

/// The rows of a contender in the tables of loads: those that begin with a load.
fn rows<'r>(report: &'r str, contender: &str) -> Vec<&'r str> {
    let row = format!("| {contender} |");
    report
        .lines()
        .filter(|line| {
            line.starts_with("| ")
                && line[2..].starts_with(|c: char| c.is_ascii_digit())
                && line.contains(&row)
        })
        .collect()
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).exists())
}

#[test]
fn who_answers_wrongly_or_dies_fails_the_run_and_has_no_figures() {
    assert!(
        is_there("python3"),
        "the false contenders are written in Python 3, which the tests need anyway"
    );
    let host = Host::with(&[("memcached", LYING_MEMCACHED), ("redis-server", DYING_REDIS)]);
    let (output, record, report) = host.compare(&["--only", "query"]);
    assert!(!output.status.success(), "{output:?}");
    let problems = problems(&record);
    let failed = |contender: &str, words: &str| {
        let named = |problem: &&&str| {
            problem.contains(&format!(": {contender} under ")) && problem.contains("FAILED")
        };
        assert!(
            problems.iter().filter(named).any(|problem| problem.contains(words)),
            "{contender}: {problems:?}"
        );
        let rows = rows(&report, contender);
        assert!(!rows.is_empty() && rows.iter().all(|row| row.contains("FAILED")), "{rows:?}");
    };
    failed("memcached", "the value of another key");
    failed("Redis", "it ended with exit status: 3");
    // All others answer as they should, the old server and gRPC included.
    let others = problems.iter().filter(|problem| has_failed(problem));
    let others: Vec<_> = others
        .filter(|problem| !problem.contains("memcached") && !problem.contains("Redis"))
        .collect();
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn who_is_not_installed_is_named_and_the_run_succeeds_without() {
    // On this host there is no Redis, memcached, Python or perf.
    let host = Host::without_any(&OsString::new());
    let (output, record, report) = host.compare(&["--only", "heartbeat"]);
    // The other tests may starve it, which is no success. Nothing else may have gone wrong.
    assert!(output.status.success() || !problems(&record).is_empty(), "{output:?}");
    for (contender, program) in [("Redis", "redis-server"), ("memcached", "memcached")] {
        let words = format!("- {contender} is not in this run: {program} is not installed");
        assert!(report.contains(&words), "{report}");
        assert!(rows(&report, contender).is_empty(), "{report}");
    }
    assert!(!rows(&report, "sutra").is_empty(), "{report}");
    assert!(!problems(&record).iter().any(|problem| has_failed(problem)), "{record}");
}

#[test]
fn every_table_of_the_published_report_is_made_of_its_record_again() {
    let benches = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut render = Command::new(env!("CARGO_BIN_EXE_sutra-bench"));
    render
        .args(["compare", "--render"])
        .arg(benches.join("results/first.json"))
        .arg("--out")
        .arg(out.path());
    assert!(render.status().unwrap().success());
    let (report, published) = (out.path().join("report.md"), benches.join("RESULTS.md"));
    let [report, published] = [report, published].map(|file| fs::read_to_string(file).unwrap());
    let is_table = |line: &&str| line.starts_with('|') || line.starts_with('#');
    let missing: Vec<_> = report
        .lines()
        .filter(is_table)
        .filter(|line| !published.lines().any(|known| known == *line))
        .collect();
    assert!(report.lines().filter(is_table).count() > 500 && missing.is_empty(), "{missing:#?}");
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn who_shares_its_cpu_with_somebody_else_is_starved_and_has_no_figures() {
    let stop = AtomicBool::new(false);
    let (_, record, report) = std::thread::scope(|scope| {
        scope.spawn(|| {
            core_affinity::set_for_current(core_affinity::CoreId { id: 0 });
            while !stop.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        // A scope waits for its threads, so the loop must end also if the comparison panics.
        let _stop = SetWhenDropped(&stop);
        Host::without_any(&OsString::new()).compare(&["--only", "heartbeat", "--server-cpu", "0"])
    });
    let starved = |problem: &&str| {
        problem.contains("sutra under 64 × 1 was STARVED") && problem.contains("no figures")
    };
    assert!(problems(&record).iter().any(starved), "{record}");
    let row = rows(&report, "sutra").into_iter().find(|row| row.starts_with("| 64 × 1")).unwrap();
    assert!(row.contains("STARVED"), "{row}");
}
