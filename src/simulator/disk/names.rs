//! The names of a simulated disk's files, as they are and as the disk has them.

use std::collections::{BTreeMap, BTreeSet};

use crate::random::Random;

/// Which file each name leads to.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    now: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    /// What has changed since, in order.
    changes: Vec<NameChange>,
    folders: BTreeSet<String>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Link(String, usize),
    Unlink(String),
    Rename(String, String),
}

/// The folder of a name.
fn folder(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl NameChange {
    fn folder(&self) -> &str {
        match self {
            NameChange::Link(name, _) | NameChange::Unlink(name) | NameChange::Rename(name, _) => {
                folder(name)
            }
        }
    }

    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            NameChange::Link(name, number) => drop(names.insert(name.clone(), *number)),
            NameChange::Unlink(name) => drop(names.remove(name)),
            NameChange::Rename(from, to) => {
                if let Some(number) = names.remove(from) {
                    names.insert(to.clone(), number);
                }
            }
        }
    }
}

impl Names {
    pub(super) fn get(&self, name: &str) -> Option<usize> {
        self.now.get(name).copied()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&str, usize)> {
        self.now.iter().map(|(name, number)| (name.as_str(), *number))
    }

    /// Durable at once.
    pub(super) fn make_folder(&mut self, folder: &str) {
        self.folders.insert(folder.to_owned());
    }

    pub(super) fn is_folder(&self, folder: &str) -> bool {
        self.folders.contains(folder)
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.now);
        self.changes.push(change);
    }

    pub(super) fn link(&mut self, name: &str, number: usize) {
        self.change(NameChange::Link(name.to_owned(), number));
    }

    /// Whether it was there.
    pub(super) fn unlink(&mut self, name: &str) -> bool {
        let is_there = self.now.contains_key(name);
        if is_there {
            self.change(NameChange::Unlink(name.to_owned()));
        }
        is_there
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) {
        self.change(NameChange::Rename(from.to_owned(), to.to_owned()));
    }

    /// What was changed in a folder is durable.
    pub(super) fn sync(&mut self, folder: &str) {
        let durable = &mut self.durable;
        self.changes.retain(|change| {
            let is_here = change.folder() == folder;
            if is_here {
                change.apply(durable);
            }
            !is_here
        });
    }

    /// The page cache is gone: of what was not durable each change was made or not. Where they
    /// are written in order, none is made behind one that is not.
    pub(super) fn lose_power(&mut self, random: &mut Random) {
        let is_in_order = random.one_in(2);
        for change in std::mem::take(&mut self.changes) {
            match random.one_in(2) {
                true => change.apply(&mut self.durable),
                false if is_in_order => break,
                false => {}
            }
        }
        self.now = self.durable.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn a_name_survives_a_power_cut_for_sure_only_after_a_sync_of_its_folder() {
        let mut kept = [0, 0];
        for seed in 0..100 {
            let mut names = Names::default();
            names.link("a/new", 1);
            names.sync("a");
            names.rename("a/new", "a/name");
            names.link("b/other", 2);
            names.sync("b");
            names.lose_power(&mut Random::of(seed, Stream::Disk, 0));
            assert_eq!(names.get("b/other"), Some(2));
            assert_eq!([names.get("a/new"), names.get("a/name")].iter().flatten().count(), 1);
            kept[usize::from(names.get("a/name").is_some())] += 1;
        }
        assert!(kept.iter().all(|count| *count > 10), "{kept:?}");
    }
}
