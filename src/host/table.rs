//! The table of settings, which `sutra doctor` and `sutra tune` share.

use crate::setting::{Group, Setting};
use crate::settings::{
    cgroup, clock, cpu, disk, fitness, folder, irq, kernel, limits, memory, network, numa, queues,
    services, store,
};

/// All settings, group by group.
pub fn table() -> Vec<&'static Setting> {
    let groups = [
        kernel::ALL,
        limits::ALL,
        cgroup::ALL,
        cpu::ALL,
        irq::ALL,
        network::ALL,
        queues::ALL,
        memory::ALL,
        numa::ALL,
        clock::ALL,
        disk::ALL,
        folder::ALL,
        store::ALL,
        services::ALL,
        fitness::ALL,
    ];
    groups.into_iter().flatten().collect()
}

/// A name that is neither a setting's nor a group's.
#[derive(Debug, thiserror::Error)]
#[error("{name:?} is no {what}; there are {known}")]
pub struct UnknownName {
    name: String,
    what: &'static str,
    known: String,
}

/// The settings of these names, each a setting's or a group's; all where there are none. In the
/// table's order, each once.
pub fn named(names: &[String]) -> Result<Vec<&'static Setting>, UnknownName> {
    let is_meant =
        |setting: &Setting, name: &str| setting.name == name || setting.group.name() == name;
    let unknown = names.iter().find(|name| !table().iter().any(|setting| is_meant(setting, name)));
    if let Some(name) = unknown {
        let known: Vec<&str> = table().iter().map(|setting| setting.name).collect();
        let known = format!("{}; and the groups {}", known.join(", "), groups().join(", "));
        return Err(UnknownName { name: name.clone(), what: "check", known });
    }
    let all = table().into_iter();
    let meant =
        |setting: &&Setting| names.is_empty() || names.iter().any(|name| is_meant(setting, name));
    Ok(all.filter(meant).collect())
}

/// The settings of these names, which `tune` can change.
pub fn tunable(names: &[String]) -> Result<Vec<&'static Setting>, UnknownName> {
    let all = table().into_iter().filter(|setting| setting.tuning.is_some());
    let all: Vec<&'static Setting> = all.collect();
    let unknown = names.iter().find(|name| !all.iter().any(|setting| setting.name == **name));
    match unknown {
        Some(name) => {
            let known: Vec<&str> = all.iter().map(|setting| setting.name).collect();
            let what = "setting that tune changes";
            Err(UnknownName { name: name.clone(), what, known: known.join(", ") })
        }
        None => Ok(all
            .into_iter()
            .filter(|setting| names.iter().any(|name| name == setting.name))
            .collect()),
    }
}

/// The groups' names, in order.
fn groups() -> Vec<&'static str> {
    let mut groups: Vec<Group> = table().iter().map(|setting| setting.group).collect();
    groups.sort();
    groups.dedup();
    groups.into_iter().map(Group::name).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::tests::host;
    use crate::root::tests::Sample;
    use crate::setting::State;

    #[test]
    fn every_name_is_there_once_and_no_group_has_a_settings_name() {
        let mut names: Vec<&str> = table().iter().map(|setting| setting.name).collect();
        names.extend(groups());
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(count, names.len(), "{names:?}");
    }

    #[test]
    fn every_setting_says_why_with_what_effect_and_from_where() {
        for setting in table() {
            for text in [setting.why, setting.effect, setting.source] {
                assert!(text.len() > 10 && !text.contains("  "), "{setting:?}: {text}");
            }
            assert!(setting.why.ends_with('.') && setting.effect.ends_with('.'), "{setting:?}");
        }
    }

    #[test]
    fn a_host_that_tells_nothing_has_nothing_good_and_nothing_wrong() {
        let silent = Sample::new(&[]);
        for setting in table() {
            let look = (setting.look)(&host(silent.root()));
            let is_told = matches!(look.state, State::Unknown | State::Absent);
            assert!(is_told && !look.current.is_empty(), "{setting:?}: {look:?}");
            assert!(
                setting
                    .tuning
                    .is_none_or(|tuning| { (tuning.live)(&host(silent.root())).is_empty() })
            );
        }
    }

    #[test]
    fn settings_are_found_by_their_names_and_groups() {
        let names = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            named(&words).map(|all| all.iter().map(|one| one.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["limits", "memlock", "kernel"]).unwrap().len(), 6);
        assert_eq!(names(&[]).unwrap().len(), table().len());
        let error = names(&["nofiles"]).unwrap_err().to_string();
        assert!(error.contains("\"nofiles\" is no check") && error.contains("nofile,"), "{error}");
        let error = tunable(&["trim".into()]).unwrap_err().to_string();
        assert!(error.contains("tune changes") && !error.contains("trim,"), "{error}");
    }

    /// A text with one blank between words.
    fn plain(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The page and the table say the same, so that a reader of either is told the truth.
    #[test]
    fn the_page_says_of_each_setting_what_the_table_says() {
        let page = include_str!("../../tuning/README.md");
        let mut missing = Vec::new();
        for Setting { name, why, effect, source, tuning, .. } in table() {
            let right = format!("{why} {effect} ({source})");
            let section = page
                .split("\n### ")
                .find(|section| section.lines().next().is_some_and(|line| line.trim() == *name));
            if !section.is_some_and(|section| plain(section).contains(&plain(&right))) {
                missing.push(format!("### {name}\n\n{right}\n"));
            }
            let row = format!("\n| `{name}` |");
            if tuning.is_some() != page.contains(&row) {
                missing.push(format!("a row of what tune changes: {name}\n"));
            }
        }
        assert!(missing.is_empty(), "the right words:\n{}", missing.join("\n"));
    }
}
