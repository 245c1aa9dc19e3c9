//! What would be changed back.

use crate::host::Host;
use crate::root::chosen;
use crate::tune::content::Content;
use crate::tune::error::TuneError;
use crate::tune::planned::{Change, Plan, read, read_state, reduced};
use crate::tune::state::Changed;

/// What would be changed back of these settings, or of all that were ever changed. Files that other
/// settings still need are written for those alone.
pub fn undo(host: &Host, names: Option<&[String]>) -> Result<Plan, TuneError> {
    let before = read_state(host)?;
    let mut after = before.clone();
    let mut kept = Vec::new();
    let goes = |name: &String| names.is_none_or(|names| names.contains(name));
    for name in names.unwrap_or_default() {
        if !before.applied.contains(name) {
            kept.push((name.clone(), "it was not changed by tune".to_owned()));
        }
    }
    after.applied.retain(|name| !goes(name));
    if after.applied.is_empty() {
        after.boot = None;
    }
    let mut changes = Vec::new();
    for (path, changed) in &before.files {
        if changed.settings.iter().any(|name| !goes(name)) {
            continue;
        }
        after.files.remove(path);
        let there = host.root().at(path);
        let now = read(&there)?;
        if is_back(changed, &now) {
            continue;
        }
        match reason_to_leave(changed, &now) {
            Some(why) => kept.push((path.clone(), why)),
            None => changes.push(Change {
                path: path.clone(),
                settings: changed.settings.clone(),
                is_live: changed.is_live,
                old: now,
                new: changed.former.clone(),
            }),
        }
    }
    changes.extend(reduced(host, &mut after)?);
    Ok(Plan { changes, kept, before, after })
}

/// Whether it is as it was before.
fn is_back(changed: &Changed, now: &Content) -> bool {
    *now == changed.former
        || (changed.is_live && value(now).is_some() && value(now) == value(&changed.former))
}

/// Why a file is left as it is: it is no longer what tune left.
fn reason_to_leave(changed: &Changed, now: &Content) -> Option<String> {
    let same = match changed.is_live {
        true => value(now) == value(&changed.left),
        false => now.says_the_same(&changed.left),
    };
    match (now, same) {
        (_, true) => None,
        (Content::Missing, _) => Some("it is gone".into()),
        _ => Some("somebody has changed it since; it stays".into()),
    }
}

/// What is chosen in a value of the kernel.
fn value(content: &Content) -> Option<String> {
    let Content::File { text, .. } = content else { return None };
    let text = String::from_utf8_lossy(text.bytes()).into_owned();
    Some(chosen(text.trim()).to_owned())
}
