//! How sources hang together: no file that no program reads, none that import in a circle, no
//! function that is too long to be read at once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{ImplItemFn, ItemFn, Signature, TraitItemFn};

use super::all;
use super::program::{Program, parsed, programs};
use crate::support::files::repository;

#[test]
fn every_source_file_is_part_of_a_program() {
    let canonical = |path: &Path| path.canonicalize().unwrap();
    let read: BTreeSet<PathBuf> =
        programs().iter().flat_map(Program::files).map(canonical).collect();
    let is_dead = |file: &PathBuf| !read.contains(&canonical(&repository().join(file)));
    let dead: Vec<_> = all(&["rs"]).into_iter().filter(is_dead).collect();
    assert!(dead.is_empty(), "no module declares these: {dead:?}");
}

#[test]
fn no_files_import_in_a_circle() {
    let mut circles = Vec::new();
    for program in programs() {
        let root = program.root.strip_prefix(repository()).unwrap().to_owned();
        // Tests name what they share as they like.
        if root.components().any(|part| part.as_os_str() == "tests") {
            continue;
        }
        circles.extend(
            program
                .circles()
                .into_iter()
                .map(|files| format!("{}: {}", root.display(), files.join(", "))),
        );
    }
    assert!(circles.is_empty(), "these import each other:\n{}", circles.join("\n"));
}

/// Functions that are longer than seventy lines, and why they may be.
const LONG: [(&str, &str); 4] = [
    ("compat/request.rs", "archive"), // a table: old request to native one
    ("compat/tests/bincode.rs", "request"), // a table
    ("src/store/vectors/search.rs", "advance"), // the steps of a search, in order
    ("tests/grid.rs", "a_grid_outlives_the_loss_of_a_node_an_agent_and_its_master"), // one story
];

/// The functions of a file, with their lengths in lines.
#[derive(Default)]
struct Lengths(Vec<(String, usize)>);

impl Lengths {
    fn add(&mut self, signature: &Signature, whole: &impl Spanned) {
        let begin = signature.span().start().line;
        let end = whole.span().end().line;
        self.0.push((signature.ident.to_string(), end + 1 - begin));
    }
}

impl<'ast> Visit<'ast> for Lengths {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.add(&function.sig, function);
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.add(&function.sig, function);
        syn::visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        self.add(&function.sig, function);
        syn::visit::visit_trait_item_fn(self, function);
    }
}

#[test]
fn functions_have_at_most_seventy_lines_but_for_those_with_a_reason() {
    let mut unused: BTreeSet<(&str, &str)> = LONG.into_iter().collect();
    let mut long = Vec::new();
    for source in all(&["rs"]) {
        let mut lengths = Lengths::default();
        lengths.visit_file(&parsed(&repository().join(&source)));
        for (name, length) in lengths.0.into_iter().filter(|(_, length)| *length > 70) {
            let excuse = LONG
                .into_iter()
                .find(|(file, function)| source.ends_with(file) && name == *function);
            match excuse {
                Some(excuse) => drop(unused.remove(&excuse)),
                None => long.push(format!("{}: {name} has {length} lines", source.display())),
            }
        }
    }
    assert!(long.is_empty(), "longer than seventy lines:\n{}", long.join("\n"));
    assert!(unused.is_empty(), "no longer longer than seventy lines: {unused:?}");
}
