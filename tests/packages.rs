//! What packages are made of: the version with its commit, manual pages, completions, settings,
//! manifests, and the wheel that carries the binary.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use sutra_client::blocking::Client;

use crate::support::files::{read, repository};
use crate::support::http::get;
use crate::support::python::{python, run, target};
use crate::support::{Folder, Server, greeted, sutra};

/// What a command says, which must succeed.
fn said(arguments: &[&str]) -> String {
    run(sutra().args(arguments), &format!("run sutra {}", arguments.join(" ")))
}

/// Whether this host has a program.
fn has(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

#[test]
fn the_version_names_the_commit_that_the_binary_is_made_of() {
    let version = env!("CARGO_PKG_VERSION");
    let mut git = Command::new("git");
    git.current_dir(repository()).args(["log", "-1", "--no-show-signature", "--format=%h %cs"]);
    let commit = git.output().ok().filter(|told| told.status.success());
    let wanted = match commit.map(|told| String::from_utf8(told.stdout).unwrap()) {
        Some(commit) => format!("sutra {version} ({})\n", commit.trim()),
        // Sources that are no checkout.
        None => format!("sutra {version}\n"),
    };
    assert_eq!(said(&["--version"]), wanted);
    assert_eq!(said(&["grid", "spawn", "--version"]), wanted.replace("sutra", "sutra-grid-spawn"));
}

#[test]
fn metrics_name_the_commit_that_the_version_names() {
    let version = said(&["--version"]);
    let server = Server::start(&["--admin", "127.0.0.1:0"]);
    let (_, metrics) = get(server.admin(), "/metrics");
    let line = metrics.lines().find(|line| line.starts_with("sutra_build_info{")).unwrap();
    assert!(line.contains(&format!("version=\"{}\"", env!("CARGO_PKG_VERSION"))), "{line}");
    match version.split_once('(').and_then(|(_, commit)| commit.split_once(' ')) {
        Some((commit, _)) => assert!(line.contains(&format!("commit=\"{commit}\"")), "{line}"),
        None => assert!(!line.contains("commit="), "{line}"),
    }
}

#[test]
fn a_shell_completes_commands_flags_and_values() {
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let script = said(&["completions", shell]);
        assert!(script.contains("unregister") && script.contains("most-confident"), "{shell}");
        if has(shell) {
            let folder = tempfile::tempdir_in(target()).unwrap();
            let file = folder.path().join("completions");
            std::fs::write(&file, &script).unwrap();
            run(Command::new(shell).arg(check).arg(&file), "read the completions");
        }
    }
    let script = said(&["completions", "bash"]);
    // What the shell does when a word begins behind these.
    let completed = |words: &str| {
        let words: Vec<&str> = words.split(' ').collect();
        let (count, last) = (words.len(), words[words.len() - 1]);
        let line = format!("COMP_WORDS=({} '') COMP_CWORD={count}", words.join(" "));
        let ask = format!("{script}\n{line}\n_sutra sutra '' {last}\necho \"${{COMPREPLY[*]}}\"");
        run(Command::new("bash").args(["-c", &ask]), "complete a line")
    };
    assert!(completed("sutra").contains(" serve "), "{}", completed("sutra"));
    assert!(completed("sutra grid").contains(" spawn "));
    assert!(completed("sutra completions").contains("bash zsh fish"));
    assert!(completed("sutra serve --spin").contains("off adaptive always"));
}

