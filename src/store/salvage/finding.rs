//! What is found to be wrong with a store, in words for people and in fields for programs.

use std::fmt;

use serde::Serialize;
use sutra_wire::AssociationKind;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing that was stored is lost, and a start takes it in its stride.
    Harmless,
    /// It is not what was written, and the next start makes it again: nothing that was stored is
    /// lost.
    Replaceable,
    /// Something that was stored can't be read, or a start refuses the store.
    Damage,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file, relative to the data folder.
    pub file: String,
    /// Where in it.
    pub offset: u64,
    /// How many bytes of it are concerned; 0 where that is not known.
    pub length: u64,
    /// What it is.
    pub what: String,
    /// What it may have taken with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Loss>,
    /// What helps.
    pub help: &'static str,
}

/// A stretch of the log in which entries may be lost.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Loss {
    /// Where in the file; with the next, the stretch.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// The sequence of the last whole entry before it; 0 where there is none.
    pub after_sequence: u64,
    /// The sequence of the first whole entry behind it, where there is one.
    pub before_sequence: Option<u64>,
    /// When the entry before it was written, in µs since 1970.
    pub after_time: u64,
    /// When the entry behind it was written.
    pub before_time: Option<u64>,
    /// So many entries are lost at most, where that is known.
    pub at_most: Option<u64>,
    /// What was lost, as far as its bytes still tell.
    pub probably: Option<LostRecord>,
}

/// A record that does not match its checksum and can still be read: it is probably this one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LostRecord {
    /// `concept`, `association`, `deletion` or `removal`.
    pub kind: &'static str,
    /// The namespace.
    pub namespace: String,
    /// The concept's id, or the source's, in hexadecimal digits.
    pub id: String,
    /// The name that its caller gave it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// An association's target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// An association's type, as a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub association: Option<u32>,
    /// What stands of it in what was salvaged, where that was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remains: Option<Remains>,
}

/// What stands of a record that is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Remains {
    /// A newer version, so that nothing that could be seen is lost.
    Newer,
    /// An older version, which is what will be seen.
    Older,
    /// Nothing.
    None,
}

/// What a damaged store's file says of something that is not lost by it.
pub(super) fn damage(file: &str, what: String, help: &'static str) -> Finding {
    Finding {
        severity: Severity::Damage,
        file: file.to_owned(),
        offset: 0,
        length: 0,
        what,
        lost: Vec::new(),
        help,
    }
}

impl Loss {
    /// Whether a deletion or a removal may be among what is lost, so that something that was
    /// deleted may be back.
    pub fn may_bring_back(&self) -> bool {
        let is_other = |lost: &LostRecord| matches!(lost.kind, "concept" | "association");
        self.at_most != Some(0) && !self.probably.as_ref().is_some_and(is_other)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Harmless => "harmless",
            Severity::Replaceable => "replaceable",
            Severity::Damage => "damage",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, file, offset, what, lost, help, .. } = self;
        write!(f, "{severity}: {file}, byte {offset}: {what}")?;
        for loss in lost {
            write!(f, "\n  {loss}")?;
        }
        write!(f, "\n  {help}")
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |micros: u64| {
            let micros = i64::try_from(micros).ok();
            let at = micros.and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok());
            at.map_or_else(|| "a time unknown".to_owned(), |at| format!("{at:.3}"))
        };
        f.write_str("lost: ")?;
        match (&self.probably, self.at_most) {
            (Some(record), _) => write!(f, "probably {record}")?,
            (None, Some(1)) => f.write_str("at most one entry")?,
            (None, Some(count)) => write!(f, "at most {count} entries")?,
            (None, None) => f.write_str("entries, nobody knows how many")?,
        }
        write!(f, " (sequence above {}", self.after_sequence)?;
        if let Some(before) = self.before_sequence {
            write!(f, " and below {before}")?;
        }
        if self.after_time > 0 {
            write!(f, ", from {}", time(self.after_time))?;
        }
        if let Some(before) = self.before_time {
            write!(f, " to {}", time(before))?;
        }
        f.write_str(")")?;
        match self.may_bring_back() {
            true => f.write_str("; what was deleted then may be back"),
            false => Ok(()),
        }
    }
}

impl fmt::Display for LostRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, namespace, id, name, target, association, remains } = self;
        write!(f, "the {kind} of {id}")?;
        if !name.is_empty() {
            write!(f, " ({name:?})")?;
        }
        if let Some(target) = target {
            write!(f, " to {target}")?;
        }
        if let Some(association) = association {
            write!(f, " of type {}", AssociationKind(*association))?;
        }
        if !namespace.is_empty() {
            write!(f, " in namespace {namespace:?}")?;
        }
        f.write_str(match remains {
            Some(Remains::Newer) => ", of which a newer version stands",
            Some(Remains::Older) => ", of which an older version stands",
            Some(Remains::None) => ", of which nothing stands",
            None => "",
        })
    }
}
