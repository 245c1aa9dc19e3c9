//! The disks below the data folder: who orders their requests, and what they keep in their caches.

use crate::facts::disks::queue;
use crate::host::Host;
use crate::root::chosen;
use crate::setting::{Group, Live, Look, Setting, Severity, Tuning, where_there};

const NO_DISK: &str = "the data folder is on no disk that /sys tells of";

pub(crate) const ALL: &[Setting] = &[
    Setting {
        name: "disk-scheduler",
        group: Group::Disk,
        why: "A commit is one write at a time for each core. There is nothing to put in order, \
              and a disk without moving parts needs no order.",
        effect: "A commit's write of 4 KiB took 60 µs with none, 62 with mq-deadline, and 66 with \
                 kyber and with bfq, at the median.",
        source: "measured on ext4, a 2-core virtual EPYC, O_DIRECT|O_DSYNC, 7 rounds in turn",
        look: scheduler,
        tuning: Tuning::of(no_scheduler),
    },
    Setting {
        name: "nomerges",
        group: Group::Disk,
        why: "The kernel looks for requests that it could merge with a new one. A commit is one \
              request already, so it looks in vain. Others set 2 here, by which it does not look.",
        effect: "It makes no difference here: 60.3 µs for a commit's write with 0, 60.8 µs with 2, \
                 at the median. So it is told, and not tuned.",
        source: "measured as disk-scheduler, with none",
        look: merges,
        tuning: None,
    },
    Setting {
        name: "write-cache",
        group: Group::Disk,
        why: "A disk that has a cache of its own loses it with the power unless it is told to \
              empty it. A commit tells it so: with each write where the disk knows FUA, else by \
              emptying all of the cache.",
        effect: "What that takes is the disk's own, and most of what `disk-fitness` measures. A \
                 disk with power-loss protection has nothing to empty.",
        source: "Linux, Documentation/block/writeback_cache_control.rst",
        look: write_cache,
        tuning: None,
    },
    Setting {
        name: "trim",
        group: Group::Disk,
        why: "A flash disk that is not told what was deleted takes deleted data for its own, and \
              copies it around whenever it makes room.",
        effect: "Writes become slower as the disk fills, and it wears out sooner. Once a week is \
                 enough.",
        source: "fstrim(8), which weighs the mount option discard against it",
        look: trim,
        tuning: None,
    },
];

/// What is wanted of one disk: how it is, and whether that is as it should be.
type OfDisk = fn(&Host, &str) -> Option<(String, bool)>;

/// The same of all disks; the look that says so.
fn of_disks(host: &Host, wanted: &str, severity: Severity, remedy: &str, of: OfDisk) -> Look {
    let disks = host.disks();
    let found: Vec<(String, bool)> = disks
        .iter()
        .filter_map(|disk| of(host, disk).map(|(told, good)| (format!("{disk}: {told}"), good)))
        .collect();
    if found.is_empty() {
        return Look::unknown(NO_DISK);
    }
    let told = found.iter().map(|(told, _)| told.as_str()).collect::<Vec<_>>().join(", ");
    match found.iter().all(|(_, good)| *good) {
        true => Look::good(told, wanted),
        false => Look::wrong(severity, told, wanted, remedy),
    }
}

/// A disk with moving parts is helped by an order. Virtual ones say that they have some where their
/// host did not tell, and are no better judges of order for it.
fn has_moving_parts(host: &Host, disk: &str) -> bool {
    let is_virtual = ["vd", "xvd", "nvme"].iter().any(|name| disk.starts_with(name));
    !is_virtual && host.root.text(queue(disk, "rotational")).as_deref() == Some("1")
}

fn scheduler(host: &Host) -> Look {
    let of = |host: &Host, disk: &str| {
        let text = host.root.text(queue(disk, "scheduler"))?;
        let current = chosen(&text).to_owned();
        let good = current == "none" || (has_moving_parts(host, disk) && current == "mq-deadline");
        Some((current, good))
    };
    let wanted = "none; mq-deadline where the disk has moving parts";
    of_disks(host, wanted, Severity::Hint, "sutra tune disk-scheduler", of)
}

fn no_scheduler(host: &Host) -> Vec<Live> {
    let wanted = |disk: &String| {
        let wanted = if has_moving_parts(host, disk) { "mq-deadline" } else { "none" };
        where_there(host, queue(disk, "scheduler"), wanted)
    };
    host.disks().iter().filter_map(wanted).collect()
}

fn merges(host: &Host) -> Look {
    let of = |host: &Host, disk: &str| Some((host.root.text(queue(disk, "nomerges"))?, true));
    of_disks(host, "anything", Severity::Hint, "", of)
}

fn write_cache(host: &Host) -> Look {
    let of = |host: &Host, disk: &str| {
        let cache = host.root.text(queue(disk, "write_cache"))?;
        let has_fua = host.root.text(queue(disk, "fua")).as_deref() == Some("1");
        let told = match (cache.as_str(), has_fua) {
            ("write back", true) => "a cache, passed by each commit (FUA)".to_owned(),
            ("write back", false) => "a cache, emptied by each commit".to_owned(),
            _ => format!("no cache that is lost ({cache})"),
        };
        Some((told, cache != "write back" || has_fua))
    };
    let remedy = "a disk with power-loss protection, where `disk-fitness` shows slow commits. \
                  Never write `write through` into /sys for a disk that has a cache: the kernel \
                  then no longer empties it, and a power cut takes what was acknowledged";
    of_disks(host, "none, or one that FUA passes", Severity::Hint, remedy, of)
}