#[test]
fn every_command_has_a_manual_page_that_can_be_read() {
    let folder = Folder::new();
    let pages = folder.path();
    let told = said(&["man", pages.to_str().unwrap()]);
    let mut names: Vec<String> = std::fs::read_dir(&pages)
        .unwrap()
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    assert!(told.starts_with(&format!("wrote {} manual pages to ", names.len())), "{told}");
    for page in ["sutra.1", "sutra-serve.1", "sutra-grid.1", "sutra-grid-master.1"] {
        assert!(names.iter().any(|name| name == page), "{page}: {names:?}");
    }
    // As a reader of the page sees it.
    if has("groff") {
        for name in &names {
            let mut groff = Command::new("groff");
            groff.args(["-man", "-Kutf8", "-Tutf8", "-ww", "-P-cbou"]).arg(pages.join(name));
            let output = groff.stdin(Stdio::null()).output().unwrap();
            assert!(output.stderr.is_empty(), "{name}: {output:?}");
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(text.contains("SYNOPSIS") && text.contains("Example"), "{name}: {text}");
        }
    }
    // Without a folder it is printed.
    assert_eq!(said(&["man"]), std::fs::read_to_string(pages.join("sutra.1")).unwrap());
}

#[test]
fn the_settings_that_the_package_installs_start_each_service() {
    let settings = repository().join("tuning/systemd/sutra.toml");
    let free = ["--json", "--listen", "127.0.0.1:0"];
    for (words, key) in [
        (&["serve", "--admin", "off", "--compat", "off", "--cores", "1", "--no-pin"][..], "data"),
        (&["grid", "master", "--compat", "off", "--admin", "off"], "grid-master-data"),
        (&["grid", "agent", "--id", "a", "--admin", "off"], "grid-agent-data"),
    ] {
        let folder = Folder::new();
        let mut command = sutra();
        command.args(words).args(free).arg("--config").arg(&settings);
        let (mut child, greeting) = greeted({
            command.arg("--data").arg(folder.path());
            command
        });
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(greeting["data"], folder.path().to_str().unwrap());
        // The folder that the unit makes is the one that the settings name.
        let text = read(Path::new("tuning/systemd/sutra.toml"));
        let table: toml::Table = text.parse().unwrap();
        let data = table[key].as_str().unwrap();
        let units = ["sutra", "sutra-grid-master", "sutra-grid-agent"];
        let units =
            units.map(|unit| read(&PathBuf::from(format!("tuning/systemd/{unit}.service"))));
        let unit = units.iter().find(|unit| unit.contains(&format!("WorkingDirectory={data}\n")));
        let state = data.strip_prefix("/var/lib/").unwrap();
        assert!(unit.unwrap().contains(&format!("\nStateDirectory={state}\n")), "{data}");
    }
}

#[test]
fn a_removed_package_leaves_none_of_its_units_masked() {
    let manifest: toml::Table = read(Path::new("Cargo.toml")).parse().unwrap();
    let units = manifest["package"]["metadata"]["deb"]["systemd-units"].as_array().unwrap();
    let after = read(Path::new("tuning/deb/postrm"));
    let mut named = 0;
    for unit in units {
        let name = unit["unit-name"].as_str().unwrap();
        for kind in ["service", "socket", "timer"] {
            let file = format!("{name}.{kind}");
            let path = repository().join("tuning/systemd").join(&file);
            // What can be enabled is masked when a package is removed.
            if std::fs::read_to_string(path).is_ok_and(|text| text.contains("[Install]")) {
                assert!(after.contains(&file), "{file} is not in tuning/deb/postrm");
                named += 1;
            }
        }
    }
    assert!(named >= units.len(), "every unit can be enabled");
}

/// Runs a module of the tests' Python.
fn checked_by(module: &[&str], file: &str) {
    let mut command = Command::new(python());
    command.arg("-m").args(module).arg(repository().join(file));
    run(&mut command, &format!("have {module:?} accept {file}"));
}

#[test]
fn manifests_are_what_their_readers_define() {
    checked_by(
        &["check_jsonschema", "--builtin-schema", "vendor.compose-spec"],
        "tuning/docker/compose.yaml",
    );
    checked_by(&["kubernetes_validate", "--strict"], "tuning/kubernetes/sutra.yaml");
}

