//! axe-core, which looks for what keeps people from using a page. npm fetches it below target/, the
//! first time.

use std::fs::File;
use std::process::Command;

use serde_json::Value;

use super::browser::{Browser, skipped};
use super::python::{run, target};

/// Its program; nothing where there is no npm.
pub fn axe() -> Option<String> {
    let folder = target().join("axe");
    let program = folder.join("node_modules/axe-core/axe.min.js");
    let lock = File::create(target().join("axe.lock")).unwrap();
    lock.lock().expect("a file that was made can be locked");
    if !program.is_file() {
        if Command::new("npm").arg("--version").output().is_err() {
            skipped("the page for all people: axe-core is fetched by npm (apt-get install npm)");
            return None;
        }
        let mut npm = Command::new("npm");
        npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save"]);
        run(npm.arg("--prefix").arg(&folder).arg("axe-core@4"), "fetch axe-core");
    }
    Some(std::fs::read_to_string(program).unwrap())
}

/// What it finds in the page that is serious or critical, in words.
pub fn faults(browser: &Browser, axe: &str) -> Vec<String> {
    browser.run(&format!("if (!window.axe) {{ {axe} }}"));
    let found = browser.run_to_end(
        "const end = arguments[0];
         axe.run(document, { resultTypes: ['violations'] })
           .then((found) => end(found.violations), (error) => end([String(error)]));",
    );
    let found = found.as_array().unwrap().iter();
    let is_bad = |fault: &&Value| {
        fault.is_string() || ["serious", "critical"].iter().any(|bad| fault["impact"] == *bad)
    };
    found.filter(is_bad).map(|fault| format!("{}: {:#}", fault["id"], fault["nodes"])).collect()
}
