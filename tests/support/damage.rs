//! A store to be damaged, and ways to damage it.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sutra_client::{Association, Concept};

use super::{Folder, Server};

/// How many concepts the store has.
pub const CONCEPTS: usize = 200;

/// What a concept says.
pub fn content(number: usize) -> String {
    format!("the content of number {number} {}", "x".repeat(number))
}

/// A server on a new folder with so many cores, and with concepts and associations.
pub fn filled(cores: &str) -> Server {
    let server = Server::start(&["--cores", cores, "--admin", "127.0.0.1:0"]);
    let client = server.client();
    for number in 0..CONCEPTS {
        let concept = Concept::new(format!("n{number}")).content(content(number));
        client.learn(concept).unwrap();
        if number > 0 {
            client.associate(Association::between(format!("n{number}"), "n0")).unwrap();
        }
    }
    server
}

/// The same, stopped in order.
pub fn stopped(cores: &str) -> Folder {
    let (status, stopped) = filled(cores).stop();
    assert!(status.success());
    stopped.folder
}

/// Which of the concepts a server has, each as it was written.
pub fn there(server: &Server) -> Vec<usize> {
    let client = server.client();
    let is_there = |number: &usize| {
        let found = client.query(format!("n{number}")).unwrap();
        found.is_some_and(|found| {
            assert_eq!(found.content.as_str(), content(*number));
            true
        })
    };
    (0..CONCEPTS).filter(is_there).collect()
}

/// The segments of a folder, in order.
pub fn segments(data: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for shard in 0.. {
        let folder = data.join(format!("shard-{shard:03}"));
        let Ok(files) = fs::read_dir(folder) else { break };
        let files = files.map(|file| file.unwrap().path());
        found.extend(files.filter(|file| file.extension().is_some_and(|end| end == "log")));
    }
    found.sort();
    found
}

/// The segment in which a text lies, and where.
pub fn find(data: &Path, text: &str) -> (PathBuf, usize) {
    let found = segments(data).into_iter().find_map(|path| {
        let bytes = fs::read(&path).unwrap();
        let at = bytes.windows(text.len()).position(|window| window == text.as_bytes())?;
        Some((path, at))
    });
    found.unwrap_or_else(|| panic!("{text:?} is in no segment"))
}

/// Changes one byte.
pub fn flip(path: &Path, at: usize) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at as u64).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at as u64).unwrap();
    file.sync_all().unwrap();
}

/// Damages the record of one concept.
pub fn damage(data: &Path, number: usize) -> PathBuf {
    let (path, at) = find(data, &content(number));
    flip(&path, at + 4);
    path
}

/// Every file of a folder with its bytes.
pub fn files(folder: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut all = std::collections::BTreeMap::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        match path.is_dir() {
            true => all.extend(files(&path)),
            false => drop(all.insert(path.clone(), fs::read(path).unwrap())),
        }
    }
    all
}