#[test]
fn containers_have_the_ports_of_the_servers_before() {
    let parse = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let mut command = Command::new(python());
    command.args(["-c", parse]).arg(repository().join("tuning/docker/compose.yaml"));
    let compose: Value = serde_json::from_str(&run(&mut command, "read compose.yaml")).unwrap();
    for (service, port) in [
        ("storage-server", "50051:50051"),
        ("grid-master", "7002:7002"),
        ("prometheus", "9090:9090"),
    ] {
        let ports = compose["services"][service]["ports"].as_array().unwrap();
        let is_published = |entry: &Value| entry.as_str().unwrap().ends_with(port);
        assert!(ports.iter().any(is_published), "{service}: {ports:?}");
    }
    let profile: Value =
        serde_json::from_str(&read(Path::new("tuning/docker/seccomp.json"))).unwrap();
    let allowed = profile["syscalls"][0]["names"].as_array().unwrap();
    for call in ["io_uring_setup", "io_uring_enter", "io_uring_register"] {
        assert!(allowed.contains(&call.into()), "{call}");
    }
    for call in ["clone3", "unshare", "setns", "ptrace", "mount", "bpf", "keyctl"] {
        assert!(!allowed.contains(&call.into()), "{call}");
    }
}

#[test]
fn the_wheel_runs_a_server_where_there_is_nothing_but_python() {
    let python = python();
    let own = tempfile::tempdir_in(target()).unwrap();
    let (wheels, environment) = (own.path().join("wheels"), own.path().join("environment"));
    let mut build = Command::new(&python);
    build.args(["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]);
    build.arg("--wheel-dir").arg(&wheels).env("SUTRA_BINARY", env!("CARGO_BIN_EXE_sutra"));
    build.env("PYTHONDONTWRITEBYTECODE", "1");
    run(build.arg(repository().join("tuning/wheel")), "build the wheel");
    let wheel = std::fs::read_dir(&wheels).unwrap().next().unwrap().unwrap().path();
    let name = wheel.file_name().unwrap().to_str().unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert!(name.starts_with(&format!("sutra_server-{version}-py3-none-manylinux_2_")), "{name}");

    // Python's own tool finds no system older than the tag's that has all that the binary needs,
    // and takes nothing in it for missing on the tag's.
    let mut audit = Command::new(&python);
    audit.args(["-m", "auditwheel", "show"]).arg(&wheel);
    let shown = run(&mut audit, "audit the wheel").replace('\n', " ");
    let tag = name.trim_end_matches(".whl").rsplit_once("none-").unwrap().1;
    assert!(shown.contains(&format!("platform tag: \"{tag}\"")), "{name}: {shown}");

    run(Command::new(&python).args(["-m", "venv"]).arg(&environment), "make an environment");
    let installed = environment.join("bin/python");
    let mut install = Command::new(&installed);
    install.args(["-m", "pip", "install", "--quiet", "--no-index"]);
    run(install.arg(&wheel), "install the wheel");
    let folder = Folder::new();
    let serve =
        ["serve", "--json", "--cores", "1", "--no-pin", "--admin", "off", "--compat", "off"];
    let mut serving = Command::new(&installed);
    for (name, _) in sutra().get_envs() {
        serving.env_remove(name);
    }
    serving.args(["-m", "sutra_server"]).args(serve).args(["--listen", "127.0.0.1:0", "--data"]);
    let (mut child, greeting) = greeted({
        serving.arg(folder.path());
        serving
    });
    let address = greeting["listening"][0].as_str().unwrap();
    assert!(Client::connect(address.to_owned()).unwrap().health().unwrap().healthy);
    let mut client = Command::new(environment.join("bin/sutra"));
    client.args(["learn", "dog", "a domesticated carnivore", "--server", address]);
    assert!(run(&mut client, "learn").starts_with("learned dog "));
    let mut client = Command::new(environment.join("bin/sutra"));
    client.args(["query", "dog", "--server", address]);
    assert!(run(&mut client, "query").contains("a domesticated carnivore"));
    child.kill().unwrap();
    child.wait().unwrap();
}
