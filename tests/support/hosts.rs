//! Hosts that are made wrong on purpose, for one process or one test: without io_uring, with a CPU
//! quota, with a full disk, without a right.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Folder, sutra};

/// Installs a seccomp filter under which `io_uring_setup` fails with EPERM.
pub fn block_io_uring() -> std::io::Result<()> {
    const LOAD_NUMBER: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
    const JUMP_IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    const ALLOW: u32 = 0x7fff_0000;
    const ERRNO: u32 = 0x0005_0000;
    let io_uring_setup = u32::try_from(libc::SYS_io_uring_setup).expect("a small number");
    let step = |code: u16, jt: u8, jf: u8, k: u32| libc::sock_filter { code, jt, jf, k };
    let mut filter = [
        step(LOAD_NUMBER, 0, 0, 0),
        step(JUMP_IF_EQUAL, 0, 1, io_uring_setup),
        step(RETURN, 0, 0, ERRNO | libc::EPERM as u32),
        step(RETURN, 0, 0, ALLOW),
    ];
    let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
    // SAFETY: prctl(2) with constants; the program and its filter outlive the call that copies
    // them.
    let installed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    };
    if installed { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Takes a capability (capabilities(7)) from what the process becomes by exec; one who has none
/// keeps none.
pub fn drop_capability(number: libc::c_ulong) -> std::io::Result<()> {
    // SAFETY: prctl(2) with numbers alone.
    let dropped = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) } == 0;
    let error = std::io::Error::last_os_error();
    match dropped || error.raw_os_error() == Some(libc::EPERM) {
        true => Ok(()),
        false => Err(error),
    }
}

/// A small filesystem in memory, gone when it is dropped; `None` where this process may mount none.
pub struct SmallDisk(pub PathBuf);

impl SmallDisk {
    pub fn mount(bytes: u64) -> Option<(Folder, Self)> {
        let folder = Folder::new();
        let path = folder.path().with_file_name("small");
        fs::create_dir(&path).unwrap();
        let size = format!("size={bytes},mode=0700");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&path)
            .output()
            .ok()?;
        mount.status.success().then(|| (folder, Self(path)))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A cgroup with a CPU quota, gone when it is dropped.
pub struct CpuGroup(PathBuf);

impl CpuGroup {
    /// One that may use so many of 100 ms; `None` where this process may make none.
    pub fn with_quota(milliseconds: u64) -> Option<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup"].iter().find_map(|root| {
            let name = format!("sutra-test-{}-{number}", std::process::id());
            let group = Path::new(root).join(name);
            fs::create_dir(&group).ok()?;
            let quota = milliseconds * 1000;
            let limited = fs::write(group.join("cpu.cfs_quota_us"), format!("{quota}\n"))
                .or_else(|_| fs::write(group.join("cpu.max"), format!("{quota} 100000\n")));
            let group = Self(group);
            limited.ok().map(|()| group)
        })
    }

    /// The binary under test, in this group.
    pub fn sutra(&self) -> Command {
        let script = format!("echo $$ > {}/cgroup.procs && exec \"$0\" \"$@\"", self.0.display());
        let plain = sutra();
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).arg(plain.get_program());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }
}

impl Drop for CpuGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
