//! `sutra tune`: what it changes it has printed before, and what it changes back is as it was, byte
//! for byte.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::hosts::drop_capability;
use crate::support::{Folder, run, sutra};

/// `CAP_DAC_OVERRIDE` (capabilities(7)): with it modes of files do not count.
const DAC_OVERRIDE: libc::c_ulong = 1;

/// Everything, at each boot as well.
const WITH_BOOT: [&str; 4] = ["--all", "--boot", "--data", "/srv/data"];

/// An image of a host: some of its files are there already.
struct Image {
    _folder: Folder,
    root: PathBuf,
}

impl Image {
    fn new() -> Self {
        let folder = Folder::new();
        let root = folder.path();
        let image = Self { _folder: folder, root };
        image.write(
            "etc/sysctl.d/90-sutra.conf",
            "# somebody's own \u{1f427}\nvm.swappiness=7",
            0o600,
        );
        image.write("etc/fstab", "/dev/vda1 / ext4\n", 0o644);
        image.write("usr/bin/sutra", "#!/bin/sh\n", 0o755);
        fs::create_dir_all(image.root.join("etc/udev")).unwrap();
        fs::set_permissions(image.root.join("etc/udev"), Permissions::from_mode(0o750)).unwrap();
        symlink("fstab", image.root.join("etc/link")).unwrap();
        image
    }

    fn write(&self, path: &str, text: &str, mode: u32) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }

    fn tune(&self, words: &[&str]) -> Output {
        let mut command = sutra();
        command.arg("tune").arg("--root").arg(&self.root).args(words).stdin(Stdio::null());
        command.output().unwrap()
    }

    /// The same, which must succeed; what it said.
    fn tuned(&self, words: &[&str]) -> String {
        let output = self.tune(words);
        assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap_or_default()
    }

    /// Everything below the root: kind and mode, and what is in it.
    fn all(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let metadata = fs::symlink_metadata(&path).unwrap();
                let content = if metadata.is_dir() {
                    folders.push(path.clone());
                    Vec::new()
                } else if metadata.is_symlink() {
                    fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
                } else {
                    fs::read(&path).unwrap()
                };
                found.insert(path, (metadata.permissions().mode(), content));
            }
        }
        found
    }
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_image_that_was_tuned_and_changed_back_is_as_it_was_byte_for_byte() {
    let image = Image::new();
    let before = image.all();
    let said = image.tuned(&WITH_BOOT);
    assert!(said.contains("changed ") && said.contains("--undo"), "{said}");
    let sysctl = image.read("etc/sysctl.d/90-sutra.conf");
    assert!(sysctl.contains("net.core.somaxconn = 4096\n") && !sysctl.contains("own"), "{sysctl}");
    assert!(!sysctl.contains("rps_sock"), "what costs something is changed by name only: {sysctl}");
    assert!(image.read("etc/security/limits.d/90-sutra.conf").contains("nofile"));
    assert!(image.read("etc/udev/rules.d/90-sutra.rules").contains("queue/scheduler"));
    assert!(!image.root.join("etc/tuned").exists());
    let between = image.all();
    assert_eq!(image.tuned(&WITH_BOOT), "nothing to change\n");
    assert_eq!(image.all(), between, "once more changes nothing");
    image.tuned(&["--undo"]);
    assert_eq!(image.all(), before);
    assert_eq!(image.tuned(&["--undo"]), "nothing to change\n");
    assert_eq!(image.all(), before);
}

#[test]
fn every_change_is_printed_and_a_dry_run_makes_none() {
    let image = Image::new();
    let before = image.all();
    let dry = image.tuned(&["swappiness", "nofile", "--dry-run", "--json"]);
    assert_eq!(image.all(), before);
    let made = image.tuned(&["swappiness", "nofile", "--json"]);
    assert_eq!(dry.lines().next(), made.lines().next(), "it does what it said");
    let told: Value = serde_json::from_str(made.lines().next().unwrap()).unwrap();
    let told: Vec<PathBuf> = told["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| {
            let path = change["file"].as_str().unwrap();
            let path = image.root.join(path.trim_start_matches('/'));
            assert_eq!(change["new"].as_str().unwrap(), fs::read_to_string(&path).unwrap());
            let old = before.get(&path).map(|(_, bytes)| String::from_utf8_lossy(bytes));
            assert_eq!(change["old"].as_str(), old.as_deref());
            path
        })
        .collect();
    let state = image.root.join("var/lib/sutra-tune/state.json");
    let differs = |(path, now): &(PathBuf, (u32, Vec<u8>))| {
        before.get(path) != Some(now) && path.is_file() && *path != state
    };
    let changed: Vec<PathBuf> =
        image.all().into_iter().filter(differs).map(|(path, _)| path).collect();
    assert_eq!(changed, told, "nothing else was touched");
    let said = image.tuned(&["--undo", "--dry-run"]);
    assert!(
        said.contains("  - vm.swappiness = 1\n  ") && said.contains("+ vm.swappiness=7"),
        "{said}"
    );
    assert!(said.contains("90-sutra.conf: removed (nofile)"), "{said}");
}

