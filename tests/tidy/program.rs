//! The project's programs as trees of modules, and which file of a program names which.
//!
//! Cargo says where a program begins, and the compiler's grammar (`syn`) what a file says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use proc_macro2::{TokenStream, TokenTree};
use serde_json::Value;
use syn::visit::Visit;
use syn::{
    Attribute, Expr, File, Item, ItemMod, ItemUse, Lit, LitStr, Macro, Meta, UseTree, Visibility,
};

use crate::support::files::repository;

/// A module's place in its program: `["paths", "level"]`; empty for the root.
type Name = Vec<String>;

/// A library, a binary, an example or a test program.
pub(super) struct Program {
    /// Its first file.
    pub(super) root: PathBuf,
    modules: BTreeMap<Name, Module>,
}

struct Module {
    path: PathBuf,
    /// What a name in this file stands for, by its `use` items.
    uses: BTreeMap<String, Name>,
    /// What the file names in its code, `use` items included; re-exports of its own modules are
    /// none.
    named: Vec<Name>,
    /// Files whose text the compiler puts into this one.
    included: Vec<PathBuf>,
}

/// A source file that has been read.
pub(super) fn parsed(path: &Path) -> File {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All programs, those of the fuzz targets and of the models among them.
pub(super) fn programs() -> &'static [Program] {
    static PROGRAMS: LazyLock<Vec<Program>> = LazyLock::new(read_programs);
    &PROGRAMS
}

fn read_programs() -> Vec<Program> {
    let targets =
        packages().iter().flat_map(|package| package["targets"].as_array().unwrap()).map(root_of);
    targets.map(|root| Program::read(&root)).collect()
}

/// The first file of a target.
pub(super) fn root_of(target: &Value) -> PathBuf {
    PathBuf::from(target["src_path"].as_str().unwrap())
}

/// All packages as Cargo tells of them, those of the fuzz targets and of the models among them.
pub(super) fn packages() -> &'static [Value] {
    static PACKAGES: LazyLock<Vec<Value>> = LazyLock::new(read_packages);
    &PACKAGES
}

fn read_packages() -> Vec<Value> {
    let manifests = ["Cargo.toml", "tests/fuzz/Cargo.toml", "tests/models/Cargo.toml"];
    let packages = manifests.iter().flat_map(|manifest| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
            "--manifest-path",
        ]);
        let told = cargo.arg(repository().join(manifest)).output().unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        let told: Value = serde_json::from_slice(&told.stdout).unwrap();
        told["packages"].as_array().unwrap().clone()
    });
    packages.collect()
}

impl Program {
    fn read(root: &Path) -> Self {
        let mut program = Self { root: root.to_owned(), modules: BTreeMap::new() };
        let folder = root.parent().unwrap();
        program.add(Vec::new(), root, folder);
        program
    }

    /// Reads a module's file and those of the modules that it declares, which lie in `folder`.
    fn add(&mut self, name: Name, path: &Path, folder: &Path) {
        let file = parsed(path);
        let mut reader = Reader::new(name.clone(), &file);
        reader.visit_file(&file);
        let declared = std::mem::take(&mut reader.declared);
        self.modules.insert(name.clone(), reader.module(path));
        for (child, path_attribute) in declared {
            let mut child_name = name.clone();
            child_name.push(child.clone());
            let plain = folder.join(format!("{child}.rs"));
            let child_path =
                path_attribute.map_or(plain, |other| path.parent().unwrap().join(other));
            let child_folder = child_path.with_extension("");
            self.add(child_name, &child_path, &child_folder);
        }
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.modules
            .values()
            .flat_map(|module| module.included.iter().chain([&module.path]))
            .map(PathBuf::as_path)
    }

    /// Which module's file names which other's.
    pub(super) fn names(&self) -> Vec<(&Name, Name)> {
        let modules = self.modules.iter();
        let pairs = modules.flat_map(|(name, module)| {
            let others = module.named.iter().filter_map(|named| self.file_of(named, 0));
            others.map(move |other| (name, other))
        });
        pairs.filter(|(name, other)| *name != other).collect()
    }

    /// The circles in which its files name each other. A root is left out: it joins all others.
    pub(super) fn circles(&self) -> Vec<Vec<String>> {
        let mut graph = petgraph::graph::DiGraph::<&Name, ()>::new();
        let nodes: BTreeMap<&Name, _> =
            self.modules.keys().map(|name| (name, graph.add_node(name))).collect();
        for (name, other) in self.names() {
            if !name.is_empty() && !other.is_empty() {
                graph.add_edge(nodes[name], nodes[&other], ());
            }
        }
        let circles =
            petgraph::algo::tarjan_scc(&graph).into_iter().filter(|files| files.len() > 1);
        circles.map(|files| files.into_iter().map(|file| graph[file].join("/")).collect()).collect()
    }

