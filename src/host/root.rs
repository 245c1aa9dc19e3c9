//! The files of a host, below any folder: `/` is this host. An image that is mounted somewhere is
//! another, and so is what was collected from one.
//!
//! Everything that the kernel tells of itself is a short text. So a reader asks for a text, a
//! number or names, and what is not there or can't be read is `None`: it is for the caller to say
//! that it is not known.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The longest text that is read. `/proc/interrupts` of a host with 500 CPUs is below it.
const MOST: u64 = 4 << 20;

/// Where a host's files are.
#[derive(Clone, Debug)]
pub struct Root(PathBuf);

impl Root {
    /// The host that has its root at this folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Whether it is the host that this process runs on.
    pub fn is_here(&self) -> bool {
        self.0 == Path::new("/")
    }

    /// Where a file of the host is for this process. `path` begins with `/`.
    pub fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A file's text, without the blanks at its ends.
    pub fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        let mut bytes = Vec::new();
        fs::File::open(self.at(path)).ok()?.take(MOST).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// A file that says one number.
    pub fn number<N: FromStr>(&self, path: impl AsRef<Path>) -> Option<N> {
        self.text(path)?.parse().ok()
    }

    /// What is chosen in a file of the kernel that lists all there is, as `always [madvise] never`.
    pub fn chosen(&self, path: impl AsRef<Path>) -> Option<String> {
        self.text(path).map(|text| chosen(&text).to_owned())
    }

    /// The names in a folder, numbers within them in order: `cpu2` before `cpu10`. None where there
    /// is no such folder.
    pub fn names(&self, folder: impl AsRef<Path>) -> Vec<String> {
        let entries = fs::read_dir(self.at(folder)).into_iter().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort_by(|a, b| by_number(a).cmp(&by_number(b)).then_with(|| a.cmp(b)));
        names
    }

    /// Whether there is something at this path.
    pub fn has(&self, path: impl AsRef<Path>) -> bool {
        self.at(path).symlink_metadata().is_ok()
    }

    /// The name of what a link leads to.
    pub fn link_name(&self, path: impl AsRef<Path>) -> Option<String> {
        let target = fs::read_link(self.at(path)).ok()?;
        Some(target.file_name()?.to_string_lossy().into_owned())
    }
}

/// The word in brackets, as the kernel marks what is chosen of a list; the whole text where no word
/// is.
pub fn chosen(text: &str) -> &str {
    let inside = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    inside.map_or(text, |(word, _)| word)
}

/// A name's beginning, and the number behind it.
fn by_number(name: &str) -> (&str, u64) {
    let beginning = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (beginning, name[beginning.len()..].parse().unwrap_or(0))
}

/// The numbers of a list as the kernel writes it: `0-3,8`. `None` where it is none.
pub(crate) fn numbers(list: &str) -> Option<Vec<usize>> {
    let mut found = Vec::new();
    for part in list.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if last < first || last - first > 1 << 16 {
            return None;
        }
        found.extend(first..=last);
    }
    Some(found)
}

/// Numbers as the kernel writes a list of them, and `sutra serve --cores` reads it.
pub(crate) fn listed(numbers: &[usize]) -> String {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => parts.push((*number, *number)),
        }
    }
    let text = |(first, last): &(usize, usize)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    parts.iter().map(text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A host with these files, gone when it is dropped.
    pub(crate) struct Sample {
        folder: tempfile::TempDir,
    }

    impl Sample {
        pub(crate) fn new(files: &[(&str, &str)]) -> Self {
            let sample = Self { folder: tempfile::tempdir().unwrap() };
            for (path, text) in files {
                sample.write(path, text);
            }
            sample
        }

        pub(crate) fn root(&self) -> Root {
            Root::new(self.folder.path())
        }

        pub(crate) fn write(&self, path: &str, text: &str) {
            let path = self.root().at(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        pub(crate) fn link(&self, path: &str, to: &str) {
            let path = self.root().at(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(to, path).unwrap();
        }
    }

    #[test]
    fn lists_of_the_kernel_read_as_numbers_and_back() {
        for (list, wanted) in [("0-3,8", vec![0, 1, 2, 3, 8]), ("", vec![]), ("7\n", vec![7])] {
            let read = numbers(list).unwrap();
            assert_eq!(read, wanted);
            assert_eq!(listed(&read), list.trim());
        }
        for wrong in ["x", "3-1", "0-99999999", "1,,x"] {
            assert_eq!(numbers(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_chosen_stands_in_brackets_or_alone() {
        assert_eq!(chosen("always [madvise] never"), "madvise");
        assert_eq!(chosen("performance"), "performance");
    }

    #[test]
    fn texts_numbers_and_names_are_read_below_the_root_and_nothing_where_none_are() {
        let sample = Sample::new(&[
            ("/proc/sys/net/core/somaxconn", "4096\n"),
            ("/sys/devices/system/cpu/cpu10/x", ""),
            ("/sys/devices/system/cpu/cpu2/x", ""),
        ]);
        let root = sample.root();
        assert_eq!(root.number("/proc/sys/net/core/somaxconn"), Some(4096));
        assert_eq!(root.names("/sys/devices/system/cpu"), ["cpu2", "cpu10"]);
        assert_eq!(root.number::<u64>("/proc/sys/nowhere"), None);
        assert!(root.names("/nowhere").is_empty() && !root.has("/nowhere") && !root.is_here());
    }
}
