//! The store in the data folder: when it was last backed up, and what its server says of it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::host::{Health, Host};
use crate::setting::{Group, Look, Setting, Severity};

/// As old a backup as an alert lets pass (tuning/prometheus/alerts.yaml).
const OLDEST: Duration = Duration::from_secs(36 * 3600);
const NO_STORE: &str = "no store is there yet";

pub(crate) const ALL: &[Setting] = &[
    Setting {
        name: "last-backup",
        group: Group::Store,
        why: "One disk is one place. A server notes in its data folder when its last backup was \
              completed.",
        effect: "What was written since the last backup goes with the disk.",
        source: "tuning/BACKUP.md",
        look: last_backup,
        tuning: None,
    },
    Setting {
        name: "store-health",
        group: Group::Store,
        why: "A server knows whether it takes writes, and what a scrub, or a start to read, has \
              found damaged. A restore or a repair that was interrupted leaves a mark.",
        effect: "A server that is read-only refuses all writes. Of what is damaged on the disk \
                 its memory may have the only whole copy.",
        source: "tuning/DAMAGE.md",
        look: health,
        tuning: None,
    },
];

/// Whether a file of this name is in the data folder.
fn has(host: &Host, name: &str) -> bool {
    host.root.has(host.data().join(name))
}

fn last_backup(host: &Host) -> Look {
    if !has(host, "manifest.json") {
        return Look::absent(NO_STORE);
    }
    let wanted = format!("one of the last {} hours", OLDEST.as_secs() / 3600);
    let remedy = "`sutra backup FOLDER --server ADDRESS`; every night by \
                  tuning/systemd/sutra-backup.timer (tuning/BACKUP.md)";
    let Some(text) = host.root.text(host.data().join("last-backup.json")) else {
        return Look::wrong(Severity::Hint, "none was ever completed", wanted, remedy);
    };
    let note: Option<Value> = serde_json::from_str(&text).ok();
    let Some(taken) = note.and_then(|note| note["taken"].as_u64()) else {
        return Look::unknown("the note of the last backup makes no sense");
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let age = now.saturating_sub(Duration::from_micros(taken));
    let hours = age.as_secs() / 3600;
    let current = match hours {
        0 => "taken within the last hour".to_owned(),
        1 => "taken an hour ago".to_owned(),
        hours => format!("taken {hours} hours ago"),
    };
    match age > OLDEST {
        true => Look::wrong(Severity::Warning, current, wanted, remedy),
        false => Look::good(current, wanted),
    }
}

fn health(host: &Host) -> Look {
    let wanted = "a whole store, and a server that takes writes";
    let data = host.data().display();
    if has(host, "store-unfinished") {
        let remedy = "run the `sutra restore` or `sutra repair` again that was interrupted";
        return Look::wrong(Severity::Fatal, "it is half of a store", wanted, remedy);
    }
    if !has(host, "manifest.json") {
        return Look::absent(NO_STORE);
    }
    if let Some(reader) = host.reader() {
        let current = format!("read-only: process {reader} serves it and takes no writes");
        let remedy = "`sutra health` tells what is damaged, if anything is; start the server \
                      without --read-only to write";
        return Look::wrong(Severity::Warning, current, wanted, remedy);
    }
    match host.health() {
        None => Look::unknown(format!(
            "no server tells; `sutra verify --data {data}` reads all of a store that none has"
        )),
        Some(Err(why)) => Look::unknown(format!("the server does not tell: {why}")),
        Some(Ok(Health { healthy: true, status })) => Look::good(status.clone(), wanted),
        Some(Ok(Health { healthy: false, status })) => Look::wrong(
            Severity::Fatal,
            status.clone(),
            wanted,
            "what it says; tuning/DAMAGE.md says what to do about a damaged store",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::host;
    use crate::root::tests::Sample;
    use crate::setting::State;

    fn note(age: Duration) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("{{\"taken\":{},\"bytes\":7,\"elapsed\":7}}\n", (now - age).as_micros())
    }

    #[test]
    fn the_last_backup_is_judged_by_its_age() {
        let sample = Sample::new(&[]);
        let look = || last_backup(&host(sample.root())).state;
        assert_eq!(look(), State::Absent);
        sample.write("/srv/data/manifest.json", "{}");
        assert_eq!(look(), State::Wrong(Severity::Hint));
        for (text, state) in [
            (note(Duration::from_secs(35 * 3600)), State::Good),
            (note(Duration::from_secs(37 * 3600)), State::Wrong(Severity::Warning)),
            ("{}".to_owned(), State::Unknown),
        ] {
            sample.write("/srv/data/last-backup.json", &text);
            assert_eq!(look(), state, "{text}");
        }
    }

    #[test]
    fn a_store_is_as_its_server_says_and_half_of_one_is_none() {
        let sample = Sample::new(&[("/srv/data/manifest.json", "{}")]);
        let told = |health| self::health(&host(sample.root()).with_health(health));
        let says = |healthy, status: &str| Ok(Health { healthy, status: status.to_owned() });
        assert_eq!(health(&host(sample.root())).state, State::Unknown);
        assert_eq!(told(Err("it is too busy".to_owned())).state, State::Unknown);
        assert_eq!(told(says(true, "ok")).state, State::Good);
        let damaged = told(says(false, "a scrub found 1 place damaged"));
        assert_eq!(damaged.state, State::Wrong(Severity::Fatal));
        assert!(damaged.current.contains("1 place damaged"), "{damaged:?}");
        sample.write("/srv/data/store-unfinished", "");
        assert_eq!(told(says(true, "ok")).state, State::Wrong(Severity::Fatal));
    }
}
