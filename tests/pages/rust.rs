//! The Rust examples of pages and doc comments, compiled and run as they are printed.
//!
//! They stand once more in `examples.rs`, which is part of this test and is compiled with it. It is
//! written by `SUTRA_WRITE_EXAMPLES=1 cargo test --test behaviour pages::`; otherwise it is held
//! against the pages, so that an example that is new or changed fails until it is written there,
//! and run.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::blocks::{Block, doc_comments, markdown};
use crate::support::files::{files, read};

const NOTE: &str = "// The Rust examples of the pages, as they are printed. \
                    Written by the test beside it (rust.rs).\n";

thread_local! {
    static ADDRESSES: RefCell<Vec<(&'static str, String)>> = const { RefCell::new(Vec::new()) };
}

/// Where what an example means by an address listens.
pub fn at(printed: &str) -> String {
    ADDRESSES.with_borrow(|addresses| {
        let found = addresses.iter().find(|(known, _)| *known == printed);
        found.unwrap_or_else(|| panic!("nothing was started that listens on {printed}")).1.clone()
    })
}

/// Runs an example: it is known by its page, and how many stand before it there.
pub fn run(page: &str, number: usize, addresses: &[(&'static str, String)]) {
    ADDRESSES.set(addresses.to_vec());
    let name = format!("{page} {number}");
    let example = super::examples::ALL.iter().find(|(known, _)| *known == name);
    example.unwrap_or_else(|| panic!("{name} is not in examples.rs")).1();
}

/// What an example's main function, or its body, comes to.
pub trait Ended {
    fn succeeded(self);
}

impl Ended for () {
    fn succeeded(self) {}
}

impl<E: std::fmt::Debug> Ended for Result<(), E> {
    fn succeeded(self) {
        self.unwrap();
    }
}

/// Runs the body of an asynchronous example.
pub fn block_on<T: Ended>(example: impl Future<Output = T>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(example).succeeded();
}

/// A client for an example that is given one.
pub async fn client() -> sutra_client::Client {
    sutra_client::Client::connect(at("127.0.0.1:50050")).await.unwrap().namespace("examples")
}

/// The Rust files whose doc comments are pages of a package. Its example programs are left out:
/// they run whole, in `tests/examples.rs`.
pub fn sources() -> Vec<PathBuf> {
    let is_page = |path: &PathBuf| {
        (path.starts_with("src") || path.starts_with("compat"))
            && !path.starts_with("src/client/examples")
    };
    files("rs").into_iter().filter(is_page).collect()
}

/// A page's Rust examples.
pub fn examples(path: &Path) -> Vec<Block> {
    let is_source = path.extension().is_some_and(|extension| extension == "rs");
    let blocks = if is_source { doc_comments(&read(path)) } else { markdown(&read(path)) };
    let is_rust = |block: &Block| match block.language.as_str() {
        "" | "no_run" => is_source,
        language => language == "rust" || language.starts_with("rust,"),
    };
    let blocks: Vec<Block> = blocks.into_iter().filter(is_rust).collect();
    for block in &blocks {
        let Block { language, line, .. } = block;
        let is_run =
            !["ignore", "compile_fail", "should_panic"].iter().any(|word| language.contains(word));
        assert!(is_run, "{}:{line}: an example that can not be run is none", path.display());
    }
    blocks
}

/// One example as a module.
fn module(name: &str, example: &Block) -> String {
    let shown = |line: &str| match line.trim_start().strip_prefix('#') {
        Some(hidden) if hidden.is_empty() || hidden.starts_with(' ') => {
            hidden.trim_start().to_owned()
        }
        _ => line.to_owned(),
    };
    let mut code: String = example.text.lines().map(|line| shown(line) + "\n").collect();
    for printed in
        ["127.0.0.1:50050", "storage.internal:50050", "127.0.0.1:7001", "grid-master:7002"]
    {
        code = code
            .replace(&format!("\"{printed}\""), &format!("crate::pages::rust::at(\"{printed}\")"));
    }
    let mut text = format!("mod {name} {{\n");
    let run = if code.contains("async fn example(client: Client)") {
        "crate::pages::rust::block_on(async { example(crate::pages::rust::client().await).await })"
    } else if code.contains("async fn example()") {
        "crate::pages::rust::block_on(example())"
    } else if code.contains("fn main()") {
        "crate::pages::rust::Ended::succeeded(main())"
    } else {
        let result =
            if code.contains("Ok::<") { " -> Result<(), impl std::fmt::Debug>" } else { "" };
        code = format!("fn main(){result} {{\n{code}}}\n");
        "crate::pages::rust::Ended::succeeded(main())"
    };
    let _ = write!(text, "{code}pub fn run() {{\n{run};\n}}\n}}\n");
    text
}

/// The file of all examples, as the pages would have it.
fn written() -> String {
    let mut text = NOTE.to_owned();
    let mut all = String::new();
    let pages: Vec<PathBuf> = files("md").into_iter().chain(sources()).collect();
    for path in pages {
        for (number, example) in examples(&path).iter().enumerate() {
            let page = path.display().to_string();
            let name = format!("{page}_{number}")
                .replace(|c: char| !c.is_ascii_alphanumeric(), "_")
                .to_lowercase();
            text += &module(&name, example);
            let _ = writeln!(all, "(\"{page} {number}\", {name}::run),");
        }
    }
    let _ = write!(text, "pub const ALL: &[(&str, fn())] = &[\n{all}];\n");
    text
}

#[test]
fn each_rust_example_of_a_page_is_compiled_and_run_as_it_is_printed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pages/examples.rs");
    let written = written();
    if std::env::var_os("SUTRA_WRITE_EXAMPLES").is_some() {
        fs::write(&path, &written).unwrap();
    }
    let compiled = include_str!("examples.rs");
    let differs = compiled.lines().zip(written.lines()).position(|(one, other)| one != other);
    let first = differs.and_then(|at| written.lines().nth(at)).unwrap_or("the end");
    assert!(
        compiled == written,
        "a page's example is not compiled, from {first:?} on: SUTRA_WRITE_EXAMPLES=1 cargo test \
         --test behaviour pages:: writes it, and the next run compiles it"
    );
}
