//! What would be changed on a host for some settings.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;

use crate::host::Host;
use crate::root::chosen;
use crate::setting::{Setting, State as Looks};
use crate::tune::boot;
use crate::tune::content::Content;
use crate::tune::error::TuneError;
pub use crate::tune::state::Boot;
use crate::tune::state::{self, Changed, State};
use crate::tune::templates::{TEMPLATES, has_block};

/// Which settings are to be changed.
#[derive(Clone, Debug)]
pub enum Choice {
    /// These.
    Named(Vec<&'static Setting>),
    /// All that are not as they should be, and cost nothing.
    All,
}

/// A change of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The file, from the host's root on.
    pub path: String,
    /// For the sake of these settings.
    pub settings: Vec<String>,
    /// Whether it is a value of the running kernel.
    pub is_live: bool,
    /// What is there now.
    pub old: Content,
    /// What will be.
    pub new: Content,
}

/// Changes that belong together.
#[derive(Debug)]
pub struct Plan {
    /// In the order in which they are made.
    pub changes: Vec<Change>,
    /// What stays as it is though it was asked for, and why.
    pub kept: Vec<(String, String)>,
    /// What was so before.
    pub(super) before: State,
    /// What is so then.
    pub(super) after: State,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.before == self.after
    }

    /// Settings whose values the next boot sets back: nothing that is installed sets them.
    pub fn fleeting(&self) -> Vec<String> {
        if self.after.boot.is_some() {
            return Vec::new();
        }
        let new = self.after.applied.iter().filter(|name| !self.before.applied.contains(name));
        new.filter(|name| !has_block(name)).cloned().collect()
    }
}

/// Something that is to stand in a file.
struct Wanted {
    settings: Vec<String>,
    is_live: bool,
    content: Content,
}

/// By path.
type AllWanted = BTreeMap<String, Wanted>;

/// Reads what was changed so far.
pub(super) fn read_state(host: &Host) -> Result<State, TuneError> {
    let path = host.root().at(state::FILE);
    State::read(host.root()).map_err(|source| TuneError::State { path, source })
}

/// What would be changed for the sake of these settings. With `boot`, a unit applies them, and
/// those of before, at boot.
pub fn plan(host: &Host, choice: &Choice, boot: Option<Boot>) -> Result<Plan, TuneError> {
    let before = read_state(host)?;
    let mut kept = Vec::new();
    let mut after = before.clone();
    after.boot = boot.or(after.boot);
    for setting in chosen_settings(host, choice) {
        let is_applied = before.applied.iter().any(|name| name == setting.name);
        match reason_to_keep(host, setting, after.boot.is_some()) {
            Some(why) if !is_applied => kept.push((setting.name.to_owned(), why)),
            _ if is_applied => {}
            _ => after.applied.push(setting.name.to_owned()),
        }
    }
    if after.applied.is_empty() {
        after.boot = None;
    }
    let wanted = all_wanted(host, &after);
    let changes = changes(host, &wanted, &mut after)?;
    Ok(Plan { changes, kept, before, after })
}

fn chosen_settings(host: &Host, choice: &Choice) -> Vec<&'static Setting> {
    match choice {
        Choice::Named(settings) => settings.clone(),
        Choice::All => {
            let is_free =
                |setting: &&Setting| setting.tuning.is_some_and(|tuning| tuning.cost.is_none());
            let is_to_change = |setting: &&Setting| match (setting.look)(host).state {
                Looks::Wrong(_) => true,
                // Of an image little is known, and what it will run on less.
                Looks::Unknown => !host.root().is_here(),
                Looks::Good | Looks::Absent => false,
            };
            crate::table::table().into_iter().filter(is_free).filter(is_to_change).collect()
        }
    }
}

