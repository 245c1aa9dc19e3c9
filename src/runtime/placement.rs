//! Which CPUs to take where there is a choice: those that others use least.
//!
//! Three things count, in this order: whether another server has marked the CPU; how many threads
//! of other processes are pinned there; how busy it was during a short look. A container may see
//! neither the marks nor the threads of its neighbours, so there the third decides. A quota may
//! leave a choice among CPUs that nothing tells apart. Then the first is drawn by lot, so that
//! servers which can't see each other spread all the same.
//!
//! A mark is an abstract socket address. One process at a time can bind it, it is gone with the
//! process, and it needs no right to write anywhere. It is advice among servers and keeps nobody
//! from using the CPU.

use std::collections::HashMap;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::thread;
use std::time::Duration;

/// How long to look how busy CPUs are: ten ticks of the kernel's clock.
const LOOK: Duration = Duration::from_millis(100);
/// Differences in how busy CPUs are that mean nothing, in percent.
const NOISE: u64 = 20;

/// CPUs that were chosen, marked as taken while this lives.
#[derive(Debug)]
pub struct Placement {
    /// Which.
    pub cpus: Vec<usize>,
    /// Those of them that another server has marked as its own.
    pub shared: Vec<usize>,
    marks: Vec<(usize, UnixDatagram)>,
}

impl Placement {
    /// These CPUs, as somebody asked for them.
    pub fn of(cpus: &[usize]) -> Self {
        let (mut marks, mut shared) = (Vec::new(), Vec::new());
        for cpu in cpus {
            match mark(*cpu) {
                Mark::Made(socket) => marks.push((*cpu, socket)),
                Mark::Others => shared.push(*cpu),
                Mark::Unknown => {}
            }
        }
        Self { cpus: cpus.to_vec(), shared, marks }
    }

    /// These CPUs, some of which another server has marked that hands its marks over: they are to
    /// come by [`Placement::take_marks`].
    pub fn to_come(cpus: Vec<usize>) -> Self {
        Self { cpus, shared: Vec::new(), marks: Vec::new() }
    }

    /// Takes the marks of CPUs over that another server has made. CPUs without one are marked now.
    pub fn take_marks(&mut self, mut marks: Vec<(usize, OwnedFd)>) {
        for cpu in self.cpus.clone() {
            let at = marks.iter().position(|(marked, _)| *marked == cpu);
            match at.map_or_else(|| mark(cpu), |at| Mark::Made(marks.swap_remove(at).1.into())) {
                Mark::Made(socket) => self.marks.push((cpu, socket)),
                Mark::Others => self.shared.push(cpu),
                Mark::Unknown => {}
            }
        }
    }

    /// The marks, for a server that takes over: which CPU each is of.
    pub fn marks(&self) -> impl Iterator<Item = (usize, BorrowedFd<'_>)> {
        self.marks.iter().map(|(cpu, socket)| (*cpu, socket.as_fd()))
    }

    /// No CPU in particular: threads go where the scheduler puts them.
    pub fn unpinned(cpus: Vec<usize>) -> Self {
        Self { cpus, shared: Vec::new(), marks: Vec::new() }
    }

    /// The `count` of these CPUs that are used least; all of them where there are no more.
    pub fn least_used(among: &[usize], count: usize, is_cut_by_quota: bool) -> Self {
        if count >= among.len() {
            return Self::of(among);
        }
        let start = if is_cut_by_quota { drawn() % among.len() } else { 0 };
        let pinned = pinned_threads(Path::new("/proc"), std::process::id());
        let busy = busy(LOOK);
        let order = order(among, start, &pinned, &busy);
        let (mut cpus, mut marks, mut marked_by_others) = (Vec::new(), Vec::new(), Vec::new());
        for cpu in order {
            if cpus.len() == count {
                break;
            }
            match mark(cpu) {
                Mark::Made(socket) => marks.push((cpu, socket)),
                Mark::Unknown => {}
                Mark::Others => {
                    marked_by_others.push(cpu);
                    continue;
                }
            }
            cpus.push(cpu);
        }
        marked_by_others.truncate(count - cpus.len());
        cpus.extend(&marked_by_others);
        cpus.sort_unstable();
        Self { cpus, shared: marked_by_others, marks }
    }
}

