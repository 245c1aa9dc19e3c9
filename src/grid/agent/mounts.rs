//! Where folders lie on their filesystems: what is mounted in two places is one folder with two
//! paths.
//!
//! By `/proc/self/mountinfo` (proc(5)). Where it can't be read, paths alone are compared.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// What is mounted, in the order of mounting.
#[derive(Debug, Default)]
pub(crate) struct Mounts(Vec<Mount>);

#[derive(Debug, PartialEq, Eq)]
struct Mount {
    /// Of the filesystem.
    device: String,
    /// What of it is mounted.
    root: PathBuf,
    /// Where.
    point: PathBuf,
}

impl Mounts {
    /// As this process sees them.
    pub(crate) fn now() -> Self {
        Self::parse(&fs::read("/proc/self/mountinfo").unwrap_or_default())
    }

    fn parse(text: &[u8]) -> Self {
        Self(text.split(|byte| *byte == b'\n').filter_map(Mount::parse).collect())
    }

    /// The filesystem that an absolute path without symlinks is on, and where it is there.
    fn place(&self, path: &Path) -> Option<(&str, PathBuf)> {
        let over =
            self.0.iter().filter_map(|mount| Some((mount, path.strip_prefix(&mount.point).ok()?)));
        // The innermost mount is the one that is seen, and of several at one point the last.
        let (mount, rest) = over.max_by_key(|(mount, _)| mount.point.components().count())?;
        let place =
            if rest.as_os_str().is_empty() { mount.root.clone() } else { mount.root.join(rest) };
        Some((&mount.device, place))
    }

    /// Whether the second path is the first folder, or lies in it.
    pub(crate) fn contains(&self, folder: &Path, path: &Path) -> bool {
        path.starts_with(folder)
            || match (self.place(folder), self.place(path)) {
                (Some((device, folder)), Some((other, path))) => {
                    device == other && path.starts_with(folder)
                }
                _ => false,
            }
    }

    /// Whether one lies in the other, or they are the same.
    pub(crate) fn overlap(&self, one: &Path, other: &Path) -> bool {
        self.contains(one, other) || self.contains(other, one)
    }
}

impl Mount {
    /// A line: `36 35 98:0 /root /point options - type source options`.
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ').skip(2);
        let device = String::from_utf8(fields.next()?.to_vec()).ok()?;
        Some(Self { device, root: unescaped(fields.next()?), point: unescaped(fields.next()?) })
    }
}

/// Space, tab, newline and backslash are written as three octal digits.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, behind @ ..] = rest {
        rest = behind;
        match (first, behind) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', behind @ ..]) => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = behind;
            }
            _ => bytes.push(*first),
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_folder_with_two_paths_is_one() {
        let text = b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            23 22 8:1 /agent/nodes/one /agent/alias rw - ext4 /dev/sda1 rw\n\
            24 22 8:1 /agent/nodes/one/in\\040side /agent/inner rw - ext4 /dev/sda1 rw\n\
            25 22 8:1 /agent/nodes /agent/everything rw - ext4 /dev/sda1 rw\n\
            26 22 8:2 / /agent/other rw - ext4 /dev/sdb1 rw\nnonsense\n\n";
        let mounts = Mounts::parse(text);
        assert_eq!(mounts.0.len(), 5);
        assert_eq!(mounts.0[2].root, Path::new("/agent/nodes/one/in side"));
        let overlap = |one: &str, other: &str| {
            let (one, other) = (Path::new("/agent").join(one), Path::new("/agent").join(other));
            assert_eq!(mounts.overlap(&one, &other), mounts.overlap(&other, &one));
            mounts.overlap(&one, &other)
        };
        for same in
            ["alias", "alias/x", "inner", "everything", "everything/one", "nodes", "nodes/one"]
        {
            assert!(overlap("nodes/one", same), "{same}");
        }
        for other in ["nodes/two", "everything/two", "other", "other/nodes/one", "nodes/one-more"] {
            assert!(!overlap("nodes/one", other), "{other}");
        }
        assert!(mounts.contains(Path::new("/agent/everything"), Path::new("/agent/nodes")));
        assert!(!mounts.contains(Path::new("/agent/alias"), Path::new("/agent/nodes")));
        let unknown = Mounts::default();
        assert!(
            unknown.overlap(Path::new("/a/b"), Path::new("/a"))
                && !unknown.overlap(Path::new("/a"), Path::new("/b"))
        );
    }
}
