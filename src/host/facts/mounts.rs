//! Which filesystem a path is on, from `/proc/self/mountinfo` (proc_pid_mountinfo(5)).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A filesystem that is mounted somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Where.
    pub(crate) point: PathBuf,
    /// Its kind: `ext4`.
    pub(crate) kind: String,
    /// What it is on: `/dev/vda1`.
    pub(crate) source: String,
    /// Its options, those of the mount point and those of the filesystem.
    pub(crate) options: Vec<String>,
    /// Its device as `/sys/dev/block` names it: `254:1`.
    pub(crate) device: String,
}

impl Mount {
    /// Whether one of these options is set.
    pub(crate) fn has(&self, options: &[&str]) -> Option<String> {
        self.options.iter().find(|option| options.contains(&option.as_str())).cloned()
    }

    fn parse(line: &str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(2);
        let (device, _root, point) = (before.next()?, before.next()?, before.next()?);
        let own = before.next()?;
        let mut after = after.split(' ');
        let (kind, source, shared) = (after.next()?, after.next()?, after.next().unwrap_or(""));
        let mut options: Vec<String> = Vec::new();
        for option in own.split(',').chain(shared.split(',')).filter(|option| !option.is_empty()) {
            if !options.iter().any(|known| known == option) {
                options.push(option.to_owned());
            }
        }
        Some(Self {
            point: unescaped(point),
            kind: kind.to_owned(),
            source: unescaped(source).to_string_lossy().into_owned(),
            options,
            device: device.to_owned(),
        })
    }
}

/// The mount that an absolute path is on: of those above it the nearest, of several on one place
/// the last.
pub(crate) fn mount_of(mountinfo: &str, path: &Path) -> Option<Mount> {
    let mounts = mountinfo.lines().filter_map(Mount::parse);
    mounts
        .filter(|mount| path.starts_with(&mount.point))
        .max_by_key(|mount| mount.point.components().count())
}

/// A path of which blanks and the like are written as `\040`.
fn unescaped(text: &str) -> PathBuf {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'\\').then(|| text.get(at + 1..at + 4)).flatten();
        match code.and_then(|code| u8::from_str_radix(code, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                at += 4;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    OsString::from_vec(plain).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MOUNTS: &str = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
40 27 8:17 / /srv/a\\040b rw,noatime shared:4 master:2 - xfs /dev/sdb1 rw,attr2,nobarrier
41 27 0:40 / /srv rw,relatime - tmpfs tmpfs rw,size=4k
nonsense";

    #[test]
    fn a_path_is_on_the_nearest_mount_above_it() {
        let on = |path: &str| mount_of(MOUNTS, Path::new(path)).unwrap();
        assert_eq!((on("/var/lib").kind, on("/srv/x").kind), ("ext4".into(), "tmpfs".into()));
        let blank = on("/srv/a b/data");
        assert_eq!((blank.source.as_str(), blank.device.as_str()), ("/dev/sdb1", "8:17"));
        assert_eq!(blank.point, Path::new("/srv/a b"));
        assert_eq!(blank.has(&["nobarrier", "barrier=0"]), Some("nobarrier".into()));
        assert!(blank.has(&["noatime"]).is_some() && blank.has(&["ro"]).is_none());
        assert_eq!(mount_of("", Path::new("/")), None);
    }

    #[test]
    fn of_two_mounts_on_one_place_the_later_one_is_seen() {
        let twice = "1 0 0:1 / / rw - ext4 /dev/a rw\n2 1 0:2 / / ro - tmpfs none rw";
        assert_eq!(mount_of(twice, Path::new("/x")).unwrap().kind, "tmpfs");
    }
}
