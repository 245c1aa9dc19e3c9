//! Which settings file is read, and how that is told.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::hosts::CpuGroup;
use crate::support::{Folder, Server, greeted, sutra};
use serde_json::Value;

/// The binary in this folder, with a user's configuration below it.
fn there(folder: &Path, words: &[&str]) -> Command {
    let mut command = sutra();
    command.args(words).current_dir(folder).stdin(Stdio::null());
    command.env("HOME", folder).env("XDG_CONFIG_HOME", folder.join("config"));
    command
}

fn folder_with(name: &str, text: &str) -> (Folder, std::path::PathBuf) {
    let folder = Folder::new();
    let file = folder.path().join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    (folder, file)
}

fn told(output: &Output) -> (i32, String) {
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_client_is_not_sent_elsewhere_by_the_folder_it_is_called_in() {
    let server = Server::start(&[]);
    let (folder, _) = folder_with("sutra.toml", "server = \"127.0.0.1:9\"\ntimeout = 1\n");
    let mut health = there(&folder.path(), &["health"]);
    let (code, said) =
        told(&health.env("SUTRA_SERVER", server.address.to_string()).output().unwrap());
    assert_eq!((code, said.as_str()), (0, ""));
    // Without the variable it is the default server that is asked, and not the folder's.
    let (_, said) =
        told(&there(&folder.path(), &["health", "--timeout", "100ms"]).output().unwrap());
    assert!(!said.contains("127.0.0.1:9;") && !said.contains("127.0.0.1:9 "), "{said}");
}

#[test]
fn a_client_reads_the_users_own_file() {
    let server = Server::start(&[]);
    let (folder, _) =
        folder_with("config/sutra/sutra.toml", &format!("server = \"{}\"\n", server.address));
    assert_eq!(told(&there(&folder.path(), &["health"]).output().unwrap()), (0, String::new()));
    let (folder, _) =
        folder_with(".config/sutra/sutra.toml", &format!("server = \"{}\"\n", server.address));
    let mut health = there(&folder.path(), &["health"]);
    assert_eq!(told(&health.env_remove("XDG_CONFIG_HOME").output().unwrap()), (0, String::new()));
}

#[test]
fn a_service_reads_the_file_of_its_folder_and_says_so() {
    let (folder, _) = folder_with(
        "sutra.toml",
        "cores = 1\nno-pin = true\ncompat = \"off\"\nadmin = \"off\"\njson = true\n",
    );
    let mut command =
        there(&folder.path(), &["serve", "--data", "data", "--listen", "127.0.0.1:0"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    let line = lines
        .find_map(|line| Some(line.unwrap()).filter(|line| line.contains("settings")))
        .unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["attributes"]["file.path"], "sutra.toml", "{line}");
    let mut greeting = String::new();
    let mut answers = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut answers, &mut greeting).unwrap();
    let greeting: Value = serde_json::from_str(&greeting).unwrap();
    assert_eq!(
        (greeting["cpus"].as_array().map(Vec::len), &greeting["pinned"]),
        (Some(1), &false.into())
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_file_that_others_can_change_is_refused_unless_it_is_named() {
    for (name, words) in [
        ("sutra.toml", &["serve"][..]),
        ("sutra.toml", &["grid", "master"]),
        ("config/sutra/sutra.toml", &["health"]),
        ("config/sutra/sutra.toml", &["grid", "status"]),
    ] {
        let (folder, file) = folder_with(name, "timeout = \"100ms\"\n");
        fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
        let (code, said) = told(&there(&folder.path(), words).output().unwrap());
        assert!(
            code == 2 && said.contains("can be changed by others (mode 666)"),
            "{words:?}: {code} {said}"
        );
        let named = there(
            &folder.path(),
            &["health", "--server", "127.0.0.1:9", "--config", file.to_str().unwrap()],
        );
        assert_eq!(
            { named }.output().unwrap().status.code(),
            Some(3),
            "it is read, and nobody is there"
        );
    }
}

#[test]
fn config_tells_each_setting_with_where_it_came_from() {
    let (folder, _) = folder_with("sutra.toml", "cores = 3\n");
    let own = folder.path().join("config/sutra");
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("sutra.toml"), "namespace = \"mine\"\ntimeout = 2\n").unwrap();
    let mut command = there(&folder.path(), &["config", "--json"]);
    let output = command.env("SUTRA_TIMEOUT", "7").env("SUTRA_SEVER", "typo").output().unwrap();
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let setting = |section: &str, key: &str| {
        let settings = all[section]["settings"].as_array().unwrap();
        let found = settings
            .iter()
            .find(|setting| setting["setting"] == key)
            .unwrap_or_else(|| panic!("{key}"));
        (
            found["value"].as_str().unwrap_or_default().to_owned(),
            found["from"].as_str().unwrap().to_owned(),
        )
    };
    let is = |value: &str, from: &str| (value.to_owned(), from.to_owned());
    assert_eq!(setting("services", "cores"), is("3", "file sutra.toml"));
    assert_eq!(setting("services", "durability"), is("always", "default"));
    assert_eq!(setting("services", "id-rule"), is("", "default"));
    assert_eq!(setting("others", "timeout"), is("7", "variable SUTRA_TIMEOUT"));
    let (value, from) = setting("others", "namespace");
    assert!(value == "mine" && from.ends_with("config/sutra/sutra.toml"), "{from}");
    assert_eq!(setting("others", "server"), is("127.0.0.1:50050", "default"));
    assert_eq!(all["unknown_variables"], serde_json::json!(["SUTRA_SEVER"]));
    let words = there(&folder.path(), &["config"]).output().unwrap();
    let words = String::from_utf8(words.stdout).unwrap();
    assert!(
        words.contains("settings file sutra.toml") && words.contains("file sutra.toml\n"),
        "{words}"
    );
}

#[test]
fn what_a_server_refuses_is_3_and_what_no_server_would_take_is_2() {
    let server = Server::start(&[]);
    let code = |words: &[&str]| server.run(words).status.code().unwrap();
    assert_eq!(code(&["learn", "a", "text", "--embedding", "[1, 2, 3]"]), 0);
    assert_eq!(code(&["learn", "b", "text", "--embedding", "[1, 2]"]), 3, "another dimension");
    assert_eq!(code(&["search", "--vector", "[1, 2]"]), 3, "another dimension");
    assert_eq!(code(&["learn", "b", "text", "--confidence", "1.5"]), 2);
    assert_eq!(code(&["search", "--vector", "[1, 2, 3]", "--min-strength", "-1"]), 2);
    assert_eq!(code(&["neighbors", "a", "--min-confidence", "nan"]), 2);
    assert_eq!(code(&["query", ""]), 2, "no name");
}

/// A store that is made for the test's own cgroup: needs the right to make one.
#[test]
fn two_servers_with_a_quota_of_one_cpu_each_pin_different_ones() {
    let cpus = std::thread::available_parallelism().unwrap().get();
    let Some(group) = CpuGroup::with_quota(100).filter(|_| cpus > 1) else {
        eprintln!("SKIPPED: one CPU, or no right to make a cgroup with a quota");
        return;
    };
    let start = |flags: &[&str]| {
        let folder = Folder::new();
        let mut command = group.sutra();
        command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--admin", "off"]);
        command.args(["--compat", "off", "--data"]).arg(folder.path()).args(flags);
        let (child, greeting) = greeted(command);
        (child, greeting["cpus"].clone(), folder)
    };
    // Other tests pin threads meanwhile, here and there; a server that takes the lowest CPU does so
    // each time.
    let are_apart = (0..10).any(|_| {
        let (mut first, ours, _one) = start(&[]);
        let (mut second, theirs, _two) = start(&[]);
        for child in [&mut first, &mut second] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(
            (ours.as_array().map(Vec::len), theirs.as_array().map(Vec::len)),
            (Some(1), Some(1))
        );
        ours != theirs
    });
    let highest = format!("{},", cpus - 1);
    let (mut third, listed, _three) = start(&["--cores", &highest]);
    third.kill().unwrap();
    third.wait().unwrap();
    assert!(are_apart, "ten times on one CPU");
    assert_eq!(
        listed,
        serde_json::json!([cpus - 1]),
        "a list is checked against the mask, not the quota"
    );
}