    /// The module in whose file the named thing is defined.
    fn file_of(&self, named: &[String], depth: usize) -> Option<Name> {
        let length =
            (0..=named.len()).rev().find(|length| self.modules.contains_key(&named[..*length]))?;
        let (module, rest) = named.split_at(length);
        let passed_on = rest.first().and_then(|first| self.modules[module].uses.get(first));
        match passed_on {
            // A name that a module only passes on is looked for where it comes from.
            Some(origin) if depth < 8 && origin.as_slice() != named => {
                let origin: Name = origin.iter().chain(&rest[1..]).cloned().collect();
                self.file_of(&origin, depth + 1)
            }
            _ => Some(module.to_vec()),
        }
    }
}

/// Reads one file's items.
struct Reader {
    name: Name,
    children: BTreeSet<String>,
    declared: Vec<(String, Option<String>)>,
    uses: BTreeMap<String, Name>,
    named: Vec<Name>,
    included: Vec<String>,
}

impl Reader {
    fn new(name: Name, file: &File) -> Self {
        let modules = file.items.iter().filter_map(|item| match item {
            Item::Mod(module) if module.content.is_none() => Some(module.ident.to_string()),
            _ => None,
        });
        let children = modules.collect();
        let (declared, uses, named, included) = Default::default();
        Self { name, children, declared, uses, named, included }
    }

    fn module(self, path: &Path) -> Module {
        let included = self.included.iter().map(|file| path.parent().unwrap().join(file)).collect();
        Module { path: path.to_owned(), uses: self.uses, named: self.named, included }
    }

    /// A path of this program from its root, or nothing where it leads into another crate.
    fn absolute(&self, path: &[String]) -> Option<Name> {
        let first = path.first()?.as_str();
        match first {
            "crate" => Some(path[1..].to_vec()),
            "self" => Some([&self.name, &path[1..]].concat()),
            "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                let up = self.name.len().checked_sub(ups)?;
                Some([&self.name[..up], &path[ups..]].concat())
            }
            _ if self.children.contains(first) => Some([&self.name, path].concat()),
            _ => None,
        }
    }

    /// Names what a macro is given: all paths among its tokens.
    fn add_paths(&mut self, tokens: TokenStream) {
        let mut path = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(part) => {
                    if colons != 2 {
                        self.add_path(&std::mem::take(&mut path));
                    }
                    path.push(part.to_string());
                    colons = 0;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
                other => {
                    self.add_path(&std::mem::take(&mut path));
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.add_paths(group.stream());
                    }
                }
            }
        }
        self.add_path(&path);
    }

    fn add_path(&mut self, path: &[String]) {
        if path.len() > 1 {
            self.named.extend(self.absolute(path));
        }
    }

    fn add_use(&mut self, tree: &UseTree, before: &[String], is_public: bool) {
        match tree {
            UseTree::Path(path) => {
                let before = [before, &[path.ident.to_string()]].concat();
                self.add_use(&path.tree, &before, is_public);
            }
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.add_use(tree, before, is_public));
            }
            UseTree::Name(name) => self.add_name(before, &name.ident.to_string(), None, is_public),
            UseTree::Rename(name) => {
                self.add_name(
                    before,
                    &name.ident.to_string(),
                    Some(name.rename.to_string()),
                    is_public,
                );
            }
            UseTree::Glob(_) => self.named.extend(self.absolute(before)),
        }
    }

    fn add_name(&mut self, before: &[String], name: &str, rename: Option<String>, is_public: bool) {
        let path =
            if name == "self" { before.to_vec() } else { [before, &[name.to_owned()]].concat() };
        let Some(absolute) = self.absolute(&path) else { return };
        let is_passed_on = is_public && absolute.starts_with(&self.name);
        if !is_passed_on {
            self.named.push(absolute.clone());
        }
        let known = rename.unwrap_or_else(|| path.last().unwrap().clone());
        self.uses.insert(known, absolute);
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if !attributes(item).iter().any(is_for_tests) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        match &module.content {
            // What stands inside is of this file, a step further from the root.
            Some((_, items)) => {
                self.name.push(module.ident.to_string());
                items.iter().for_each(|item| self.visit_item(item));
                self.name.pop();
            }
            None => {
                let elsewhere = module.attrs.iter().find_map(path_attribute);
                self.declared.push((module.ident.to_string(), elsewhere));
            }
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.add_use(&item.tree, &[], !matches!(item.vis, Visibility::Inherited));
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        if call.path.is_ident("include") {
            self.included.extend(call.parse_body::<LitStr>().ok().map(|file| file.value()));
        }
        self.add_paths(call.tokens.clone());
    }

    /// `pub(in crate::vectors)` names who may see, and takes nothing from there.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> =
            path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add_path(&parts);
        syn::visit::visit_path(self, path);
    }
}

/// `#[path = "…"]`
fn path_attribute(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else { return None };
    let Expr::Lit(value) = &pair.value else { return None };
    match &value.lit {
        Lit::Str(text) if pair.path.is_ident("path") => Some(text.value()),
        _ => None,
    }
}

/// `#[cfg(test)]`: tests may name what they prove.
fn is_for_tests(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else { return false };
    list.path.is_ident("cfg") && list.tokens.to_string() == "test"
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Mod(module) if module.content.is_some() => &module.attrs,
        Item::Use(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        _ => &[],
    }
}