fn trim(host: &Host) -> Look {
    let disks = host.disks();
    let can = |disk: &String| {
        host.root.number::<u64>(queue(disk, "discard_max_bytes")).map(|most| most > 0)
    };
    let Some(able) =
        disks.iter().map(can).collect::<Option<Vec<bool>>>().filter(|all| !all.is_empty())
    else {
        return Look::unknown(NO_DISK);
    };
    if !able.contains(&true) {
        return Look::absent("the disk takes no word of what was deleted");
    }
    let wanted = "fstrim.timer, or the mount option discard";
    if host.mount().is_some_and(|mount| mount.has(&["discard", "discard=async"]).is_some()) {
        return Look::good("the mount option discard", wanted);
    }
    let is_on = ["/etc", "/usr/lib", "/lib"].iter().any(|folder| {
        host.root.has(format!("{folder}/systemd/system/timers.target.wants/fstrim.timer"))
    });
    match is_on {
        true => Look::good("fstrim.timer", wanted),
        false => Look::wrong(
            Severity::Hint,
            "neither fstrim.timer nor discard",
            wanted,
            "`systemctl enable --now fstrim.timer`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::host;
    use crate::root::tests::Sample;
    use crate::setting::State;

    fn disk(files: &[(&str, &str)]) -> Sample {
        disk_of_name("sda", files)
    }

    fn disk_of_name(name: &str, files: &[(&str, &str)]) -> Sample {
        let sample = Sample::new(&[(
            "/proc/self/mountinfo",
            "27 1 254:0 / / rw,relatime - ext4 /dev/x rw\n",
        )]);
        sample.link("/sys/dev/block/254:0", &format!("../../devices/x/block/{name}"));
        for (file, text) in files {
            sample.write(&queue(name, file), text);
        }
        sample
    }

    #[test]
    fn flash_needs_no_order_and_moving_parts_do() {
        let at = |rotational: &str, scheduler_is: &str| {
            let sample = disk(&[("rotational", rotational), ("scheduler", scheduler_is)]);
            let host = host(sample.root());
            let live = no_scheduler(&host).into_iter().map(|live| live.wanted);
            (scheduler(&host).state, live.collect::<Vec<_>>())
        };
        let ordered = at("0\n", "none [mq-deadline] kyber bfq\n");
        assert_eq!(ordered, (State::Wrong(Severity::Hint), vec!["none".to_owned()]));
        assert_eq!(at("0\n", "[none] mq-deadline\n").0, State::Good);
        let moving = at("1\n", "none [mq-deadline]\n");
        assert_eq!(moving, (State::Good, vec!["mq-deadline".to_owned()]));
        let files = [("rotational", "1\n"), ("scheduler", "none [mq-deadline]\n")];
        let sample = disk_of_name("vda", &files);
        let look = scheduler(&host(sample.root()));
        assert_eq!(look.state, State::Wrong(Severity::Hint), "what a virtual disk says is no word");
    }

    #[test]
    fn whether_merges_are_looked_for_is_told_and_makes_no_difference() {
        for value in ["0\n", "2\n"] {
            let look = merges(&host(disk(&[("nomerges", value)]).root()));
            assert_eq!((look.state, look.current), (State::Good, format!("sda: {}", value.trim())));
        }
    }

    #[test]
    fn a_cache_that_each_commit_empties_is_a_hint() {
        let at = |cache: &str, fua: &str| {
            write_cache(&host(disk(&[("write_cache", cache), ("fua", fua)]).root())).state
        };
        assert_eq!(at("write back\n", "0\n"), State::Wrong(Severity::Hint));
        assert_eq!(at("write back\n", "1\n"), State::Good);
        assert_eq!(at("write through\n", "0\n"), State::Good);
    }

    #[test]
    fn what_was_deleted_is_told_by_a_timer_or_by_the_mount() {
        let sample = disk(&[("discard_max_bytes", "1073741824\n")]);
        let look = || trim(&host(sample.root())).state;
        assert_eq!(look(), State::Wrong(Severity::Hint));
        sample.link("/etc/systemd/system/timers.target.wants/fstrim.timer", "/nowhere");
        assert_eq!(look(), State::Good);
        let deaf = disk(&[("discard_max_bytes", "0\n")]);
        assert_eq!(trim(&host(deaf.root())).state, State::Absent);
        let discard = disk(&[("discard_max_bytes", "1\n")]);
        let mounts = "27 1 254:0 / / rw - ext4 /dev/vda rw,discard\n";
        discard.write("/proc/self/mountinfo", mounts);
        assert_eq!(trim(&host(discard.root())).state, State::Good);
    }

    #[test]
    fn what_is_on_no_disk_is_not_known() {
        let host = host(Sample::new(&[]).root());
        for look in [scheduler, merges, write_cache, trim] {
            assert_eq!(look(&host).state, State::Unknown);
        }
    }
}