/// Why a setting that was chosen is left as it is.
fn reason_to_keep(host: &Host, setting: &Setting, at_boot: bool) -> Option<String> {
    let tuning = setting.tuning?;
    let is_here = host.root().is_here();
    let look = (setting.look)(host);
    match look.state {
        Looks::Absent if is_here => return Some(format!("nothing to change: {}", look.current)),
        Looks::Good if tuning.leaves_good => return Some(format!("{} already", look.current)),
        _ => {}
    }
    let live = if is_here { (tuning.live)(host) } else { Vec::new() };
    if has_block(setting.name) || (at_boot && (!is_here || !live.is_empty())) {
        return None;
    }
    if !is_here {
        return Some("a value of the running kernel; --boot sets it at boot".into());
    }
    if live.is_empty() {
        return Some(format!("not there to be changed: {}", look.current));
    }
    let as_wanted = live.iter().all(|live| is_so(host, &live.file, &live.wanted));
    as_wanted.then(|| "as wanted already".into())
}

/// Whether a value of the kernel is so.
fn is_so(host: &Host, file: &str, wanted: &str) -> bool {
    host.root().text(file).is_some_and(|text| chosen(&text) == wanted)
}

/// All that is to stand in files where this is what was chosen.
fn all_wanted(host: &Host, state: &State) -> AllWanted {
    let mut wanted = AllWanted::new();
    for template in &TEMPLATES {
        if let Some(text) = template.rendered(&state.applied) {
            let settings = template.settings(&state.applied);
            let content = Content::installed(text);
            wanted.insert(template.to.into(), Wanted { settings, is_live: false, content });
        }
    }
    if host.root().is_here() {
        let table = crate::table::table().into_iter();
        let applied = table.filter(|one| state.applied.iter().any(|name| name == one.name));
        for setting in applied {
            let live = setting.tuning.map(|tuning| (tuning.live)(host)).unwrap_or_default();
            for live in live.into_iter().filter(|live| !is_so(host, &live.file, &live.wanted)) {
                let content = Content::installed(live.wanted + "\n");
                let settings = vec![setting.name.to_owned()];
                wanted.insert(live.file, Wanted { settings, is_live: true, content });
            }
        }
    }
    if let Some(told) = &state.boot {
        let all = state.applied.clone();
        for (path, content) in
            [(boot::FILE, boot::unit(told, &state.applied)), (boot::LINK, boot::link())]
        {
            let settings = all.clone();
            wanted.insert(path.into(), Wanted { settings, is_live: false, content });
        }
    }
    wanted
}

/// The changes that bring this about, noted in `after` with what is there now.
fn changes(host: &Host, wanted: &AllWanted, after: &mut State) -> Result<Vec<Change>, TuneError> {
    let mut changes = Vec::new();
    for (path, wanted) in wanted {
        let there = host.root().at(path);
        let old = read(&there)?;
        let noted = after.files.get_mut(path);
        if let Some(noted) = noted {
            noted.settings.clone_from(&wanted.settings);
        }
        let new = kept_mode(&old, &wanted.content, wanted.is_live);
        if old.says_the_same(&new) {
            continue;
        }
        let changed = after.files.entry(path.clone()).or_insert_with(|| Changed {
            settings: wanted.settings.clone(),
            is_live: wanted.is_live,
            former: old.clone(),
            left: Content::Missing,
        });
        changed.left = new.clone();
        let (path, settings) = (path.clone(), wanted.settings.clone());
        changes.push(Change { path, settings, is_live: wanted.is_live, old, new });
    }
    Ok(changes)
}

/// A value of the kernel keeps its file's mode and owner.
fn kept_mode(old: &Content, new: &Content, is_live: bool) -> Content {
    match (old, new) {
        (Content::File { mode, owner, group, .. }, Content::File { text, .. }) if is_live => {
            let (mode, owner, group) = (*mode, *owner, *group);
            Content::File { text: text.clone(), mode, owner, group }
        }
        _ => new.clone(),
    }
}

/// What is at a path, or why that can't be told.
pub(super) fn read(path: &std::path::Path) -> Result<Content, TuneError> {
    Content::at(path).map_err(|source: io::Error| TuneError::File {
        what: "read",
        path: path.to_owned(),
        source,
    })
}

/// What would be changed for a smaller choice; the undoing of the rest is in `undone.rs`.
pub(super) fn reduced(host: &Host, after: &mut State) -> Result<Vec<Change>, TuneError> {
    let mut wanted = all_wanted(host, after);
    wanted.retain(|path, wanted| !wanted.is_live && after.files.contains_key(path));
    changes(host, &wanted, after)
}
