//! `sutra doctor` on this host, on hosts that are made wrong on purpose, and on files of another
//! host: what is wrong is named with what mends it, and what is not told is not called good.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::Value;
use sutra_client::BackupDone;

use crate::support::hosts::{CpuGroup, SmallDisk, block_io_uring, drop_capability};
use crate::support::{Folder, Server, run, sutra};

/// `CAP_IPC_LOCK` (capabilities(7)): with it no limit on locked memory counts.
const IPC_LOCK: libc::c_ulong = 14;

/// The command with these checks, as JSON, on a folder of its own.
fn doctor(mut command: Command, folder: &Folder, words: &[&str]) -> Command {
    command.args(["doctor", "--json", "--data"]).arg(folder.path()).args(words);
    command.env("XDG_STATE_HOME", folder.path().with_file_name("state")).stdin(Stdio::null());
    command
}

/// The exit code, and the report.
fn report(mut command: Command) -> (i32, Value) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&text);
    let errors = String::from_utf8_lossy(&output.stderr);
    let report = report.unwrap_or_else(|error| panic!("{error}: {text}{errors}"));
    (output.status.code().unwrap(), report)
}

/// What a report says of a check.
fn check<'r>(report: &'r Value, name: &str) -> &'r Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("{name}: {report}"))
}

/// Asserts that a check is in this state, and that its remedy names all of these.
fn assert_named(report: &Value, name: &str, state: &str, remedies: &[&str]) {
    let check = check(report, name);
    assert_eq!(check["state"], state, "{check}");
    let remedy = check["remedy"].as_str().unwrap();
    for part in remedies {
        assert!(remedy.contains(part), "{name}: {remedy:?} does not name {part:?}");
    }
}

#[test]
fn this_host_is_told_check_by_check_and_the_exit_code_follows_the_worst() {
    let folder = Folder::new();
    let (code, all) = report(doctor(sutra(), &folder, &["--quick"]));
    let checks = all["checks"].as_array().unwrap();
    assert!(checks.len() >= 35, "{}", checks.len());
    let worst = checks[0]["state"].as_str().unwrap();
    assert_eq!((all["worst"].as_str().unwrap(), all["server"].is_null()), (worst, true));
    let wanted = match worst {
        "fatal" => 3,
        "warning" => 1,
        _ => 0,
    };
    assert_eq!(code, wanted, "{worst}");
    let order = ["fatal", "warning", "hint", "unknown", "good", "absent"];
    let states: Vec<usize> = checks
        .iter()
        .map(|check| order.iter().position(|state| check["state"] == *state).unwrap())
        .collect();
    assert!(states.is_sorted(), "the worst comes first");
    for check in checks {
        let text = |key: &str| check[key].as_str().unwrap();
        assert!(!text("why").is_empty() && !text("effect").is_empty(), "{check}");
        assert!(!text("source").is_empty() && !text("current").is_empty(), "{check}");
        let is_wrong = ["fatal", "warning", "hint"].contains(&text("state"));
        assert_eq!(is_wrong, !text("remedy").is_empty(), "{check}");
        assert_ne!(check["group"], "fitness", "--quick measures nothing");
    }
    // These tests run where a server does.
    let rings = check(&all, "io-uring");
    assert_eq!(rings["state"], "good", "{rings}");
    assert!(rings["current"].as_str().unwrap().contains("DEFER_TASKRUN"), "{rings}");
    assert!(!folder.path().exists(), "to look makes nothing");
}

