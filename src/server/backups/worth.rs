//! What the note of a backup is worth that a client says is complete. It silences the alert of
//! backups that are too old, so it has to be one that can be true.

use sutra_store::LastBackup;

/// What a note is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// It is the last one.
    New,
    /// A later one is known: this one took longer.
    Known,
    /// No cut can have been taken then.
    Nothing,
}

/// What a note is worth, by the one that is known and by the time.
pub(super) fn worth(done: &LastBackup, known: Option<LastBackup>, now: u64) -> Worth {
    match known {
        _ if done.taken > now => Worth::Nothing,
        // One of the future was noted when the clock was ahead.
        Some(known) if known.taken > done.taken && known.taken <= now => Worth::Known,
        _ => Worth::New,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_counts_that_can_be_true_and_is_not_older_than_the_known_one() {
        let note = |taken| LastBackup { taken, bytes: 1, elapsed: 1 };
        let worth = |taken, known: Option<u64>| worth(&note(taken), known.map(note), 100);
        assert_eq!(worth(100, None), Worth::New);
        assert_eq!(worth(101, None), Worth::Nothing);
        assert_eq!(worth(u64::MAX, Some(50)), Worth::Nothing);
        assert_eq!(worth(60, Some(50)), Worth::New);
        assert_eq!(worth(50, Some(50)), Worth::New, "told again");
        assert_eq!(worth(49, Some(50)), Worth::Known);
        assert_eq!(worth(49, Some(101)), Worth::New, "it was noted when the clock was ahead");
    }
}
