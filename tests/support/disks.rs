//! Small disks with a filesystem each, that can be filled up, and made to fail and to work again.
//!
//! A disk that is filled is an image in memory (tmpfs) on a loop device. One that fails is a zram
//! device, which answers writes with an I/O error once it may take no memory more. They need root
//! and the filesystem's mkfs; where something is missing, that is said on standard error.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Folder;
use super::browser::skipped;

/// A mounted filesystem of a disk of its own; all of it is gone when it is dropped.
pub struct Disk {
    kind: &'static str,
    /// Holds the image.
    memory: PathBuf,
    /// Where the filesystem is mounted.
    mounted: PathBuf,
}

/// Runs a program; whether it did what it should.
fn does(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    command.output().is_ok_and(|output| output.status.success())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

impl Disk {
    /// Makes one of so many MiB, and a data folder that leads to it. `kind` is a filesystem's name;
    /// tmpfs is memory, without a device.
    pub fn of(kind: &'static str, mebibytes: u64) -> Option<(Folder, Self)> {
        let folder = Folder::new();
        let [memory, mounted] = ["memory", "mounted"].map(|name| {
            let path = folder.path().with_file_name(name);
            fs::create_dir(&path).unwrap();
            path
        });
        let disk = Self { kind, memory, mounted };
        if !disk.make(mebibytes) {
            skipped(&format!(
                "{kind}: it needs root, loop devices and mkfs.{kind} (apt-get install e2fsprogs \
                 xfsprogs btrfs-progs)"
            ));
            return None;
        }
        let data = disk.mounted.join("data");
        fs::create_dir(&data).unwrap();
        symlink(&data, folder.path()).unwrap();
        Some((folder, disk))
    }

    fn make(&self, mebibytes: u64) -> bool {
        if self.kind == "tmpfs" {
            let size = format!("size={mebibytes}m");
            return does("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", text(&self.mounted)]);
        }
        // Twice as much: what is mounted over it never takes all.
        let size = format!("size={}m", 2 * mebibytes);
        if !does("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", text(&self.memory)]) {
            return false;
        }
        let image = self.image();
        File::create(&image).unwrap().set_len(mebibytes << 20).unwrap();
        does(&format!("mkfs.{}", self.kind), &["-q", text(&image)]) && self.mount()
    }

    fn image(&self) -> PathBuf {
        self.memory.join("image")
    }

    fn mount(&self) -> bool {
        let options = ["-t", self.kind, "-o", "loop,noatime"];
        does("mount", &[&options[..], &[text(&self.image()), text(&self.mounted)]].concat())
    }

    /// Where the filesystem is mounted.
    pub fn path(&self) -> &Path {
        &self.mounted
    }

    /// Takes all the room that the filesystem has.
    pub fn fill(&self) {
        take_all(&self.mounted.join("ballast"));
    }

    /// Gives the room back.
    pub fn free(&self) {
        fs::remove_file(self.mounted.join("ballast")).unwrap();
    }

    /// Makes the filesystem find an error, after which it is read-only until it is mounted again
    /// (ext4). Whether it could be.
    pub fn become_read_only(&self) -> bool {
        let mut findmnt = Command::new("findmnt");
        let found = findmnt.args(["-n", "-o", "SOURCE"]).arg(&self.mounted).output().unwrap();
        let device = String::from_utf8(found.stdout).unwrap();
        let trigger = device.trim().replace("/dev/", "/sys/fs/ext4/") + "/trigger_fs_error";
        does("mount", &["-o", "remount,errors=remount-ro", text(&self.mounted)])
            && fs::write(trigger, "a test").is_ok()
    }

    /// Runs a program of the filesystem's; whether it did what it should.
    pub fn tool(&self, program: &str, arguments: &[&str]) -> bool {
        does(program, arguments)
    }

    /// Unmounts and mounts it again: what only the page cache had is gone.
    pub fn mount_again(&self) {
        assert!(does("umount", &[text(&self.mounted)]), "nobody has a file open");
        assert!(self.mount());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        for path in [&self.mounted, &self.memory] {
            let _ = does("umount", &["-l", text(path)]);
        }
    }
}

/// Writes a file until there is no room for a byte more.
fn take_all(path: &Path) {
    let mut file = File::create(path).unwrap();
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
        // Where space is given out late it may be refused late.
        let _ = file.sync_all();
    }
}

/// A filesystem on a device that can be made to fail every write; all of it is gone when it is
/// dropped. It is an ext4 without a journal, as one with a journal never writes again after the
/// first error in that.
pub struct FailingDisk {
    /// The device's number.
    number: String,
    mounted: PathBuf,
}

impl FailingDisk {
    /// Makes one, and a data folder that leads to it.
    pub fn new() -> Option<(Folder, Self)> {
        let Ok(number) = fs::read_to_string("/sys/class/zram-control/hot_add") else {
            skipped("a disk that fails: it needs root, and a kernel with zram");
            return None;
        };
        let folder = Folder::new();
        let mounted = folder.path().with_file_name("mounted");
        fs::create_dir(&mounted).unwrap();
        let disk = Self { number: number.trim().to_owned(), mounted };
        disk.set("disksize", "512M");
        let options = ["-q", "-O", "^has_journal", "-E", "lazy_itable_init=0,nodiscard"];
        let made = does("mkfs.ext4", &[&options[..], &[&disk.device()]].concat());
        assert!(made && disk.mount(), "ext4 on zram");
        let data = disk.mounted.join("data");
        fs::create_dir(&data).unwrap();
        symlink(&data, folder.path()).unwrap();
        Some((folder, disk))
    }

    fn device(&self) -> String {
        format!("/dev/zram{}", self.number)
    }

    fn set(&self, what: &str, value: &str) {
        fs::write(format!("/sys/block/zram{}/{what}", self.number), value).unwrap();
    }

    fn mount(&self) -> bool {
        does("mount", &["-o", "noatime", &self.device(), text(&self.mounted)])
    }

    /// From here on it fails all writes of what can't be compressed to nothing.
    pub fn fail(&self) {
        self.set("mem_limit", "4096");
    }

    /// It writes again.
    pub fn mend(&self) {
        self.set("mem_limit", "0");
    }

    /// Unmounts and mounts it again: what only the page cache had is gone.
    pub fn mount_again(&self) {
        assert!(does("umount", &[text(&self.mounted)]), "nobody has a file open");
        assert!(self.mount());
    }
}

impl Drop for FailingDisk {
    fn drop(&mut self) {
        // A mount that is only detached would keep the device.
        let _ = does("umount", &[text(&self.mounted)]);
        let reset = format!("/sys/block/zram{}/reset", self.number);
        let _ = fs::write(reset, "1");
        let _ = fs::write("/sys/class/zram-control/hot_remove", &self.number);
    }
}