#[test]
fn people_read_the_worst_first_with_why_it_matters_and_what_mends_it() {
    let folder = Folder::new();
    let mut command = sutra();
    command.args(["doctor", "nofile", "kernel-version", "--data"]).arg(folder.path());
    // SAFETY: setrlimit(2) with constants, which allocates nothing.
    unsafe { command.pre_exec(|| limit(Resource::Nofile, 40)) };
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let place =
        |words: &str| text.find(words).unwrap_or_else(|| panic!("no {words:?} in:\n{text}"));
    assert!(place("1 fatal: ") < place("\n  nofile\n"));
    assert!(place("\n  nofile\n") < place("    is      40 (of this shell"));
    assert!(place("    why     Every connection") < place("    effect  At the limit"));
    assert!(place("    effect  ") < place("    mend    sutra tune nofile"));
    assert!(place("    mend") < place("kernel-version"));
    assert_eq!(output.status.code(), Some(3));
    // The first line has the folder's path.
    assert!(text.lines().skip(1).all(|line| line.chars().count() <= 100), "{text}");
}

#[test]
fn a_check_that_is_not_there_is_refused_with_those_that_are() {
    let output = run(&["doctor", "nofiles"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("\"nofiles\"") && said.contains("nofile,"), "{said}");
    for words in [&["disk-fitness"][..], &["kernel-version", "fitness"]] {
        let output = run(&[&["doctor", "--quick"], words].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{said}");
        assert!(said.contains("fitness measures") && said.contains("leave out --quick"), "{said}");
    }
    let output = run(&["doctor", "--root", "/nowhere/at-all"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && said.contains("/nowhere/at-all"), "{said}");
}

fn limit(resource: Resource, most: u64) -> std::io::Result<()> {
    Ok(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?)
}

#[test]
fn too_few_open_files_are_fatal_as_the_server_finds_as_well() {
    let folder = Folder::new();
    let mut command = doctor(sutra(), &folder, &["nofile"]);
    // SAFETY: setrlimit(2) with constants, which allocates nothing.
    unsafe { command.pre_exec(|| limit(Resource::Nofile, 40)) };
    let (code, report) = report(command);
    assert_eq!(code, 3);
    assert_named(&report, "nofile", "fatal", &["LimitNOFILE", "sutra tune nofile", "ulimit"]);
    let mut serve = sutra();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--admin", "off", "--compat", "off", "--data"]);
    serve.arg(folder.path()).stdin(Stdio::null());
    // SAFETY: the same.
    unsafe { serve.pre_exec(|| limit(Resource::Nofile, 40)) };
    assert_eq!(serve.output().unwrap().status.code(), Some(3));
}

#[test]
fn too_little_lockable_memory_is_fatal_and_rings_are_not_to_be_had() {
    let folder = Folder::new();
    let mut command = doctor(sutra(), &folder, &["memlock", "io-uring"]);
    // SAFETY: prctl(2) and setrlimit(2) with constants, which allocate nothing.
    unsafe {
        command.pre_exec(|| {
            drop_capability(IPC_LOCK)?;
            limit(Resource::Memlock, 8192)
        });
    }
    let (code, report) = report(command);
    assert_eq!(code, 3);
    assert_named(&report, "memlock", "fatal", &["LimitMEMLOCK", "ulimit -l"]);
    assert_named(&report, "io-uring", "fatal", &["LimitMEMLOCK"]);
}

#[test]
fn a_shell_that_is_bound_to_one_cpu_is_told_all_of_them() {
    let all = sched_getaffinity(None).unwrap();
    if all.count() < 2 {
        eprintln!("SKIPPED: one CPU");
        return;
    }
    let folder = Folder::new();
    let mut command = doctor(sutra(), &folder, &["affinity"]);
    let first = (0..CpuSet::MAX_CPU).find(|cpu| all.is_set(*cpu)).unwrap();
    let mut one = CpuSet::new();
    one.set(first);
    // SAFETY: sched_setaffinity(2) on a copy of the set, which allocates nothing.
    unsafe { command.pre_exec(move || Ok(sched_setaffinity(None, &one)?)) };
    let (code, report) = report(command);
    assert_named(&report, "affinity", "warning", &["taskset -c ", "CPUAffinity"]);
    assert!(code == 1 && report["cores"] == 1, "{report}");
}

#[test]
fn a_seccomp_filter_that_refuses_io_uring_is_fatal_and_named() {
    let folder = Folder::new();
    let mut command = doctor(sutra(), &folder, &["kernel"]);
    // SAFETY: between fork and exec the closure makes two system calls on constant data, and
    // allocates nothing.
    unsafe { command.pre_exec(block_io_uring) };
    let (code, report) = report(command);
    assert_eq!(code, 3);
    assert_named(&report, "seccomp", "fatal", &["--security-opt seccomp=", "io_uring_setup"]);
    assert_named(&report, "io-uring", "fatal", &["--security-opt seccomp="]);
    assert_eq!(check(&report, "kernel-version")["group"], "kernel");
}

#[test]
fn a_cpu_quota_is_named_with_the_cores_that_it_pays_for() {
    let Some(group) = CpuGroup::with_quota(50) else {
        eprintln!("SKIPPED: no right to make a cgroup with a quota");
        return;
    };
    let (code, report) = report(doctor(group.sutra(), &Folder::new(), &["cpu-quota"]));
    assert_named(&report, "cpu-quota", "warning", &["CPUQuota", "--cores 1 --no-pin"]);
    let check = check(&report, "cpu-quota");
    assert!(check["current"].as_str().unwrap().starts_with("0.50 CPUs (50 of 100 ms"), "{check}");
    assert!(check["measured"].as_str().unwrap().starts_with("held "), "{check}");
    assert!(code == 1 && report["cores"] == 1, "{report}");
}

#[test]
fn a_full_disk_is_fatal_and_so_is_said_before_anything_is_measured_on_it() {
    let Some((folder, disk)) = SmallDisk::mount(8 << 20) else {
        eprintln!("SKIPPED: this user may not mount a filesystem");
        return;
    };
    let data = disk.0.join("data");
    fs::create_dir(&data).unwrap();
    std::os::unix::fs::symlink(&data, folder.path()).unwrap();
    let mut ballast = fs::File::create(disk.0.join("ballast")).unwrap();
    while std::io::Write::write_all(&mut ballast, &[1; 4096]).is_ok() {}
    let (code, report) = report(doctor(sutra(), &folder, &["folder", "disk-fitness"]));
    assert_eq!(code, 3);
    assert_named(&report, "free-space", "fatal", &["make room", "--data"]);
    assert_named(&report, "filesystem", "warning", &["ext4 or xfs"]);
    assert_eq!(check(&report, "direct-io")["state"], "warning");
    let fitness = check(&report, "disk-fitness");
    assert_eq!(fitness["state"], "unknown", "{fitness}");
    assert!(fitness["current"].as_str().unwrap().contains("can't be measured"), "{fitness}");
    assert_eq!(fs::read_dir(&data).unwrap().count(), 0, "nothing is left");
}

#[test]
fn the_limits_of_a_server_that_runs_count_and_not_those_of_the_shell() {
    let server = Server::start(&[]);
    let mut command = sutra();
    command.args(["doctor", "nofile", "--json", "--data"]).arg(server.data());
    // SAFETY: setrlimit(2) with constants, which allocates nothing.
    unsafe { command.pre_exec(|| limit(Resource::Nofile, 40)) };
    let (_, report) = report(command);
    assert_eq!(report["server"], server.pid());
    let check = check(&report, "nofile");
    let wanted = format!("(of the server that runs, process {})", server.pid());
    assert!(check["current"].as_str().unwrap().ends_with(&wanted), "{check}");
    assert_ne!(check["state"], "fatal", "{check}");
}

#[test]
fn a_store_is_told_by_its_last_backup_and_by_what_its_server_says() {
    let server = Server::start(&[]);
    let ask = |server: &Server| {
        let mut command = sutra();
        command.args(["doctor", "store", "--json", "--data"]).arg(server.data());
        report(command)
    };
    let states = |report: &Value| {
        ["last-backup", "store-health"].map(|name| check(report, name)["state"].clone())
    };
    let (code, told) = ask(&server);
    assert_eq!((code, states(&told)), (0, ["hint", "good"].map(Value::from)), "{told}");
    let hour = 3_600_000_000;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = u64::try_from(now.as_micros()).unwrap();
    let done = |taken| BackupDone { taken, bytes: 2, elapsed: 3 };
    server.client().backup_done(done(now - 40 * hour)).unwrap();
    let (code, told) = ask(&server);
    assert_eq!(code, 1);
    assert_named(&told, "last-backup", "warning", &["sutra backup", "sutra-backup.timer"]);
    server.client().backup_done(done(now - 2 * hour)).unwrap();
    assert_eq!(states(&ask(&server).1), ["good", "good"].map(Value::from));
    let (_, stopped) = server.stop();
    let server = Server::start_on(stopped.folder, &["--read-only"]);
    let (code, told) = ask(&server);
    let health = check(&told, "store-health");
    assert_eq!((code, health["state"].as_str()), (1, Some("warning")), "{told}");
    assert!(health["current"].as_str().unwrap().contains("read-only"), "{told}");
}

#[test]
fn what_was_measured_is_kept_and_the_next_time_is_held_against_it() {
    let folder = Folder::new();
    let once = |words: &[&str]| report(doctor(sutra(), &folder, words)).1;
    let first = once(&["fitness"]);
    let figure = |report: &Value, name: &str, figure: &str| {
        let value = check(report, name)["figures"][figure].as_f64();
        value.unwrap_or_else(|| panic!("{name} {figure}: {report}"))
    };
    for (name, figures) in [
        ("disk-fitness", ["commit_p50_us", "commits_per_second", "group_writes_per_second"]),
        ("waking", ["asleep_p50_us", "asleep_p99_us", "asleep_p50_us"]),
    ] {
        let found = check(&first, name);
        assert!(found["measured"].as_str().unwrap().starts_with("the first time"), "{found}");
        for one in figures {
            assert!(figure(&first, name, one) > 0.0, "{found}");
        }
    }
    let kept = folder.path().with_file_name("state").join("sutra/doctor.json");
    let read = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let before = read(&kept);
    assert_eq!(before["version"], 1);
    let second = once(&["disk-fitness"]);
    let told = check(&second, "disk-fitness")["measured"].as_str().unwrap().to_owned();
    assert!(told.starts_with("last time (20") && told.contains("now "), "{told}");
    let what = format!("disk {}", folder.path().display());
    let p50 = |kept: &Value| kept["measurements"][&what]["figures"]["commit_p50_us"].as_f64();
    assert_eq!(p50(&before), Some(figure(&first, "disk-fitness", "commit_p50_us")));
    assert_eq!(p50(&read(&kept)), Some(figure(&second, "disk-fitness", "commit_p50_us")));
    assert_eq!(read(&kept)["measurements"]["waking"], before["measurements"]["waking"]);
    assert!(!folder.path().exists(), "nothing is left in the folder's place");
}

#[test]
fn below_another_root_its_files_are_read_and_the_rest_is_not_known() {
    let image = Folder::new();
    for (file, text) in [
        ("proc/sys/net/core/somaxconn", "128\n"),
        ("proc/sys/kernel/osrelease", "5.10.0-28-amd64\n"),
        ("sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n"),
    ] {
        let path = image.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let mut command = sutra();
    command.args(["doctor", "--json", "--root"]).arg(image.path());
    let (code, report) = report(command);
    assert_eq!(code, 3);
    assert_named(&report, "kernel-version", "fatal", &["newer kernel"]);
    assert_named(&report, "somaxconn", "warning", &["sutra tune somaxconn"]);
    assert_named(&report, "huge-pages", "warning", &["sutra tune huge-pages"]);
    let good = report["counts"]["good"].as_u64().unwrap();
    let unknown = report["counts"]["unknown"].as_u64().unwrap();
    assert!(good == 0 && unknown > 20, "{report}");
    let help = |flag: &str| String::from_utf8(run(&["doctor", flag]).stdout).unwrap();
    assert!(help("--help").contains("--root") && !help("-h").contains("--root"));
}
