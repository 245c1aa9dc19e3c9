//! What `sutra tune` shows: what it can change, and what it is about to.

use std::fmt::Write as _;

use serde_json::json;
use sutra_host::{Change, Host, Plan, chosen, table};

use crate::exit::{Answer, Failure};
use crate::output::Output;

/// All that can be changed, and how it is.
pub(super) fn list(host: &Host, output: Output) -> Result<Answer, Failure> {
    let rows: Vec<_> = table()
        .into_iter()
        .filter_map(|setting| Some((setting, setting.tuning?, (setting.look)(host))))
        .collect();
    let value: Vec<_> = rows
        .iter()
        .map(|(setting, tuning, look)| {
            json!({
                "setting": setting.name,
                "state": look.state.word(),
                "current": look.current,
                "wanted": look.wanted,
                "cost": tuning.cost,
            })
        })
        .collect();
    output.answer(&json!({ "settings": value }), || {
        let mut text = String::from("sutra tune can change these, by name or with --all:\n");
        for (setting, tuning, look) in &rows {
            let _ = write!(text, "  {:18} {:8} {}", setting.name, look.state.word(), look.current);
            if let Some(cost) = tuning.cost {
                let _ = write!(text, " (by name only: {cost})");
            }
            text.push('\n');
        }
        text + "nothing was changed"
    })?;
    Ok(Answer::Yes)
}

/// What is about to be done.
pub(super) fn plan(plan: &Plan, output: Output) -> Result<(), Failure> {
    let changes: Vec<_> = plan
        .changes
        .iter()
        .map(|change| {
            json!({
                "file": change.path,
                "settings": change.settings,
                "live": change.is_live,
                "old": change.old.shown(),
                "new": change.new.shown(),
            })
        })
        .collect();
    let kept: Vec<_> =
        plan.kept.iter().map(|(what, why)| json!({ "what": what, "why": why })).collect();
    if plan.changes.is_empty() && plan.kept.is_empty() && !output.is_json() {
        return Ok(());
    }
    output.answer(&json!({ "changes": changes, "kept": kept }), || {
        let mut text: String = plan.changes.iter().map(change).collect();
        for (what, why) in &plan.kept {
            let _ = writeln!(text, "{what} stays: {why}");
        }
        let fleeting = plan.fleeting();
        if !fleeting.is_empty() {
            let names = fleeting.join(", ");
            let _ = writeln!(text, "until the next boot only: {names}; --boot keeps it");
        }
        text.trim_end().to_owned()
    })
}

/// A change: on a line where it is a value, with its lines where it is a file.
fn change(change: &Change) -> String {
    let Change { path, settings, is_live, old, new } = change;
    let (before, after) = (old.shown(), new.shown());
    let of = settings.join(", ");
    if *is_live {
        let value = |text: Option<String>| chosen(text.unwrap_or_default().trim()).to_owned();
        return format!("{path}: {} → {} ({of})\n", value(before), value(after));
    }
    let words = match (&before, &after) {
        (None, _) => "new",
        (_, None) => "removed",
        _ => "changed",
    };
    let mut text = format!("{path}: {words} ({of})\n");
    let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
    let gone = before.lines().filter(|line| !after.lines().any(|other| other == *line));
    gone.for_each(|line| text += &format!("  - {line}\n"));
    let come = after.lines().filter(|line| !before.lines().any(|other| other == *line));
    come.for_each(|line| text += &format!("  + {line}\n"));
    text
}
