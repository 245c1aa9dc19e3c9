//! All that can be set, for `sutra config`.

use std::path::Path;

use clap::{Arg, CommandFactory};
use toml::Value;

use super::file::{Reader, read};
use super::keys::{accepted, key_of, setting, with_file};
use crate::args::Arguments;
use crate::exit::Failure;

/// What can be set other than by a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// In the settings file.
    pub(crate) key: String,
    /// In the environment.
    pub(crate) variable: String,
    /// Its default; empty for none.
    pub(crate) default: String,
    /// The commands that read it.
    pub(crate) commands: Vec<String>,
}

impl Setting {
    /// Whether such commands read it.
    pub(crate) fn is_read_by(&self, reader: Reader) -> bool {
        self.commands
            .iter()
            .any(|command| Reader::of(&command.split(' ').collect::<Vec<_>>()) == reader)
    }
}

/// All that can be set, by key.
pub(crate) fn list() -> Vec<Setting> {
    let command = Arguments::command();
    let mut found: Vec<Setting> = Vec::new();
    let mut all: Vec<(String, Vec<Arg>)> = Vec::new();
    for outer in command.get_subcommands() {
        let name = outer.get_name();
        all.push((name.into(), outer.get_arguments().cloned().collect()));
        for inner in outer.get_subcommands() {
            all.push((
                format!("{name} {}", inner.get_name()),
                inner.get_arguments().cloned().collect(),
            ));
        }
    }
    for (name, args) in &mut all {
        args.extend(command.get_arguments().filter(|arg| arg.is_global_set()).cloned());
        for arg in args.iter().filter(|arg| !arg.is_hide_set()) {
            let (Some(key), Some(variable)) = (key_of(arg), arg.get_env()) else { continue };
            let default: Vec<_> =
                arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
            let default =
                if arg.get_action().takes_values() { default.join(",") } else { "false".into() };
            let variable = variable.to_string_lossy().into_owned();
            match found.iter_mut().find(|setting| setting.key == key) {
                Some(setting) => {
                    setting.commands.push(name.clone());
                    if setting.default.is_empty() {
                        setting.default = default;
                    }
                }
                None => {
                    found.push(Setting { key, variable, default, commands: vec![name.clone()] });
                }
            }
        }
    }
    found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    found
}

/// What a file sets, as the command line would spell it; an error where a command would refuse it.
pub(crate) fn values(path: &Path) -> Result<Vec<(String, String)>, Failure> {
    let text = read(path)?;
    let command = Arguments::command();
    with_file(command.clone(), path, &text)?;
    let table: toml::Table = text.parse().unwrap_or_default();
    let spelled =
        |key: &str, value: &Value| Some(accepted(setting(&command, key)?, value).ok()?.join(","));
    Ok(table.iter().filter_map(|(key, value)| Some((key.clone(), spelled(key, value)?))).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The commands that read it, in a word or two.
    fn readers(setting: &Setting) -> String {
        match setting.commands.as_slice() {
            all if all.iter().any(|command| command == "config") => "every command".into(),
            few if few.len() <= 3 => few.join(", "),
            grid if grid.iter().all(|command| command.starts_with("grid ")) => {
                "grid commands".into()
            }
            _ => "clients".into(),
        }
    }

    /// The table in this crate's README is this list.
    #[test]
    fn readme_lists_every_setting() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        let readme = std::fs::read_to_string(path).unwrap();
        let (_, after) = readme
            .split_once("| setting | variable | default | read by |\n|---|---|---|---|\n")
            .unwrap();
        let written: Vec<&str> = after.lines().take_while(|line| line.starts_with('|')).collect();
        let row = |setting: &Setting| {
            let default = if setting.default.is_empty() {
                "–".into()
            } else {
                format!("`{}`", setting.default)
            };
            format!(
                "| `{}` | `{}` | {default} | {} |",
                setting.key,
                setting.variable,
                readers(setting)
            )
        };
        let right: Vec<String> = list().iter().map(row).collect();
        assert_eq!(written, right, "the right rows:\n{}", right.join("\n"));
    }
}
