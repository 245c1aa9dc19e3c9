//! The data folder: its filesystem, and whether that keeps what it is given.

use sutra_runtime::WriteMode;

use crate::facts::mounts::Mount;
use crate::fitness::scratch::Scratch;
use crate::host::Host;
use crate::setting::{Group, Look, Setting, Severity};

const NO_MOUNT: &str = "what the data folder is on is not told";

pub(crate) const ALL: &[Setting] = &[
    Setting {
        name: "filesystem",
        group: Group::Folder,
        why: "The log is written past the page cache, in place, into files that were filled \
              before. ext4 and xfs do that as it stands.",
        effect: "A filesystem that copies on write (btrfs, zfs) writes its own trees with each \
                 commit; memory loses all at a restart; networks and FUSE may not keep locks and \
                 syncs.",
        source: "src/store/README.md; Linux, Documentation/filesystems",
        look: filesystem,
        tuning: None,
    },
    Setting {
        name: "mount-options",
        group: Group::Folder,
        why: "nobarrier lets a filesystem say that data is safe while it is in the disk's cache. \
              data=journal takes direct I/O away.",
        effect: "With nobarrier a power cut takes writes that were acknowledged. With \
                 data=journal everything is written twice.",
        source: "Linux, Documentation/admin-guide/ext4.rst, barrier and data",
        look: options,
        tuning: None,
    },
    Setting {
        name: "direct-io",
        group: Group::Folder,
        why: "With direct I/O a commit is one write that is durable when it is over. Without, it \
              is a write into the page cache and an fdatasync behind it.",
        effect: "Each commit is two operations in place of one, the second of which on ext4 waits \
                 for other files' data as well. The page cache then holds the log once more.",
        source: "src/store/README.md; cockroachdb/pebble#5121",
        look: direct,
        tuning: None,
    },
    Setting {
        name: "free-space",
        group: Group::Folder,
        why: "Space for commits is filled with zeros ahead, a segment of 64 MiB for each core.",
        effect: "On a full disk writes are refused and reads go on, until there is space again.",
        source: "src/store/README.md, on a full disk",
        look: space,
        tuning: None,
    },
];

fn filesystem(host: &Host) -> Look {
    let Some(Mount { kind, source, .. }) = host.mount() else {
        return Look::unknown(NO_MOUNT);
    };
    let current = format!("{kind} on {source}");
    let wanted = "ext4 or xfs on a disk of this host";
    let remedy = "put the data folder on an ext4 or xfs filesystem: --data, in a container a \
                  volume";
    let severity = match kind.as_str() {
        "ext4" | "xfs" => return Look::good(current, wanted),
        "tmpfs" | "ramfs" | "overlay" | "aufs" | "nfs" | "nfs4" | "cifs" | "smb3" | "ceph"
        | "9p" | "virtiofs" => Severity::Warning,
        kind if kind.starts_with("fuse") => Severity::Warning,
        _ => Severity::Hint,
    };
    Look::wrong(severity, current, wanted, remedy)
}

fn options(host: &Host) -> Look {
    let Some(mount) = host.mount() else {
        return Look::unknown(NO_MOUNT);
    };
    let wanted = "rw, with barriers";
    let place = mount.point.display();
    if let Some(found) = mount.has(&["nobarrier", "barrier=0"]) {
        let remedy = format!("`mount -o remount,barrier=1 {place}`, and in /etc/fstab");
        return Look::wrong(Severity::Fatal, found, wanted, remedy);
    }
    if let Some(found) = mount.has(&["ro"]) {
        let remedy = format!("`mount -o remount,rw {place}`, once it is clear why (`dmesg`)");
        return Look::wrong(Severity::Fatal, found, wanted, remedy);
    }
    if let Some(found) = mount.has(&["data=journal", "sync", "dirsync"]) {
        let remedy = format!("take {found} out of /etc/fstab, and mount {place} anew");
        return Look::wrong(Severity::Warning, found, wanted, remedy);
    }
    Look::good(mount.options.join(","), wanted)
}