#[test]
fn one_setting_is_changed_back_and_the_others_stay() {
    let image = Image::new();
    let before = image.all();
    image.tuned(&["swappiness"]);
    let alone = image.read("etc/sysctl.d/90-sutra.conf");
    image.tuned(&["somaxconn"]);
    let both = image.read("etc/sysctl.d/90-sutra.conf");
    assert!(both.contains("vm.swappiness = 1") && both.contains("somaxconn"), "{both}");
    image.tuned(&["--undo", "somaxconn"]);
    assert_eq!(image.read("etc/sysctl.d/90-sutra.conf"), alone);
    let said = image.tuned(&["--undo", "somaxconn"]);
    assert!(said.contains("somaxconn stays: it was not changed by tune"), "{said}");
    image.tuned(&["--undo", "swappiness"]);
    assert_eq!(image.all(), before);
}

#[test]
fn what_somebody_has_changed_since_is_left_alone() {
    let image = Image::new();
    image.tuned(&["somaxconn", "nofile"]);
    image.write("etc/security/limits.d/90-sutra.conf", "* hard nofile 77\n", 0o644);
    let said = image.tuned(&["--undo"]);
    assert!(said.contains("limits.d/90-sutra.conf stays: somebody has changed it"), "{said}");
    assert_eq!(image.read("etc/security/limits.d/90-sutra.conf"), "* hard nofile 77\n");
    assert!(image.read("etc/sysctl.d/90-sutra.conf").starts_with("# somebody's own"));
    assert!(!image.root.join("var/lib/sutra-tune").exists());
}

#[test]
fn the_unit_that_applies_the_settings_at_boot_is_one_that_systemd_takes() {
    let image = Image::new();
    let before = image.all();
    image.tuned(&["governor", "c-states", "--boot", "--data", "/srv/my data"]);
    let unit = image.read("etc/systemd/system/sutra-tune.service");
    let line = "ExecStart=/usr/bin/sutra tune --data \"/srv/my data\" governor c-states\n";
    assert!(unit.contains(line), "{unit}");
    let link = image.root.join("etc/systemd/system/multi-user.target.wants/sutra-tune.service");
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("/etc/systemd/system/sutra-tune.service"));
    match Command::new("systemd-analyze").arg("--version").output() {
        Ok(version) if version.status.success() => {
            let mut verify = Command::new("systemd-analyze");
            verify.arg("verify").arg("--man=no").arg("--root").arg(&image.root);
            let output = verify.arg("sutra-tune.service").output().unwrap();
            let said = errors(&output);
            // The image has none of systemd's own units, which ours stands behind.
            let is_ours = |line: &&str| {
                line.contains("sutra-tune.service:") && !line.contains("Failed to create")
            };
            let ours: Vec<&str> = said.lines().filter(is_ours).collect();
            assert!(ours.is_empty(), "{said}");
        }
        _ => eprintln!("SKIPPED: systemd-analyze is not installed"),
    }
    // A setting that comes later is applied at boot as well.
    image.tuned(&["huge-pages"]);
    assert!(image.read("etc/systemd/system/sutra-tune.service").contains("c-states huge-pages\n"));
    image.tuned(&["--undo"]);
    assert_eq!(image.all(), before);
    fs::remove_file(image.root.join("usr/bin/sutra")).unwrap();
    let output = image.tune(&["governor", "--boot", "--data", "/srv/data"]);
    let said = errors(&output);
    assert!(output.status.code() == Some(3) && said.contains("/usr/bin/sutra"), "{said}");
}

