//! `sutra simulate`: runs by seed, the same again whenever they are run, and what they reached.

use std::fs;

use serde_json::Value;

use crate::support::sutra;

/// The exit code, and what is printed.
fn simulate(words: &[&str]) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = sutra().arg("simulate").args(words).current_dir(folder.path()).output().unwrap();
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "it leaves no file");
    let errors = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.is_empty() || output.status.code() == Some(2), "{errors}");
    (output.status.code().unwrap(), text)
}

fn report(words: &[&str]) -> Value {
    let (code, text) = simulate(&[words, &["--json"]].concat());
    assert_eq!(code, 0, "{text}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn runs_say_what_they_reached_and_are_the_same_again() {
    let words = ["--seed", "3", "--runs", "6"];
    let mut first = report(&words);
    assert_eq!(first["runs"], 6);
    assert_eq!(first["failed"], Value::Null);
    assert!(first["crashes"].as_u64().unwrap() > 0, "{first}");
    for (kind, name) in [("ends", "kill"), ("starts", "whole log"), ("operations", "learn ok")] {
        let reached = first["coverage"][kind].as_object().unwrap();
        assert!(reached.keys().any(|reached| reached.contains(name)), "{name}: {first}");
    }
    let mut again = report(&words);
    for report in [&mut first, &mut again] {
        report["took_s"].take();
    }
    assert_eq!(first, again);
}

#[test]
fn a_time_is_kept_to_and_people_get_words() {
    let (code, text) = simulate(&["--for", "1s", "--cores", "2"]);
    assert_eq!(code, 0);
    assert!(text.contains("nothing was lost, and nothing came back"), "{text}");
    assert!(text.contains("crashes/s"), "{text}");
}

#[test]
fn a_number_of_runs_and_a_time_exclude_each_other() {
    assert_eq!(simulate(&["--runs", "1", "--for", "1s"]).0, 2);
    assert_eq!(simulate(&["--cores", "0"]).0, 2);
}