/// The CPUs from the least used on, by marks and pinned threads alone, for whoever has no time to
/// look how busy they are. None is marked.
pub fn by_use(among: &[usize]) -> Vec<usize> {
    let pinned = pinned_threads(Path::new("/proc"), std::process::id());
    let mut order = order(among, 0, &pinned, &HashMap::new());
    order.sort_by_key(|cpu| matches!(mark(*cpu), Mark::Others));
    order
}

/// A number that other processes do not draw.
fn drawn() -> usize {
    RandomState::new().build_hasher().finish() as usize
}

/// The CPUs from the least used on; those that nothing tells apart as they follow `start`.
fn order(
    among: &[usize],
    start: usize,
    pinned: &HashMap<usize, usize>,
    busy: &HashMap<usize, u64>,
) -> Vec<usize> {
    let mut order: Vec<usize> = among[start..].iter().chain(&among[..start]).copied().collect();
    let used = |cpu: &usize| pinned.get(cpu).copied().unwrap_or(0);
    let load = |cpu: &usize| busy.get(cpu).copied().unwrap_or(0) / NOISE;
    order.sort_by_key(|cpu| (used(cpu), load(cpu)));
    order
}

enum Mark {
    Made(UnixDatagram),
    Others,
    /// This host lets nobody mark anything.
    Unknown,
}

fn mark(cpu: usize) -> Mark {
    let address = SocketAddr::from_abstract_name(format!("sutra/cpu/{cpu}"));
    match address.and_then(|address| UnixDatagram::bind_addr(&address)) {
        Ok(socket) => Mark::Made(socket),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Mark::Others,
        Err(_) => Mark::Unknown,
    }
}

/// How many threads of other processes may run on one CPU only, by CPU. The kernel's own threads
/// are left out: each CPU has as many.
fn pinned_threads(proc: &Path, own: u32) -> HashMap<usize, usize> {
    let mut found = HashMap::new();
    let numbers = |folder: &Path| -> Vec<u32> {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
    };
    for process in numbers(proc).into_iter().filter(|process| *process != own) {
        let folder = proc.join(process.to_string());
        // The kernel's threads have no command line.
        if fs::read(folder.join("cmdline")).is_ok_and(|line| line.is_empty()) {
            continue;
        }
        let tasks = folder.join("task");
        for task in numbers(&tasks) {
            let status = fs::read_to_string(tasks.join(task.to_string()).join("status"));
            if let Some(cpu) = status.ok().as_deref().and_then(only_cpu) {
                *found.entry(cpu).or_default() += 1;
            }
        }
    }
    found
}

/// The CPU of a thread that may run on one only, from the text of its status.
fn only_cpu(status: &str) -> Option<usize> {
    status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?.trim().parse().ok()
}

/// How busy each CPU is during `look`, in percent.
fn busy(look: Duration) -> HashMap<usize, u64> {
    let read = || times(&fs::read_to_string("/proc/stat").unwrap_or_default());
    let before = read();
    thread::sleep(look);
    let after = read();
    after.into_iter().filter_map(|(cpu, end)| Some((cpu, share(*before.get(&cpu)?, end)))).collect()
}

/// Busy ticks and all ticks, by CPU (proc_stat(5)).
fn times(stat: &str) -> HashMap<usize, (u64, u64)> {
    let of_line = |line: &str| {
        let (name, numbers) = line.strip_prefix("cpu")?.split_once(' ')?;
        let ticks: Vec<u64> =
            numbers.split_whitespace().map_while(|number| number.parse().ok()).collect();
        // user nice system idle iowait irq softirq steal; what follows is in the first two already.
        let all: u64 = ticks.iter().take(8).sum();
        let idle: u64 = ticks.iter().skip(3).take(2).sum();
        Some((name.parse().ok()?, (all - idle, all)))
    };
    stat.lines().filter_map(of_line).collect()
}

