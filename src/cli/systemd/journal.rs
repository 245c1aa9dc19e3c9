//! Whether standard error leads to the journal. It takes a line's priority from the line's
//! beginning (sd-daemon(3)), so that `journalctl -p warning` finds what it should.

use std::sync::LazyLock;

use tracing::Level;

/// A line, or several, as standard error takes them: with their priority where that is the journal.
pub(crate) fn prefixed(level: Level, lines: Vec<u8>) -> Vec<u8> {
    if reads_errors() { with_priority(level, &lines) } else { lines }
}

/// Whether the journal reads standard error.
pub(crate) fn reads_errors() -> bool {
    static READS: LazyLock<bool> = LazyLock::new(|| {
        let named = std::env::var("JOURNAL_STREAM").ok();
        named.is_some_and(|stream| Some(stream) == standard_error())
    });
    *READS
}

/// The file behind standard error, as JOURNAL_STREAM names it: device and inode. A process that was
/// given another standard error since has the variable all the same.
fn standard_error() -> Option<String> {
    let stat = rustix::fs::fstat(std::io::stderr()).ok()?;
    Some(format!("{}:{}", stat.st_dev, stat.st_ino))
}

fn with_priority(level: Level, lines: &[u8]) -> Vec<u8> {
    let priority: &[u8] = match level {
        Level::ERROR => b"<3>",
        Level::WARN => b"<4>",
        Level::INFO => b"<6>",
        _ => b"<7>",
    };
    // The journal takes each line for itself.
    let mut marked = Vec::with_capacity(lines.len() + priority.len());
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        marked.extend_from_slice(priority);
        marked.extend_from_slice(line);
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_the_priority_of_its_level() {
        let marked = |level, text: &str| with_priority(level, text.as_bytes());
        assert_eq!(marked(Level::ERROR, "a\nb\n"), b"<3>a\n<3>b\n");
        assert_eq!(marked(Level::WARN, "a\n"), b"<4>a\n");
        assert_eq!(marked(Level::INFO, "a\n"), b"<6>a\n");
        assert_eq!(marked(Level::TRACE, "a"), b"<7>a");
    }
}
