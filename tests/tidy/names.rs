//! Every file, function and section that pages and comments name is there.

use std::collections::HashMap;
use std::path::PathBuf;

use super::all;
use crate::support::files::{read, repository};

/// What stands between backticks and names a file of the project, with a function behind it or not.
fn named_files(line: &str) -> Vec<(&str, Option<&str>)> {
    let quoted = line.split('`').skip(1).step_by(2);
    let named = quoted.filter_map(|text| {
        let (file, function) = match text.split_once("::") {
            Some((file, function)) => (file, Some(function)),
            None => (text, None),
        };
        let is_path = file.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
        (is_path && file.ends_with(".rs") && !file.starts_with('.')).then_some((file, function))
    });
    named.collect()
}

#[test]
fn every_file_and_function_that_pages_and_comments_name_is_there() {
    let sources = all(&["rs"]);
    let mut texts = HashMap::new();
    let mut missing = Vec::new();
    for page in all(&["md", "rs", "toml"]) {
        let text = read(&page);
        for (number, line) in (1..).zip(text.lines()) {
            let is_text = page.extension().is_some_and(|ending| ending == "md")
                || line.trim_start().starts_with("//")
                || line.trim_start().starts_with('#');
            if !is_text {
                continue;
            }
            for (file, function) in named_files(line) {
                let ending = format!("/{file}");
                let found: Vec<_> = sources
                    .iter()
                    .filter(|source| format!("/{}", source.display()).ends_with(&ending))
                    .collect();
                let has_function = |source: &&PathBuf| {
                    let text = texts.entry((*source).clone()).or_insert_with(|| read(source));
                    function.is_none_or(|function| {
                        ["(", "<"].iter().any(|next| text.contains(&format!("fn {function}{next}")))
                    })
                };
                if !found.iter().any(has_function) {
                    missing.push(format!(
                        "{}:{number}: {file} {}",
                        page.display(),
                        function.unwrap_or_default()
                    ));
                }
            }
        }
    }
    assert!(missing.is_empty(), "named, and not there:\n{}", missing.join("\n"));
}

/// A heading as links name it: small letters, digits and dashes.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn every_link_of_a_page_leads_to_a_file_and_to_a_section_of_it() {
    let mut missing = Vec::new();
    for page in all(&["md"]) {
        let text = read(&page);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, section) = link.split_once('#').unwrap_or((link, ""));
            if file.contains("://") {
                continue;
            }
            let target = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            let has_section = || {
                read(&target).lines().any(|line| line.starts_with('#') && anchor(line) == section)
            };
            if !repository().join(&target).exists() || (!section.is_empty() && !has_section()) {
                missing.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(missing.is_empty(), "linked, and not there:\n{}", missing.join("\n"));
}