fn share(before: (u64, u64), after: (u64, u64)) -> u64 {
    let (busy, all) = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
    (busy * 100).checked_div(all).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn pinned_threads_go_before_load_and_load_before_the_number() {
        let pinned = HashMap::from([(0, 1), (3, 2)]);
        let busy = HashMap::from([(1, 90), (2, NOISE - 1), (5, 3)]);
        assert_eq!(order(&[0, 1, 2, 3, 5], 0, &pinned, &busy), [2, 5, 1, 0, 3]);
        assert_eq!(order(&[0, 1, 2], 0, &HashMap::new(), &HashMap::new()), [0, 1, 2]);
        assert_eq!(order(&[0, 1, 2], 2, &HashMap::new(), &HashMap::new()), [2, 0, 1]);
    }

    #[test]
    fn threads_of_others_that_are_pinned_are_counted_by_cpu() {
        let proc = tempfile::tempdir().unwrap();
        let thread = |process: u32, line: &str, task: u32, cpus: &str| {
            let folder = proc.path().join(process.to_string());
            let task = folder.join("task").join(task.to_string());
            fs::create_dir_all(&task).unwrap();
            fs::write(folder.join("cmdline"), line).unwrap();
            fs::write(task.join("status"), format!("Name:\tx\nCpus_allowed_list:\t{cpus}\n"))
                .unwrap();
        };
        thread(10, "sutra\0serve\0", 10, "0-3");
        thread(10, "sutra\0serve\0", 11, "2");
        thread(20, "sutra\0serve\0", 20, "2");
        thread(30, "", 30, "1");
        thread(40, "this one", 40, "3");
        assert_eq!(pinned_threads(proc.path(), 40), HashMap::from([(2, 2)]));
    }

    #[test]
    fn load_is_what_is_not_idle_between_two_looks() {
        let stat = |user: u64, idle: u64| {
            times(&format!(
                "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 {user} 0 0 {idle} 0 0 0 0 0 0\nintr 5\n"
            ))[&0]
        };
        assert_eq!(share(stat(10, 10), stat(40, 80)), 30);
        assert_eq!(share(stat(10, 10), stat(10, 10)), 0);
        assert_eq!(times("nonsense\ncpu").len(), 0);
    }

    #[test]
    fn a_cpu_that_is_marked_is_another_servers_until_that_has_gone() {
        // No host has CPUs of these numbers, so no server has marked them; nor has another run of
        // this test.
        let number = std::process::id() as usize * 10_000;
        let among = [number, number + 1, number + 2];
        let first = Placement::least_used(&among, 1, false);
        let second = Placement::least_used(&among, 1, false);
        assert_ne!(first.cpus, second.cpus);
        assert!(first.shared.is_empty() && second.shared.is_empty());
        assert!(by_use(&among)[2..] == first.cpus[..] || by_use(&among)[2..] == second.cpus[..]);
        let third = Placement::of(&first.cpus);
        assert_eq!(third.shared, first.cpus);
        let all = Placement::least_used(&among, 2, false);
        assert_eq!((all.cpus.len(), all.shared.len()), (2, 1));
        let taken = first.cpus.clone();
        drop((first, all));
        assert!(Placement::of(&taken).shared.is_empty());
    }

    #[test]
    fn a_mark_that_is_handed_over_keeps_its_cpu_marked_all_the_time() {
        let number = std::process::id() as usize * 10_000 + 10;
        let first = Placement::of(&[number]);
        let marks: Vec<_> =
            first.marks().map(|(cpu, mark)| (cpu, mark.try_clone_to_owned().unwrap())).collect();
        let mut second = Placement::to_come(vec![number, number + 1]);
        drop(first);
        second.take_marks(marks);
        assert!(second.shared.is_empty());
        assert_eq!(Placement::of(&[number, number + 1]).shared, [number, number + 1]);
    }
}
