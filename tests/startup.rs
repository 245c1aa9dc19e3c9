//! A start that can't succeed ends with one clear line and a fitting exit code.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support;
use crate::support::hosts::block_io_uring;
use crate::support::{Folder, Server, sutra};
use sutra_client::Concept;

/// Tries to start a server; it must fail.
fn refused(data: &Path, arguments: &[&str]) -> Output {
    let mut command = sutra();
    command
        .arg("serve")
        .arg("--data")
        .arg(data)
        .args(["--no-pin", "--admin", "off", "--compat", "127.0.0.1:0"])
        .args(arguments);
    if !arguments.contains(&"--cores") {
        command.args(["--cores", "2"]);
    }
    if !arguments.contains(&"--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command.stdin(Stdio::null()).output().unwrap()
}

/// Exit code and the one line that says why.
fn why(output: &Output) -> (i32, String) {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "one line says why: {text}");
    (output.status.code().expect("it ended by itself"), errors[0].to_owned())
}

#[test]
fn a_port_in_use_is_named() {
    let server = Server::start(&[]);
    let (code, line) =
        why(&refused(&Folder::new().path(), &["--listen", &server.address.to_string()]));
    assert_eq!(code, 3);
    assert!(line.contains(&server.address.to_string()) && line.contains("in use"), "{line}");
}

#[test]
fn an_address_that_is_named_twice_is_no_other_process() {
    for [one, other] in
        [["127.0.0.1:47611", "127.0.0.1:47611"], ["0.0.0.0:47611", "127.0.0.1:47611"]]
    {
        let (code, line) =
            why(&refused(&Folder::new().path(), &["--listen", one, "--listen", other]));
        assert_eq!(code, 2);
        assert!([one, other, "the same port"].iter().all(|words| line.contains(words)), "{line}");
    }
    let server = Server::start(&["--listen", "127.0.0.1:0,127.0.0.1:0"]);
    assert!(server.client().health().unwrap().healthy, "two free ports are two");
}

#[test]
fn more_cores_than_cpus_are_refused_with_what_to_do() {
    let mut command = sutra();
    command.args(["serve", "--cores", "4096", "--data"]).arg(Folder::new().path());
    let (code, line) = why(&command.output().unwrap());
    assert_eq!(code, 2);
    assert!(line.contains("--no-pin"), "{line}");
}

#[test]
fn too_few_files_are_told_with_the_limit_to_raise() {
    for files in [6, 12, 47] {
        let folder = Folder::new();
        let script = format!(
            "ulimit -n {files} && exec {sutra} serve --data {data} --cores 1 --no-pin \
             --listen 127.0.0.1:0 --compat 127.0.0.1:0",
            sutra = env!("CARGO_BIN_EXE_sutra"),
            data = folder.path().display(),
        );
        let (code, line) = why(&Command::new("sh").args(["-c", &script]).output().unwrap());
        assert_eq!(code, 3);
        assert!(line.contains("ulimit -n"), "{files}: {line}");
    }
}

