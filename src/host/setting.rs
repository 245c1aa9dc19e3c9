//! What a setting is: how it is looked at, what is wanted and why, and what `tune` may change.
//!
//! A setting is one line of the table (`table.rs`), which `sutra doctor` and `sutra tune` share.
//! What can't be read on a host is [`State::Unknown`]: it is said, and never counted as good.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::host::Host;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something could be faster, or is worth knowing.
    Hint,
    /// The server runs, and is slower or less safe than it looks.
    Warning,
    /// The server does not start here, takes no writes, or can't keep what it promises.
    Fatal,
}

/// What came of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Good,
    /// Not as it should be.
    Wrong(Severity),
    /// This host does not tell.
    Unknown,
    /// This host has nothing that the setting is about.
    Absent,
}

impl State {
    /// In one word, for people and programs.
    pub fn word(self) -> &'static str {
        match self {
            State::Wrong(Severity::Fatal) => "fatal",
            State::Wrong(Severity::Warning) => "warning",
            State::Wrong(Severity::Hint) => "hint",
            State::Unknown => "unknown",
            State::Good => "good",
            State::Absent => "absent",
        }
    }

    /// How much it counts: the worst is the greatest.
    fn rank(self) -> u8 {
        match self {
            State::Absent => 0,
            State::Good => 1,
            State::Unknown => 2,
            State::Wrong(Severity::Hint) => 3,
            State::Wrong(Severity::Warning) => 4,
            State::Wrong(Severity::Fatal) => 5,
        }
    }
}

impl PartialOrd for State {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for State {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// Whether it is as it should be.
    pub state: State,
    /// How it is; why it is not known; why there is nothing to look at.
    pub current: String,
    /// How it should be; empty where nothing is wanted.
    pub wanted: String,
    /// What mends it; empty where nothing has to be mended.
    pub remedy: String,
    /// What was counted or measured here that tells of its effect; empty for nothing.
    pub measured: String,
    /// The same in numbers, for programs: what, with its unit in the name, and how much.
    pub figures: BTreeMap<&'static str, f64>,
}

impl Look {
    fn new(state: State, current: impl Into<String>, wanted: impl Into<String>) -> Self {
        let (current, wanted) = (current.into(), wanted.into());
        let (remedy, measured, figures) = Default::default();
        Self { state, current, wanted, remedy, measured, figures }
    }

    /// It is as it should be.
    pub(crate) fn good(current: impl Into<String>, wanted: impl Into<String>) -> Self {
        Self::new(State::Good, current, wanted)
    }

    /// It is not, and this mends it.
    pub(crate) fn wrong(
        severity: Severity,
        current: impl Into<String>,
        wanted: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let remedy = remedy.into();
        Self { remedy, ..Self::new(State::Wrong(severity), current, wanted) }
    }

    /// This host does not tell, for this reason.
    pub(crate) fn unknown(why: impl Into<String>) -> Self {
        Self::new(State::Unknown, why, "")
    }

    /// There is nothing to look at, for this reason.
    pub(crate) fn absent(why: impl Into<String>) -> Self {
        Self::new(State::Absent, why, "")
    }

    /// The same, with what was counted or measured here.
    pub(crate) fn measured(self, measured: impl Into<String>) -> Self {
        Self { measured: measured.into(), ..self }
    }
}

/// What a group of settings is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Group {
    Kernel,
    Limits,
    Cgroup,
    Cpu,
    Irq,
    Network,
    Memory,
    Numa,
    Clock,
    Disk,
    Folder,
    Store,
    Services,
    Fitness,
}

impl Group {
    /// As the command line names it.
    pub fn name(self) -> &'static str {
        match self {
            Group::Kernel => "kernel",
            Group::Limits => "limits",
            Group::Cgroup => "cgroup",
            Group::Cpu => "cpu",
            Group::Irq => "irq",
            Group::Network => "network",
            Group::Memory => "memory",
            Group::Numa => "numa",
            Group::Clock => "clock",
            Group::Disk => "disk",
            Group::Folder => "folder",
            Group::Store => "store",
            Group::Services => "services",
            Group::Fitness => "fitness",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A value of the running kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// The file in `/proc` or `/sys`.
    pub file: String,
    /// What is to stand in it.
    pub wanted: String,
}

/// What `tune` may change.
#[derive(Clone, Copy)]
pub struct Tuning {
    /// The values of the running kernel, of those that this host has.
    pub live: fn(&Host) -> Vec<Live>,
    /// Whether what is good already stays as it is: more than is wanted, or another way to it.
    pub leaves_good: bool,
    /// What it costs. A setting that costs something is changed only where it is named, and not by
    /// `--all`.
    pub cost: Option<&'static str>,
}

impl Tuning {
    /// What is changed where it is not as wanted, and costs nothing.
    pub(crate) const fn of(live: fn(&Host) -> Vec<Live>) -> Option<Self> {
        Some(Self { live, leaves_good: false, cost: None })
    }

    /// The same for what may be good in several ways.
    pub(crate) const fn unless_good(live: fn(&Host) -> Vec<Live>) -> Option<Self> {
        Some(Self { live, leaves_good: true, cost: None })
    }

    /// The same for what has a price.
    pub(crate) const fn at_a_cost(
        live: fn(&Host) -> Vec<Live>,
        cost: &'static str,
    ) -> Option<Self> {
        Some(Self { live, leaves_good: false, cost: Some(cost) })
    }
}

/// A setting of a host.
#[derive(Clone, Copy)]
pub struct Setting {
    /// As the command line names it.
    pub name: &'static str,
    /// What it is about.
    pub group: Group,
    /// Why it matters to this server.
    pub why: &'static str,
    /// What it does, in figures where there are some.
    pub effect: &'static str,
    /// Where that is from.
    pub source: &'static str,
    /// How it is on a host.
    pub look: fn(&Host) -> Look,
    /// What `tune` may change; `None` where that is for people to do.
    pub tuning: Option<Tuning>,
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A setting that lives in files alone: the running kernel has no value of it.
pub(crate) fn no_live_value(_: &Host) -> Vec<Live> {
    Vec::new()
}

/// A value of the kernel, where this host has it.
pub(crate) fn where_there(
    host: &Host,
    file: impl Into<String>,
    wanted: impl Into<String>,
) -> Option<Live> {
    let file = file.into();
    host.root.has(&file).then(|| Live { file, wanted: wanted.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_worse_than_good_and_no_fault() {
        let order = [
            State::Absent,
            State::Good,
            State::Unknown,
            State::Wrong(Severity::Hint),
            State::Wrong(Severity::Warning),
            State::Wrong(Severity::Fatal),
        ];
        assert!(order.is_sorted());
        assert_eq!(order.map(State::word)[3..], ["hint", "warning", "fatal"]);
    }
}
