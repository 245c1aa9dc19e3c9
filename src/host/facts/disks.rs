//! The disks below a filesystem: partitions, mapped devices (LVM, LUKS) and software RAID lead to
//! those that have a queue of their own.

use crate::facts::mounts::Mount;
use crate::root::Root;

/// How many layers of mapped devices are looked through.
const DEEPEST: usize = 8;

/// The names of the disks below a mount, as `/sys/block` has them; none where it is on no disk.
pub(crate) fn disks_of(root: &Root, mount: &Mount) -> Vec<String> {
    let by_number = root.link_name(format!("/sys/dev/block/{}", mount.device));
    // btrfs and overlays have a device number of their own; what they are on may tell.
    let by_name = || {
        let source = mount.source.strip_prefix("/dev/")?;
        let name = match source.strip_prefix("mapper/") {
            Some(_) => root.link_name(&mount.source)?,
            None => source.to_owned(),
        };
        root.has(format!("/sys/class/block/{name}")).then_some(name)
    };
    let mut found = Vec::new();
    if let Some(name) = by_number.or_else(by_name) {
        add(root, &name, DEEPEST, &mut found);
    }
    found
}

fn add(root: &Root, device: &str, depth: usize, found: &mut Vec<String>) {
    let folder = format!("/sys/class/block/{device}");
    let below = root.names(format!("{folder}/slaves"));
    if !below.is_empty() && depth > 0 {
        below.iter().for_each(|below| add(root, below, depth - 1, found));
        return;
    }
    let disk = match root.has(format!("{folder}/partition")) {
        true => whole_disk(root, &folder),
        false => Some(device.to_owned()),
    };
    found.extend(disk.filter(|disk| !found.contains(disk)));
}

/// A partition's folder is in that of its disk.
fn whole_disk(root: &Root, folder: &str) -> Option<String> {
    let target = std::fs::read_link(root.at(folder)).ok()?;
    Some(target.parent()?.file_name()?.to_string_lossy().into_owned())
}

/// A file in a disk's queue folder.
pub(crate) fn queue(disk: &str, file: &str) -> String {
    format!("/sys/block/{disk}/queue/{file}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::facts::mounts::mount_of;
    use crate::root::tests::Sample;

    fn disks(sample: &Sample, line: &str) -> Vec<String> {
        let mount = mount_of(line, std::path::Path::new("/")).unwrap();
        disks_of(&sample.root(), &mount)
    }

    #[test]
    fn a_partition_and_a_mapped_device_lead_to_their_disks() {
        let sample = Sample::new(&[("/sys/devices/x/block/sda/sda2/partition", "2\n")]);
        sample.link("/sys/class/block/sda2", "../../devices/x/block/sda/sda2");
        sample.link("/sys/dev/block/8:2", "../../devices/x/block/sda/sda2");
        assert_eq!(disks(&sample, "1 0 8:2 / / rw - ext4 /dev/sda2 rw"), ["sda"]);
        sample.write("/sys/devices/y/block/nvme0n1/queue/nomerges", "0\n");
        sample.link("/sys/class/block/nvme0n1", "../../devices/y/block/nvme0n1");
        sample.write("/sys/class/block/dm-0/slaves/sda2/x", "");
        sample.write("/sys/class/block/dm-0/slaves/nvme0n1/x", "");
        sample.link("/dev/mapper/volume", "../dm-0");
        let mapped = "1 0 0:44 / / rw - btrfs /dev/mapper/volume rw";
        assert_eq!(disks(&sample, mapped), ["nvme0n1", "sda"]);
    }

    #[test]
    fn what_is_on_no_disk_has_none() {
        assert!(disks(&Sample::new(&[]), "1 0 0:3 / / rw - tmpfs tmpfs rw").is_empty());
    }
}
