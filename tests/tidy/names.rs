//! Every file, folder, function and section that pages and comments name is there.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::{all, sources};
use crate::support::files::{all_files, read, repository};

/// What looks like a path of the project and is none.
const ELSEWHERE: [&str; 4] = [
    "./sutra.toml", // the user's settings
    "agent/ID",     // records in the master's log
    "node/ID",
    "master/starts",
];

/// What a file says to its readers, line by line: all of a page and of a Python program, which has
/// docstrings, and elsewhere the comments.
fn text_lines<'a>(path: &Path, whole: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let extension = path.extension().unwrap_or_default().to_str().unwrap_or_default();
    let mark = match extension {
        "md" | "py" => "",
        "rs" | "proto" => "//",
        _ => "#",
    };
    let behind = format!(" {mark} ");
    (1..).zip(whole.lines()).filter_map(move |(number, line)| {
        let begins = line.trim_start().starts_with(mark);
        let comment = if begins { Some(line) } else { line.split_once(&behind).map(|at| at.1) };
        comment.map(|comment| (number, comment))
    })
}

/// Pages, and everything that has comments.
fn readable() -> Vec<(PathBuf, String)> {
    let files = [all(&["md"]), sources()].concat().into_iter();
    files.map(|file| (file.clone(), read(&file))).collect()
}

/// The project's files and folders, by their paths in it.
fn files_and_folders() -> BTreeSet<PathBuf> {
    let files = all_files();
    files.iter().flat_map(|file| file.ancestors()).map(Path::to_owned).collect()
}

/// Whether a word is meant as a path in the project. A source or a page is known by its ending, and
/// everything else by the folder that it begins with: any one between backticks, and one at the top
/// in plain text.
fn is_path(word: &str, is_quoted: bool, project: &BTreeSet<PathBuf>) -> bool {
    let is_one = word.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    let ending = Path::new(word).extension().and_then(|ending| ending.to_str());
    let is_text = matches!(ending, Some("rs" | "md" | "toml" | "py" | "sh" | "proto"));
    let begins_in_it = || match word.split_once('/') {
        Some((first, _)) if is_quoted => project.iter().any(|path| path.ends_with(first)),
        Some((first, _)) => project.contains(Path::new(first)),
        None => false,
    };
    let is_elsewhere = word.starts_with('/') || ELSEWHERE.contains(&word);
    is_one && !is_elsewhere && (is_text || begins_in_it())
}

/// The paths in a line, each with the function that stands behind it.
fn named<'a>(line: &'a str, project: &BTreeSet<PathBuf>) -> Vec<(&'a str, Option<&'a str>)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-./:~$*<>{}".contains(c);
    let mut names = Vec::new();
    for (number, piece) in line.split('`').enumerate() {
        for word in piece.split(|c| !is_part(c)) {
            let (file, function) = match word.split_once("::") {
                Some((file, function)) => (file, Some(function.trim_end_matches('.'))),
                None => (word.trim_end_matches(['.', ':', '/']), None),
            };
            if is_path(file, number % 2 == 1, project) {
                names.push((file, function));
            }
        }
    }
    names
}

#[test]
fn every_file_and_function_that_pages_and_comments_name_is_there() {
    let project = files_and_folders();
    let mut texts = HashMap::new();
    let mut missing = Vec::new();
    for (page, text) in readable() {
        for (number, line) in text_lines(&page, &text) {
            for (file, function) in named(line, &project) {
                // From the page's folder or one above it, or by an ending that only one file has;
                // of sources several may.
                let is_above = |folder: &Path| repository().join(folder).join(file).exists();
                let found: Vec<_> = project.iter().filter(|path| path.ends_with(file)).collect();
                let is_clear = found.len() == 1 || file.ends_with(".rs");
                let has_function = |source: &&PathBuf| {
                    let Some(function) = function else { return true };
                    let text = texts.entry((*source).clone()).or_insert_with(|| read(source));
                    ["(", "<"].iter().any(|next| text.contains(&format!("fn {function}{next}")))
                };
                let is_there = is_clear && found.iter().any(has_function);
                if !is_there && (function.is_some() || !page.ancestors().skip(1).any(is_above)) {
                    let function = function.unwrap_or_default();
                    missing.push(format!("{}:{number}: {file} {function}", page.display()));
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

fn has_section(page: &Path, section: &str) -> bool {
    read(page).lines().any(|line| line.starts_with('#') && anchor(line) == anchor(section))
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
            let is_there = repository().join(&target).exists();
            if !is_there || !section.is_empty() && !has_section(&target, section) {
                missing.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(missing.is_empty(), "linked, and not there:\n{}", missing.join("\n"));
}

/// Pages that a text names together with a section: behind a comma and with a capital letter, or
/// as the section of that name "of" the page.
fn named_sections(text: &str) -> Vec<(&str, &str)> {
    let quotes = ['`', '"', ' '];
    let mut named = Vec::new();
    for (at, ending) in text.match_indices(".md") {
        let (before, behind) = (&text[..at + ending.len()], &text[at + ending.len()..]);
        let start = before.rfind(|c: char| c.is_whitespace() || "`(".contains(c));
        let (before, page) = before.split_at(start.map_or(0, |start| start + 1));
        if let Some(rest) = behind.trim_start_matches('`').strip_prefix(", ") {
            let end = rest.find(['.', ',', ';', ':', ')']).unwrap_or(rest.len());
            let section = rest[..end].trim_matches(quotes);
            let is_page = section.contains('/') || rest[end..].starts_with(".md");
            if section.starts_with(char::is_uppercase) && !is_page {
                named.push((page, section));
            }
        }
        let section = before.trim_end_matches(quotes).strip_suffix(" of");
        let section = section.and_then(|before| before.rsplit_once("section "));
        // Not a section that an earlier sentence speaks of.
        if let Some((_, section)) = section.filter(|(_, section)| !section.contains(['.', ','])) {
            named.push((page, section.trim_matches(quotes)));
        }
    }
    named
}

#[test]
fn every_section_that_a_text_names_is_on_the_page_that_it_names() {
    let mut missing = Vec::new();
    for (file, text) in readable() {
        // Names go on in the next line.
        let lines = text_lines(&file, &text)
            .map(|(_, line)| line.trim_start_matches(['/', '!', '#', ' ']).trim());
        let text = lines.collect::<Vec<_>>().join(" ");
        for (page, section) in named_sections(&text) {
            let mut above = file.ancestors().skip(1).map(|folder| folder.join(page));
            let page = above.find(|page| repository().join(page).exists());
            if !page.is_some_and(|page| has_section(&page, section)) {
                missing.push(format!("{}: {section}", file.display()));
            }
        }
    }
    assert!(missing.is_empty(), "named, and not there:\n{}", missing.join("\n"));
}
