//! `sutra import` and `serve --import`: what they read, from where, and what comes of it a second
//! time.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, Command, Output, Stdio};

use crate::support::{Folder, Server, sutra};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sutra_client::blocking::Client;

const LINES: &str = "{\"id\":\"dog\",\"content\":\"barks\"}\n\
                     {\"id\":\"cat\",\"content\":\"purrs\"}\n\
                     {\"source\":\"dog\",\"target\":\"cat\"}\n";

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A folder for what is imported.
fn folder() -> (Folder, PathBuf) {
    let folder = Folder::new();
    let path = folder.path();
    fs::create_dir_all(&path).unwrap();
    (folder, path)
}

fn import(server: &Server, arguments: &[&str]) -> Value {
    let output = server.run(&[&["import", "--json"], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn written(summary: &Value) -> [u64; 3] {
    ["concepts_written", "associations_written", "bad"].map(|key| summary[key].as_u64().unwrap())
}

fn content(client: &Client, name: &str) -> Option<String> {
    client.query(name).unwrap().map(|concept| concept.content.to_string())
}

/// Runs an import with a program's output, or a file, as its standard input.
fn from_shell(server: &Server, script: &str, file: &Path) -> Output {
    let mut shell = Command::new("bash");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_sutra")]).arg(file);
    shell.env("SUTRA_SERVER", server.address.to_string()).env("SUTRA_JSON", "1").output().unwrap()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip")
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text).unwrap();
    child.wait_with_output().unwrap().stdout
}

/// The text in two frames of zstd, and one to be skipped between them.
fn zstd(text: &str) -> Vec<u8> {
    let half = text.len() / 2;
    let frame = |text: &str| {
        // A raw block: the format needs no compressor. One segment, its size in two bytes less 256.
        let size = u16::try_from(text.len() - 256).unwrap().to_le_bytes();
        let header = (text.len() as u32) << 3 | 1;
        [&[0x28, 0xb5, 0x2f, 0xfd, 0x60][..], &size, &header.to_le_bytes()[..3], text.as_bytes()]
            .concat()
    };
    let skipped = [&[0x51, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    [frame(&text[..half]), skipped, frame(&text[half..])].concat()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn pipes_standard_input_and_compressed_files_are_imported() {
    let (_folder, path) = folder();
    let plain = path.join("x.jsonl");
    fs::write(&plain, LINES).unwrap();
    let packed = path.join("packed.jsonl.gz");
    // As two archives one after the other, which gzip reads as one.
    fs::write(&packed, [gzip(&LINES.as_bytes()[..40]), gzip(&LINES.as_bytes()[40..])].concat())
        .unwrap();
    for (script, file) in [
        ("\"$0\" import - <\"$1\"", &plain),
        ("cat \"$1\" | \"$0\" import -", &plain),
        ("cat \"$1\" | \"$0\" import /dev/stdin", &plain),
        ("\"$0\" import <(cat \"$1\")", &plain),
        (
            "mkfifo \"$1.p\"; (cat \"$1\" >\"$1.p\") & \"$0\" import \"$1.p\"; status=$?; \
             rm \"$1.p\"; exit $status",
            &plain,
        ),
        ("(sleep 0.2; cat \"$1\") | \"$0\" import -", &plain),
        ("zcat \"$1\" | \"$0\" import -", &packed),
        ("\"$0\" import - <\"$1\"", &packed),
        ("\"$0\" import <(cat \"$1\")", &packed),
        ("\"$0\" import \"$1\"", &packed),
    ] {
        let server = Server::start(&["--cores", "1"]);
        let output = from_shell(&server, script, file);
        assert!(output.status.success(), "{script}: {}", text(&output.stderr));
        assert_eq!(
            written(&serde_json::from_slice(&output.stdout).unwrap()),
            [2, 1, 0],
            "{script}"
        );
        assert_eq!(content(&server.client(), "cat").as_deref(), Some("purrs"), "{script}");
    }
    assert_eq!(fs::read_dir(&path).unwrap().count(), 2);
}

#[test]
fn what_is_read_only_once_is_kept_in_a_temporary_file_and_that_is_said() {
    let (_folder, path) = folder();
    let file = path.join("x.jsonl");
    fs::write(&file, LINES).unwrap();
    let server = Server::start(&[]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "cat \"$1\" | \"$0\" import -", env!("CARGO_BIN_EXE_sutra")]).arg(&file);
    let output = shell
        .env("SUTRA_SERVER", server.address.to_string())
        .env("TMPDIR", &path)
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert!(said.contains("reading standard input to its end into a temporary file"), "{said}");
    assert!(
        said.contains(path.to_str().unwrap()) && fs::read_dir(&path).unwrap().count() == 1,
        "{said}"
    );
}

#[test]
fn compression_is_known_by_content_and_a_stream_that_is_cut_writes_nothing() {
    let (_folder, path) = folder();
    let many: String =
        (0..50).map(|n| format!("{{\"id\":\"c{n}\",\"content\":\"number {n}\"}}\n")).collect();
    let server = Server::start(&[]);
    for (name, bytes) in [
        ("a.jsonl.zst", zstd(&many)),
        ("named-otherwise", gzip(many.as_bytes())),
        ("plain.jsonl", zstd(&many)),
        ("with-a-mark.jsonl.gz", gzip(&utf16(&format!("\u{feff}{many}")))),
    ] {
        let file = path.join(name);
        fs::write(&file, bytes).unwrap();
        let namespace = ["--namespace", name];
        let summary = import(&server, &[&[file.to_str().unwrap()][..], &namespace].concat());
        assert_eq!(written(&summary), [50, 0, 0], "{name}");
    }
    let concepts = server.client().stats().unwrap().concepts.to_native();
    let (gzip, zstd) = (gzip(many.as_bytes()), zstd(&many));
    for (name, bytes, says) in [
        ("cut.gz", &gzip[..gzip.len() - 10], "cannot read"),
        ("cut.zst", &zstd[..zstd.len() - 10], "cannot read"),
        ("x.bz2", b"BZh91AY", "bzcat FILE | sutra import -"),
        ("x.jsonl", b"\xfd7zXZ\0\0", "xzcat FILE"),
        ("x.npy", b"\x93NUMPY\x01\0", "beside a .jsonl file"),
        ("x.txt", b"{}\n{}", "expected a .jsonl file"),
    ] {
        let file = path.join(name);
        fs::write(&file, bytes).unwrap();
        let refused = server.run(&["import", "--namespace", "cut", file.to_str().unwrap()]);
        let said = text(&refused.stderr);
        assert!(
            refused.status.code() == Some(2) && said.contains(says) && said.contains(name),
            "{name}: {said}"
        );
    }
    assert_eq!(server.client().stats().unwrap().concepts, concepts);
}

/// An import that waits for a pipe to which nobody writes. Also the other ends, which keep its
/// pipes open.
fn waiting(
    server: &Server,
    path: &Path,
    arguments: &[&str],
) -> (Child, BufReader<ChildStderr>, ChildStdin) {
    let mut command = sutra();
    command.arg("import").arg(path).args(arguments).env("SUTRA_SERVER", server.address.to_string());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut said, input) =
        (BufReader::new(child.stderr.take().unwrap()), child.stdin.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("to its end into a temporary file"), "{line}");
    (child, said, input)
}

#[test]
fn an_import_that_waits_for_a_pipe_ends_in_time_and_with_the_first_signal() {
    let (_folder, path) = folder();
    let server = Server::start(&[]);
    let fifo = path.join("p.jsonl");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    for source in [fifo.as_path(), Path::new("-")] {
        let (mut child, mut said, _input) = waiting(&server, source, &["--timeout", "200ms"]);
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert!(line.contains("nothing has come from") && line.contains("--timeout"), "{line}");
        assert_eq!(child.wait().unwrap().code(), Some(3));
        for signal in [Signal::INT, Signal::TERM] {
            let (mut child, _said, _input) = waiting(&server, source, &["--timeout", "60"]);
            kill_process(Pid::from_child(&child), signal).unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(128 + signal.as_raw()));
        }
    }
}

#[test]
fn a_server_whose_import_waits_for_a_pipe_serves_and_stops() {
    let (_folder, path) = folder();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, path.join("p.jsonl"), rustix::fs::FileType::Fifo, mode, 0)
        .unwrap();
    let server = Server::start(&["--import", path.to_str().unwrap()]);
    assert_eq!(content(&server.client(), "dog"), None);
    assert!(server.stop().0.success());
}

#[test]
fn a_byte_order_mark_is_read_over_wherever_a_text_is_read() {
    let (_folder, path) = folder();
    let marked = format!("\u{feff}{LINES}");
    let crlf = LINES.replace('\n', "\r\n");
    let big: Vec<u8> = marked.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let twice = format!("\u{feff}{}\n\n\u{feff}{}", LINES.replace("cat", "owl"), LINES.trim_end());
    for (name, bytes, expected) in [
        ("utf8", marked.clone().into_bytes(), [2, 1, 0]),
        ("utf16le", utf16(&marked), [2, 1, 0]),
        ("utf16be", big, [2, 1, 0]),
        ("utf16-without", utf16(LINES), [2, 1, 0]),
        ("crlf", format!("\u{feff}{crlf}").into_bytes(), [2, 1, 0]),
        ("no-last-line-end", LINES.trim_end().into(), [2, 1, 0]),
        ("blank-lines", LINES.replace('\n', "\n \t\r\n\n").into_bytes(), [2, 1, 0]),
        ("put-together", twice.into_bytes(), [3, 2, 0]),
        ("empty", Vec::new(), [0, 0, 0]),
        ("mark-alone", "\u{feff}".into(), [0, 0, 0]),
    ] {
        let server = Server::start(&["--cores", "1"]);
        let file = path.join(format!("{name}.jsonl"));
        fs::write(&file, bytes).unwrap();
        assert_eq!(written(&import(&server, &[file.to_str().unwrap()])), expected, "{name}");
    }
    let server = Server::start(&[]);
    let vector = path.join("vector.json");
    fs::write(&vector, utf16("\u{feff}[0.5, 1]\r\n")).unwrap();
    let vector = vector.to_str().unwrap();
    assert!(server.run(&["learn", "dog", "barks", "--embedding", vector]).status.success());
    for vector in [vector, "\u{feff}[0.5, 1]"] {
        let found = server.run(&["search", "--vector", vector]);
        assert!(text(&found.stdout).contains("dog"), "{}", text(&found.stderr));
    }
    let settings = path.join("some.toml");
    fs::write(&settings, format!("\u{feff}server = \"{}\"\r\n", server.address)).unwrap();
    for bytes in [fs::read(&settings).unwrap(), utf16(&fs::read_to_string(&settings).unwrap())] {
        fs::write(&settings, bytes).unwrap();
        let output = sutra().args(["query", "dog", "--config"]).arg(&settings).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
}

/// A `.npy` file as NumPy writes it.
fn npy(file: &Path, kind: &str, fortran: &str, shape: &str, numbers: &[u8]) {
    let header = format!("{{'descr': '{kind}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    fs::write(file, [b"\x93NUMPY\x01\0", &length[..], header.as_bytes(), numbers].concat())
        .unwrap();
}

#[test]
fn embeddings_of_every_real_type_and_order_lie_beside_their_concepts() {
    let (_folder, path) = folder();
    let (lines, numbers) = (path.join("x.jsonl.gz"), path.join("x.npy"));
    fs::write(&lines, gzip(LINES.as_bytes())).unwrap();
    // Two concepts, three numbers each: 1 2 3 and 4 5 -6.
    let rows = [1.0, 2.0, 3.0, 4.0, 5.0, -6.0];
    let columns = [1.0, 4.0, 2.0, 5.0, 3.0, -6.0];
    let bytes = |numbers: [f64; 6], of: fn(f64) -> Vec<u8>| {
        numbers.into_iter().flat_map(of).collect::<Vec<u8>>()
    };
    for (kind, fortran, bytes) in [
        ("<f8", "False", bytes(rows, |n| n.to_le_bytes().into())),
        (">f8", "True", bytes(columns, |n| n.to_be_bytes().into())),
        ("<f4", "True", bytes(columns, |n| (n as f32).to_le_bytes().into())),
        ("|i1", "False", bytes(rows, |n| (n as i8).to_le_bytes().into())),
        (">i4", "True", bytes(columns, |n| (n as i32).to_be_bytes().into())),
        ("<i8", "False", bytes(rows, |n| (n as i64).to_le_bytes().into())),
    ] {
        let server = Server::start(&["--cores", "1"]);
        npy(&numbers, kind, fortran, "(2, 3)", &bytes);
        assert_eq!(written(&import(&server, &[lines.to_str().unwrap()])), [2, 1, 0], "{kind}");
        for (name, expected) in [("dog", &rows[..3]), ("cat", &rows[3..])] {
            let record = server.client().query(name).unwrap().unwrap();
            let stored: Vec<f64> =
                record.embedding.iter().map(|number| f64::from(number.to_native())).collect();
            assert_eq!(stored, expected, "{kind} {fortran}");
        }
    }
    let server = Server::start(&[]);
    for (kind, shape, says) in [
        ("<f4", "(6,)", "has the shape [6]; expected two dimensions"),
        ("<f4", "(3, 2)", "3 rows and"),
        ("<c8", "(2, 3)", "expected float16, float32, float64, integers"),
        ("<f4", "(2, 300)", "is cut short"),
    ] {
        npy(&numbers, kind, "False", shape, &[0; 48]);
        let refused = server.run(&["import", lines.to_str().unwrap()]);
        let said = text(&refused.stderr);
        assert!(
            refused.status.code() == Some(2) && said.contains(says) && said.contains("x.npy"),
            "{said}"
        );
    }
    assert_eq!(server.client().stats().unwrap().concepts, 0);
}

#[test]
fn the_first_line_with_a_vector_decides_how_long_vectors_are_and_the_others_are_named() {
    let (_folder, path) = folder();
    let file = path.join("mixed.jsonl");
    let line = |name: &str, numbers: usize| {
        let embedding = vec![0.5; numbers];
        json!({ "id": name, "content": "", "embedding": embedding }).to_string() + "\n"
    };
    let mut lines = "{\"id\":\"none\",\"content\":\"\"}\n".to_owned() + &line("first", 3);
    for number in 0..200 {
        lines += &line(&format!("long-{number}"), 5);
        lines += &line(&format!("right-{number}"), 3);
    }
    fs::write(&file, &lines).unwrap();
    for cores in ["1", "2"] {
        let server = Server::start(&["--cores", cores]);
        let output = server.run(&["import", "--json", file.to_str().unwrap()]);
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((output.status.code(), written(&summary)), (Some(1), [202, 0, 200]));
        let decision = &summary["decisions"][0];
        assert_eq!([&decision["line"], &decision["numbers"], &decision["refused"]], [2, 3, 200]);
        let first = &summary["bad_lines"][0];
        let reason = first["reason"].as_str().unwrap();
        assert!(
            first["line"] == 3
                && reason.contains("has 5 numbers; ")
                && reason.contains("mixed.jsonl:2"),
            "{reason}"
        );
        let words = server.run(&["import", file.to_str().unwrap()]);
        assert!(
            text(&words.stdout)
                .contains("mixed.jsonl:2 decided that embeddings have 3 numbers; 200 others")
        );
    }
    // Where the store has vectors already, these have decided.
    let server = Server::start(&[]);
    server.client().learn(sutra_client::Concept::new("there").embedding(vec![1.0; 5])).unwrap();
    let output = server.run(&["import", "--json", file.to_str().unwrap()]);
    assert_eq!(written(&serde_json::from_slice(&output.stdout).unwrap()), [201, 0, 201]);
}

#[test]
fn an_import_says_how_many_vectors_its_lines_without_one_removed() {
    let (_folder, path) = folder();
    let file = path.join("x.jsonl");
    let server = Server::start(&[]);
    let client = server.client();
    for (name, embedding) in [("had", vec![0.5]), ("had none", Vec::new()), ("keeps", vec![0.5])] {
        client.learn(sutra_client::Concept::new(name).content("old").embedding(embedding)).unwrap();
    }
    let line = |name: &str| json!({ "id": name, "content": "new" }).to_string() + "\n";
    let kept = json!({ "id": "keeps", "content": "new", "embedding": [0.5] });
    fs::write(&file, line("had") + &line("had none") + &kept.to_string()).unwrap();
    let summary = import(&server, &[file.to_str().unwrap()]);
    assert_eq!((written(&summary), &summary["vectors_removed"]), ([3, 0, 0], &json!(1)));
    assert!(client.query("had").unwrap().unwrap().embedding.is_empty());
    let again = server.run(&["import", file.to_str().unwrap()]);
    assert!(!text(&again.stdout).contains("lost"), "{}", text(&again.stdout));
}

/// A server that has imported a folder at its start, and what it said about that.
fn importing(folder: Folder, source: &Path) -> (Server, Value) {
    let mut command = sutra();
    command.args([
        "serve",
        "--cores",
        "2",
        "--no-pin",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "off",
        "--compat",
        "off",
        "--json",
    ]);
    command.arg("--data").arg(folder.path()).arg("--import").arg(source);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    let said = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    // The same store, to be asked.
    (Server::start_on(folder, &[]), said)
}

#[test]
fn what_was_deleted_since_an_import_at_start_stays_deleted() {
    let (_folder, path) = folder();
    let (one, two) = (path.join("one.jsonl"), path.join("two.jsonl"));
    fs::write(&one, LINES).unwrap();
    fs::write(&two, "{\"id\":\"owl\",\"content\":\"hoots\"}\nnonsense\n").unwrap();
    let (server, said) = importing(Folder::new(), &path);
    assert_eq!((written(&said), &said["passed_over"]), ([3, 1, 1], &json!(0)));
    let client = server.client();
    assert!(client.delete("dog").unwrap().concept && client.delete("owl").unwrap().concept);
    client.learn(sutra_client::Concept::new("cat").content("hisses")).unwrap();

    // The same files, also by another name: nothing comes back.
    fs::rename(&one, path.join("renamed.jsonl")).unwrap();
    let (server, said) = importing(server.kill().folder, &path);
    assert_eq!((written(&said), &said["passed_over"]), ([0, 0, 0], &json!(2)));
    let client = server.client();
    assert_eq!(
        ["dog", "owl", "cat"].map(|name| content(&client, name)),
        [None, None, Some("hisses".into())]
    );
    assert_eq!(client.stats().unwrap().associations, 0);

    // A file that was changed is imported again, and only adds; the other one is left alone.
    fs::write(
        &two,
        "{\"id\":\"owl\",\"content\":\"hoots\"}\n{\"id\":\"cat\",\"content\":\"purrs\"}\n",
    )
    .unwrap();
    let (server, said) = importing(server.stop().1.folder, &path);
    assert_eq!(
        (written(&said), &said["passed_over"], &said["kept"]),
        ([1, 0, 0], &json!(1), &json!(1))
    );
    let client = server.client();
    let expected = [None, Some("hoots".into()), Some("hisses".into())];
    assert_eq!(["dog", "owl", "cat"].map(|name| content(&client, name)), expected);

    // Embeddings beside a file belong to it.
    npy(&path.join("two.npy"), "<f4", "False", "(2, 1)", &[0; 8]);
    assert!(client.delete("owl").unwrap().concept);
    let (server, said) = importing(server.stop().1.folder, &path);
    assert_eq!((written(&said), &said["passed_over"]), ([1, 0, 0], &json!(1)));
    assert_eq!(server.client().query("owl").unwrap().unwrap().embedding.len(), 1);

    // Asked for by its own command, an import is done whatever was done before.
    assert_eq!(written(&import(&server, &[path.to_str().unwrap()]))[0], 2);
}

#[test]
fn an_import_at_start_that_was_interrupted_is_done_again() {
    let (_folder, path) = folder();
    let many: String =
        (0..20_000).map(|n| format!("{{\"id\":\"c{n}\",\"content\":\"number {n}\"}}\n")).collect();
    fs::write(path.join("many.jsonl"), many).unwrap();
    let server = Server::start(&["--import", path.to_str().unwrap()]);
    // It may be at any place by now, and is not done before all is there.
    let concepts = server.client().stats().unwrap().concepts.to_native();
    let folder = server.kill().folder;
    let (server, said) = importing(folder, &path);
    if concepts < 20_000 {
        assert_eq!(said["passed_over"], 0, "{said}");
    }
    assert_eq!(server.client().stats().unwrap().concepts, 20_000);
}