#[test]
fn too_few_threads_are_told_with_the_limit_to_raise() {
    let folder = Folder::new();
    let above = folder.path().parent().unwrap().to_owned();
    // The limit counts all processes of a user, and does not hold for root.
    let nobody = rustix::process::geteuid().is_root().then_some(61_234);
    let limited = |threads: u32, arguments: &[&str]| {
        let mut command = Command::new("prlimit");
        command.arg(format!("--nproc={threads}:{threads}")).arg(env!("CARGO_BIN_EXE_sutra"));
        command.args(arguments).stdin(Stdio::null());
        if let Some(user) = nobody {
            command.uid(user).gid(user);
        }
        command.output().unwrap()
    };
    fs::set_permissions(&above, fs::Permissions::from_mode(0o777)).unwrap();
    if nobody.is_some() && !limited(1, &["completions", "bash"]).status.success() {
        eprintln!("SKIPPED: another user than root may not start the binary where it lies");
        return;
    }
    // Fewer than a server of two cores has, each ending at another one of them.
    for threads in 1..=7 {
        let data = above.join(format!("data-{threads}"));
        let data = data.to_str().unwrap();
        let output = limited(
            threads,
            &["serve", "--data", data, "--cores", "2", "--no-pin", "--listen", "127.0.0.1:0"]
                .into_iter()
                .chain(["--compat", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
                .collect::<Vec<_>>(),
        );
        let (code, line) = why(&output);
        assert_eq!(code, 3, "{threads}: {line}");
        assert!(line.contains("thread") && line.contains("ulimit -u"), "{threads}: {line}");
    }
}

#[test]
fn a_second_server_on_a_folder_is_refused_and_told_by_whom() {
    let server = Server::start(&[]);
    let (code, line) = why(&refused(&server.data(), &[]));
    assert_eq!(code, 3);
    assert!(
        line.contains(&server.pid().to_string()) && line.contains(&server.address.to_string()),
        "{line}"
    );
    let client = server.client();
    client.learn(Concept::new("still").content("serving")).unwrap();
}

#[test]
fn another_number_of_cores_is_refused_read_only_with_the_right_one() {
    let (_, stopped) = Server::start(&["--cores", "2"]).stop();
    let (code, line) = why(&refused(&stopped.folder.path(), &["--cores", "3", "--read-only"]));
    assert_eq!(code, 3);
    assert!(line.contains("--cores 2") && line.contains("leave --cores out"), "{line}");
}

#[test]
fn the_advice_for_another_number_of_cores_works_as_it_is_printed() {
    let cpus = std::thread::available_parallelism().unwrap().get();
    // More than this host has: pinned they can't be.
    let many = (cpus + 1).to_string();
    let (_, stopped) = Server::start(&["--cores", &many]).stop();
    let data = stopped.folder.path();
    let serve = |flags: &[&str]| {
        let mut command = sutra();
        command.arg("serve").arg("--data").arg(&data).args([
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "off",
            "--compat",
            "off",
            "--read-only",
        ]);
        command.args(flags).stdin(Stdio::null());
        command
    };
    let (code, line) = why(&serve(&["--cores", "1"]).output().unwrap());
    assert_eq!(code, 3);
    let advice = line.split_once("or start with ").unwrap().1;
    assert_eq!(advice, format!("--cores {many} --no-pin"));
    for flags in [&[][..], &advice.split(' ').collect::<Vec<_>>()] {
        let mut command = serve(flags);
        command.arg("--json");
        let (mut child, greeting) = support::greeted(command);
        assert_eq!(greeting["cpus"].as_array().map(Vec::len), Some(cpus + 1), "{greeting}");
        assert_eq!(greeting["pinned"], false);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_folder_that_can_not_be_made_or_written_is_named() {
    let folder = Folder::new();
    fs::write(folder.path(), "a file where the folder should be").unwrap();
    let (code, line) = why(&refused(&folder.path(), &[]));
    assert_eq!(code, 3);
    assert!(line.contains(folder.path().to_str().unwrap()), "{line}");
}

#[test]
fn a_damaged_log_is_refused_with_file_and_offset_and_left_as_it_is() {
    let server = Server::start(&["--cores", "1"]);
    let client = server.client();
    for number in 0..20 {
        client
            .learn(Concept::new(format!("concept-{number}")).content("some content to damage"))
            .unwrap();
    }
    let stopped = server.kill();
    let log = segments(&stopped.folder.path()).remove(0);
    let bytes = fs::read(&log).unwrap();
    let at = bytes.windows(22).position(|window| window == b"some content to damage").unwrap();
    let mut file = fs::OpenOptions::new().write(true).open(&log).unwrap();
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.write_all(b"S").unwrap();
    drop(file);
    let damaged = fs::read(&log).unwrap();
    let (code, line) = why(&refused(&stopped.folder.path(), &["--cores", "1"]));
    assert_eq!(code, 3);
    assert!(line.contains(log.to_str().unwrap()) && line.contains("damaged at byte "), "{line}");
    assert!(fs::read(&log).unwrap() == damaged, "a refused start changes nothing");
}

#[test]
fn a_log_that_is_not_as_a_clean_stop_left_it_is_refused_whatever_the_durability() {
    for durability in ["always", "interval=1000", "os"] {
        let server = Server::start(&["--cores", "1", "--durability", durability]);
        server
            .client()
            .learn(Concept::new("last").content("the last commit before the stop"))
            .unwrap();
        let (status, stopped) = server.stop();
        assert!(status.success());
        let log = segments(&stopped.folder.path()).remove(0);
        let bytes = fs::read(&log).unwrap();
        let at = bytes.windows(15).position(|window| window == b"the last commit").unwrap();
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        for broken in [&bytes[..at], &flipped] {
            fs::write(&log, broken).unwrap();
            let (code, line) = why(&refused(&stopped.folder.path(), &["--cores", "1"]));
            assert_eq!(code, 3);
            assert!(
                line.contains(log.to_str().unwrap()) && line.contains("damaged at byte "),
                "{line}"
            );
        }
        fs::remove_file(&log).unwrap();
        let (code, line) = why(&refused(&stopped.folder.path(), &["--cores", "1"]));
        assert_eq!(code, 3);
        assert!(
            line.contains(&format!("{} is missing", log.display()))
                && line.contains("Put the file back"),
            "{line}"
        );
        fs::write(&log, &bytes).unwrap();
        assert!(stopped.start().client().query("last").unwrap().is_some());
    }
}

fn segments(data: &Path) -> Vec<std::path::PathBuf> {
    let mut found: Vec<_> = fs::read_dir(data.join("shard-000"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    found.sort();
    found
}

/// A full disk: a small filesystem of its own, mounted in a namespace of its own. Needs the right
/// to mount.
#[test]
fn a_full_disk_refuses_writes_says_so_in_health_and_keeps_what_was_acknowledged() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path()).unwrap();
    let may_mount = Command::new("unshare")
        .args(["--mount", "true"])
        .status()
        .is_ok_and(|status| status.success());
    if !may_mount {
        eprintln!("SKIPPED: this user may not mount a filesystem");
        return;
    }
    let script = format!(
        "mount -t tmpfs -o size=20m none {data} && exec {sutra} serve --data {data} \
         --cores 1 --no-pin --listen 127.0.0.1:0 --compat off",
        data = folder.path().display(),
        sutra = env!("CARGO_BIN_EXE_sutra"),
    );
    let mut child = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let address = lines
        .find_map(|line| {
            line.unwrap().strip_prefix("listening").map(|address| address.trim().to_owned())
        })
        .expect("it listens");
    let client = sutra_client::blocking::Client::connect(address).unwrap();
    let mut acknowledged = 0;
    let error = loop {
        let name = format!("concept-{acknowledged}");
        match client.learn(Concept::new(&name).content("x".repeat(100_000))) {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 1000, "20 MB hold no more");
    };
    assert!(error.to_string().contains("full") || error.to_string().contains("space"), "{error}");
    assert!(acknowledged > 10, "{acknowledged}");
    for number in 0..acknowledged {
        assert!(
            client.query(format!("concept-{number}").as_str()).unwrap().is_some(),
            "reads go on"
        );
    }
    assert!(!client.health().unwrap().healthy);
    client.flush().expect("all that was acknowledged is stable");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// What a container's seccomp profile does to io_uring, done to one process.
#[test]
fn a_host_that_blocks_io_uring_is_told_what_to_change() {
    let folder = Folder::new();
    let mut command = sutra();
    command.arg("serve").arg("--data").arg(folder.path()).args([
        "--cores",
        "1",
        "--no-pin",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "off",
        "--compat",
        "off",
    ]);
    command.stdin(Stdio::null());
    // SAFETY: between fork and exec the closure makes two system calls on constant data, and
    // allocates nothing.
    unsafe { command.pre_exec(block_io_uring) };
    let (code, line) = why(&command.output().unwrap());
    assert_eq!(code, 3);
    assert!(line.contains("io_uring") && line.contains("seccomp"), "{line}");
}
