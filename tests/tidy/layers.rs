//! What may name what: crates only those of the rows above theirs in ARCHITECTURE.md, and features
//! of the storage service none of the others.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::program::{packages, programs, root_of};
use crate::support::files::{read, repository};

/// The layers in ARCHITECTURE.md's table, from the bottom: the folders and files of each.
fn rows() -> Vec<Vec<String>> {
    let page = read(Path::new("ARCHITECTURE.md"));
    let table = page.lines().skip_while(|line| !line.starts_with("| folder |")).skip(2);
    let first_cells = table.map_while(|line| line.strip_prefix("| ")?.split(" | ").next());
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    first_cells.map(quoted).collect()
}

/// The row of a package: the one that has the nearest folder around its first file.
fn row_of(package: &Value, rows: &[Vec<String>]) -> usize {
    let file = root_of(&package["targets"][0]);
    let file = file.strip_prefix(repository()).unwrap();
    let around = |row: &[String]| {
        row.iter().filter(|folder| file.starts_with(folder)).map(String::len).max()
    };
    let nearest = (0..rows.len()).max_by_key(|row| around(&rows[*row]));
    let nearest = nearest.filter(|row| around(&rows[*row]).is_some());
    nearest.unwrap_or_else(|| panic!("ARCHITECTURE.md has no row for {}", file.display()))
}

/// What a package builds on; tests may use more.
fn dependencies(package: &Value) -> impl Iterator<Item = &str> {
    let all = package["dependencies"].as_array().unwrap().iter();
    all.filter(|needed| needed["kind"] != "dev").map(|needed| needed["name"].as_str().unwrap())
}

fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap()
}

#[test]
fn crates_depend_only_on_rows_above_their_own() {
    let rows = rows();
    let mut wrong = Vec::new();
    for package in packages() {
        for needed in dependencies(package) {
            let Some(other) = packages().iter().find(|other| name(other) == needed) else {
                continue;
            };
            // Contenders are of the benchmarks' row.
            if row_of(other, &rows) > row_of(package, &rows) {
                wrong.push(format!("{} on {needed}", name(package)));
            }
        }
    }
    assert!(wrong.is_empty(), "these depend on rows below theirs:\n{}", wrong.join("\n"));
}

/// Crates, and all that ARCHITECTURE.md lets them know of the project's others.
const KNOWN: [(&str, &[&str]); 8] = [
    ("sutra-wire", &[]),
    ("sutra-runtime", &[]),
    ("sutra-compat", &["sutra-wire"]),
    ("sutra-compat-files", &[]),
    ("sutra-store", &["sutra-wire", "sutra-runtime"]),
    ("sutra-net", &["sutra-wire", "sutra-runtime"]),
    ("sutra-client", &["sutra-wire"]),
    ("sutra-load", &["sutra-wire"]),
];

/// Crates, and who alone may name them. Cargo.toml says why.
const NAMED_BY: [(&str, &[&str]); 4] = [
    // Not the grid's agent.
    ("sutra-grid-master", &["sutra-cli"]),
    ("tokio-uring", &["sutra-runtime"]),
    ("io-uring", &["sutra-runtime", "sutra-bench"]),
    ("bincode", &["sutra-compat", "sutra-simulator", "sutra-bench"]),
];

#[test]
fn crates_know_no_more_than_architecture_promises() {
    let mut wrong = Vec::new();
    for package in packages() {
        for needed in dependencies(package) {
            let is_ours = packages().iter().any(|other| name(other) == needed);
            let known = KNOWN.iter().find(|known| known.0 == name(package));
            let namers = NAMED_BY.iter().find(|named| named.0 == needed);
            let is_unknown = is_ours && known.is_some_and(|(_, known)| !known.contains(&needed));
            let is_reserved = namers.is_some_and(|(_, namers)| !namers.contains(&name(package)));
            if is_unknown || is_reserved {
                wrong.push(format!("{} on {needed}", name(package)));
            }
        }
    }
    assert!(wrong.is_empty(), "these depend on more than they may:\n{}", wrong.join("\n"));
}

/// The features of the storage service, each a module.
const FEATURES: [&str; 6] = ["all_cores", "backups", "paths", "reads", "vectors", "writes"];

/// Whether a module of the storage service may name a feature that is another one.
fn may_name(module: &str, feature: &str) -> bool {
    match module {
        // The table of opcodes leads to all of them.
        "service" => true,
        // An admin port shows figures of all cores.
        "admin" => feature == "all_cores",
        _ => false,
    }
}

#[test]
fn features_of_the_storage_service_import_none_of_the_others() {
    let root = repository().join("src/server/lib.rs");
    let server = programs().iter().find(|program| program.root == root).expect("it is a program");
    let names = server.names();
    let mut seen = BTreeSet::new();
    let mut across = Vec::new();
    for (file, other) in &names {
        let (Some(module), Some(feature)) = (file.first(), other.first()) else { continue };
        if FEATURES.contains(&feature.as_str()) && module != feature {
            seen.insert(feature.as_str());
            if !may_name(module, feature) {
                across.push(format!("{} names {}", file.join("/"), other.join("/")));
            }
        }
    }
    assert!(across.is_empty(), "features that know each other:\n{}", across.join("\n"));
    assert_eq!(seen, BTreeSet::from(FEATURES), "features are what service.rs names");
}