fn direct(host: &Host) -> Look {
    if !host.root.is_here() {
        return Look::unknown("files are opened on this host only, not below --root");
    }
    let wanted = "direct, in blocks of 512 to 4096 bytes";
    let folder = host.nearest();
    match Scratch::make(&folder) {
        Err(error) => Look::unknown(error.to_string()),
        Ok(scratch) => match scratch.file.mode() {
            mode @ WriteMode::Direct { .. } => Look::good(mode.to_string(), wanted),
            mode => Look::wrong(
                Severity::Warning,
                mode.to_string(),
                wanted,
                "put the data folder on an ext4 or xfs filesystem: --data",
            ),
        },
    }
}

fn space(host: &Host) -> Look {
    let folder = host.nearest();
    let Ok(found) = rustix::fs::statvfs(&folder) else {
        return Look::unknown(format!("{} can't be asked", folder.display()));
    };
    if !host.root.is_here() && host.root.at(host.data()) != folder {
        return Look::unknown("the data folder is not there, and what it will be on is not told");
    }
    let (free, all) = (found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize);
    let needed = host.needs.segment_bytes * host.cores() as u64;
    let percent = (free * 100).checked_div(all).unwrap_or(0);
    let current = format!("{} MiB, {percent} %, on {}", free >> 20, folder.display());
    let wanted = format!("{} MiB for the next segments, and 10 %", needed >> 20);
    let remedy = "make room, enlarge the filesystem, or move the data folder (stop, copy, \
                  --data); writes come back by themselves";
    // Filesystems that make inodes as they go say 0 of 0.
    if found.f_files > 0 && found.f_favail == 0 {
        let current = format!("no inode is free on {}", folder.display());
        return Look::wrong(Severity::Fatal, current, wanted, remedy);
    }
    let severity = match free {
        free if free < needed => Severity::Fatal,
        _ if percent < 10 => Severity::Warning,
        _ => return Look::good(current, wanted),
    };
    Look::wrong(severity, current, wanted, remedy)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::tests::{NEEDS, host};
    use crate::root::Root;
    use crate::root::tests::Sample;
    use crate::setting::State;

    fn mounted(kind: &str, options: &str) -> Sample {
        let line = format!("27 1 254:0 / / rw,relatime - {kind} /dev/vda {options}\n");
        Sample::new(&[("/proc/self/mountinfo", &line)])
    }

    #[test]
    fn filesystems_are_judged_by_what_they_keep() {
        for (kind, state) in [
            ("ext4", State::Good),
            ("xfs", State::Good),
            ("btrfs", State::Wrong(Severity::Hint)),
            ("tmpfs", State::Wrong(Severity::Warning)),
            ("overlay", State::Wrong(Severity::Warning)),
            ("fuse.sshfs", State::Wrong(Severity::Warning)),
        ] {
            let look = filesystem(&host(mounted(kind, "rw").root()));
            assert_eq!(look.state, state, "{kind}");
        }
        assert_eq!(filesystem(&host(Sample::new(&[]).root())).state, State::Unknown);
    }

    #[test]
    fn options_that_break_the_promise_are_fatal() {
        for (set, state) in [
            ("rw", State::Good),
            ("rw,nobarrier", State::Wrong(Severity::Fatal)),
            ("ro", State::Wrong(Severity::Fatal)),
            ("rw,data=journal", State::Wrong(Severity::Warning)),
        ] {
            assert_eq!(options(&host(mounted("ext4", set).root())).state, state, "{set}");
        }
    }

    #[test]
    fn a_folder_of_this_host_is_opened_and_its_space_counted() {
        let folder = tempfile::tempdir().unwrap();
        let needs = crate::host::Needs { segment_bytes: 1, ..NEEDS };
        let here = Host::new(Root::new("/"), &folder.path().join("not/yet"), needs);
        assert!(matches!(direct(&here).state, State::Good | State::Wrong(Severity::Warning)));
        assert_ne!(space(&here).state, State::Wrong(Severity::Fatal));
        let huge = crate::host::Needs { segment_bytes: 1 << 60, ..NEEDS };
        let here = Host::new(Root::new("/"), folder.path(), huge);
        assert_eq!(space(&here).state, State::Wrong(Severity::Fatal));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
        let elsewhere = host(Sample::new(&[]).root());
        let states = (direct(&elsewhere).state, space(&elsewhere).state);
        assert_eq!(states, (State::Unknown, State::Unknown));
    }
}