#[test]
fn a_unit_is_not_made_for_a_data_folder_that_nobody_has_named() {
    let image = Image::new();
    let before = image.all();
    let mut here = sutra();
    here.args(["tune", "--all", "--boot", "--dry-run"]).current_dir(&image.root);
    for output in [image.tune(&["--all", "--boot"]), here.output().unwrap()] {
        let said = errors(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("sutra-data is not known to be it"), "{said}");
        assert!(said.contains("--data /var/lib/sutra"), "{said}");
    }
    assert_eq!(image.all(), before);
}

#[test]
fn who_may_not_write_is_told_every_file_and_nothing_is_changed() {
    let image = Image::new();
    let etc = image.root.join("etc/sysctl.d");
    fs::set_permissions(&etc, Permissions::from_mode(0o555)).unwrap();
    let before = image.all();
    let mut command = sutra();
    command.args(["tune", "swappiness", "nofile", "--root"]).arg(&image.root);
    // SAFETY: prctl(2) with constants, which allocates nothing.
    unsafe { command.pre_exec(|| drop_capability(DAC_OVERRIDE)) };
    let output = command.output().unwrap();
    let said = errors(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("nothing was changed: this needs root"), "{said}");
    assert!(said.contains("/etc/sysctl.d/90-sutra.conf (Permission denied"), "{said}");
    assert_eq!(image.all(), before);
    fs::set_permissions(&etc, Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn without_a_setting_it_lists_what_it_can_change_and_changes_nothing() {
    let image = Image::new();
    let before = image.all();
    let said = image.tuned(&[]);
    assert!(said.contains("\n  somaxconn ") && said.contains("nothing was changed"), "{said}");
    assert!(said.contains("(by name only: idle CPUs draw more power"), "{said}");
    assert_eq!(image.all(), before);
    let output = run(&["tune", "trim"]);
    let said = errors(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("\"trim\" is no setting that tune changes") && said.contains("xps"),
        "{said}"
    );
}

/// Values of the running kernel, in namespaces of the test's own: somaxconn is the kernel's, of a
/// network of its own; the file of the huge pages has another one over it. Needs the right to
/// mount.
#[test]
fn values_of_the_running_kernel_are_changed_at_once_and_back() {
    let may_mount = Command::new("unshare")
        .args(["--mount", "--net", "true"])
        .status()
        .is_ok_and(|status| status.success());
    let pages = "/sys/kernel/mm/transparent_hugepage/enabled";
    if !may_mount || !Path::new(pages).exists() {
        eprintln!("SKIPPED: this user may not mount a filesystem, or the kernel has no huge pages");
        return;
    }
    let folder = Folder::new();
    fs::create_dir_all(folder.path()).unwrap();
    let sample = folder.path().join("enabled");
    fs::write(&sample, "[always] madvise never\n").unwrap();
    let script = format!(
        "set -e\n\
         mount -t tmpfs none /etc; mount -t tmpfs none /var/lib; mount --bind {sample} {pages}\n\
         echo 128 > /proc/sys/net/core/somaxconn\n\
         look() {{ cat /proc/sys/net/core/somaxconn {pages}; find /etc /var/lib; }}\n\
         look; echo ==; {sutra} tune somaxconn huge-pages; echo ==; look; echo ==\n\
         {sutra} tune somaxconn huge-pages; echo ==; {sutra} tune --undo; echo ==; look\n",
        sample = sample.display(),
        sutra = env!("CARGO_BIN_EXE_sutra"),
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "sh", "-c", &script]).current_dir(folder.path());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", errors(&output));
    let parts: Vec<&str> = said.split("==\n").collect();
    let [before, told, then, again, back, after] = parts.as_slice() else { panic!("{said}") };
    assert_eq!(*before, "128\n[always] madvise never\n/etc\n/var/lib\n");
    assert!(told.contains("/proc/sys/net/core/somaxconn: 128 → 4096 (somaxconn)"), "{told}");
    assert!(told.contains("until the next boot only: huge-pages; --boot keeps it"), "{told}");
    assert!(then.starts_with("4096\nmadvise\n") && then.contains("/etc/sysctl.d/90-sutra.conf"));
    assert_eq!(*again, "nothing to change\n");
    assert!(back.contains("/proc/sys/net/core/somaxconn: 4096 → 128 (somaxconn)"), "{back}");
    assert_eq!(after, before);
}
