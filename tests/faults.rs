//! What happens where the host fails a server: disks that are full, over quota, read-only or
//! broken, no descriptors, no memory, a clock that is set. Nothing acknowledged is lost, nothing
//! that failed is acknowledged, health tells, and writes come back by themselves.

use std::fs;
use std::process::{Command, Stdio};

use sutra_client::blocking::Client;
use sutra_client::{ClientError, Concept};
use sutra_testing::wait_until;
use sutra_wire::Status;

use crate::support::browser::skipped;
use crate::support::clock::Clock;
use crate::support::disks::{Disk, FailingDisk};
use crate::support::{Folder, Server, sutra};

const ONE_CORE: [&str; 2] = ["--cores", "1"];

/// A server, and what it has acknowledged: so many concepts, with the same content.
struct Book {
    client: Client,
    server: Server,
    content: String,
    acknowledged: u32,
}

impl Book {
    fn of(server: Server) -> Self {
        // Of letters that nothing compresses.
        let letter = |_| char::from(rand::random_range(b'!'..=b'~'));
        let content = (0..20_000).map(letter).collect();
        Self { client: server.client(), server, content, acknowledged: 0 }
    }

    /// Asks for one write more. One that is refused is asked for again by the next.
    fn write(&mut self) -> Result<(), ClientError> {
        let name = format!("concept {}", self.acknowledged);
        self.client.learn(Concept::new(&name).content(&self.content))?;
        self.acknowledged += 1;
        Ok(())
    }

    /// Writes until a write is refused; with what.
    fn write_until_refused(&mut self) -> (Status, String) {
        for _ in 0..20_000 {
            match self.write() {
                Ok(()) => {}
                Err(ClientError::Refused { status, message }) => return (status, message),
                Err(error) => panic!("{error}"),
            }
        }
        panic!("20,000 writes, and none was refused");
    }

    fn write_many(&mut self, count: u32) {
        (0..count).for_each(|_| self.write().unwrap());
    }

    /// Everything acknowledged is there, and whole.
    fn check(&self) {
        for number in 0..self.acknowledged {
            let found = self.client.query(format!("concept {number}")).unwrap();
            let found = found.unwrap_or_else(|| panic!("{number} of {}", self.acknowledged));
            assert!(*found.content == *self.content, "{number}");
        }
    }

    /// Refuses for as long as the cause is there, and is read; then writes again, by itself.
    fn refuses_and_comes_back(&mut self, words: &str, mend: impl FnOnce()) {
        for _ in 0..3 {
            let (_, message) = self.write_until_refused();
            assert!(message.contains(words), "{message}");
        }
        let health = self.client.health().unwrap();
        assert!(!health.healthy && health.status.contains(words), "{}", health.status);
        self.check();
        mend();
        wait_until("writes are taken again", || self.write().is_ok());
        wait_until("it is well", || self.client.health().unwrap().healthy);
        self.write_many(20);
        self.check();
    }

    /// Kills the server, and looks at what a start finds; `between` is done in between.
    fn killed_and_started_again(self, between: impl FnOnce()) -> Self {
        let Self { server, content, acknowledged, .. } = self;
        let stopped = server.kill();
        between();
        let server = stopped.start();
        let book = Self { client: server.client(), server, content, acknowledged };
        book.check();
        book
    }
}

/// Sets a limit of a process, as prlimit(1) takes it.
fn set_limit(pid: u32, limit: &str) {
    let mut prlimit = Command::new("prlimit");
    let output = prlimit.args(["--pid", &pid.to_string(), limit]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_disk_that_is_filled_to_the_brim_refuses_and_comes_back_when_there_is_room() {
    for kind in ["ext4", "xfs", "btrfs", "tmpfs"] {
        let Some((folder, disk)) = Disk::of(kind, if kind == "xfs" { 320 } else { 160 }) else {
            continue;
        };
        let mut book = Book::of(Server::start_on(folder, &ONE_CORE));
        book.write_many(10);
        for _ in 0..2 {
            disk.fill();
            book.refuses_and_comes_back("free space", || disk.free());
        }
        book = book.killed_and_started_again(|| {
            if kind != "tmpfs" {
                disk.mount_again();
            }
        });
        drop(book);
    }
}

#[test]
fn a_disk_with_io_errors_refuses_and_comes_back_when_it_writes_again() {
    for durability in ["always", "interval=20", "os"] {
        let Some((folder, disk)) = FailingDisk::new() else { return };
        let arguments = [&ONE_CORE[..], &["--durability", durability]].concat();
        let mut book = Book::of(Server::start_on(folder, &arguments));
        book.write_many(10);
        for _ in 0..2 {
            disk.fail();
            if durability == "os" {
                // They are acknowledged from the page cache, and no sync lands them.
                book.write_many(20);
                let refused = book.client.flush().unwrap_err().to_string();
                assert!(refused.contains("sync failed"), "{refused}");
            }
            book.refuses_and_comes_back("Input/output error", || disk.mend());
            book.client.flush().unwrap();
        }
        // What the page cache alone had is gone.
        book = book.killed_and_started_again(|| disk.mount_again());
        book.write_many(5);
        drop(book);
    }
}

#[test]
fn a_server_that_is_stopped_while_its_disk_fails_says_that_not_all_is_stored() {
    let Some((folder, disk)) = FailingDisk::new() else { return };
    let arguments = [&ONE_CORE[..], &["--durability", "os"]].concat();
    let mut book = Book::of(Server::start_on(folder, &arguments));
    book.write_many(10);
    disk.fail();
    book.client.flush().unwrap_err();
    let Book { server, .. } = book;
    let (status, stopped) = server.stop();
    assert!(!status.success(), "{status}");
    drop((stopped, disk));
}

#[test]
fn a_server_that_refuses_writes_is_not_taken_over_before_it_takes_them_again() {
    let Some((folder, disk)) = Disk::of("tmpfs", 160) else { return };
    let log = folder.path().with_file_name("log");
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" \"$@\" 2> \"$LOG\""]).env("LOG", &log);
    command.arg(sutra().get_program());
    let mut book = Book::of(Server::start_by(command, folder, &ONE_CORE));
    book.write_many(10);
    disk.fill();
    book.write_until_refused();
    let mut successor = sutra();
    successor.args(["serve", "--takeover", "--no-pin", "--admin", "off"]).args(ONE_CORE);
    successor.args(["--listen", &book.server.address.to_string()]);
    successor.args(["--compat", &book.server.compat().to_string(), "--data"]);
    successor.arg(book.server.data()).stdin(Stdio::null()).stdout(Stdio::null());
    let mut successor = successor.stderr(Stdio::null()).spawn().unwrap();
    // The successor needs no space to start: it is the server that objects.
    wait_until("the server puts it off", || {
        let said = fs::read_to_string(&log).unwrap();
        said.contains("takeover put off") && said.contains("writes are refused")
    });
    successor.kill().unwrap();
    successor.wait().unwrap();
    book.refuses_and_comes_back("free space", || disk.free());
    book.killed_and_started_again(|| ());
}

#[test]
fn a_filesystem_that_becomes_read_only_is_read_and_nothing_is_lost_when_it_is_mounted_again() {
    let Some((folder, disk)) = Disk::of("ext4", 160) else { return };
    let mut book = Book::of(Server::start_on(folder, &ONE_CORE));
    book.write_many(10);
    if !disk.become_read_only() {
        return skipped("a read-only filesystem: this kernel's ext4 has no trigger_fs_error");
    }
    for _ in 0..3 {
        let (status, message) = book.write_until_refused();
        assert_eq!(status, Status::StorageFailed, "{message}");
        assert!(message.contains("Read-only file system"), "{message}");
    }
    let health = book.client.health().unwrap();
    assert!(!health.healthy && health.status.contains("Read-only"), "{}", health.status);
    book.check();
    let mut book = book.killed_and_started_again(|| disk.mount_again());
    book.write_many(10);
}

#[test]
fn a_quota_that_is_used_up_refuses_and_comes_back_when_it_is_raised() {
    let Some((folder, disk)) = Disk::of("btrfs", 256) else { return };
    let mounted = disk.path().to_str().unwrap().to_owned();
    let limit = |size: &str| disk.tool("btrfs", &["qgroup", "limit", size, &mounted]);
    if !disk.tool("btrfs", &["quota", "enable", &mounted]) || !limit("24M") {
        return skipped("quotas: this kernel's btrfs has none");
    }
    let mut book = Book::of(Server::start_on(folder, &ONE_CORE));
    book.write_many(10);
    book.refuses_and_comes_back("free space", || assert!(limit("none")));
    book.killed_and_started_again(|| disk.mount_again());
}

#[test]
fn without_descriptors_writes_are_refused_and_come_back_when_there_are_some() {
    let mut book = Book::of(Server::start(&ONE_CORE));
    book.write_many(10);
    // No more than are open: the next segment can't be made.
    set_limit(book.server.pid(), "--nofile=16:");
    let pid = book.server.pid();
    book.refuses_and_comes_back("out of descriptors", || set_limit(pid, "--nofile=1024:"));
    book.killed_and_started_again(|| ());
}

#[test]
fn without_memory_for_a_segment_writes_are_refused_and_come_back_when_there_is_some() {
    let mut book = Book::of(Server::start(&ONE_CORE));
    book.write_many(10);
    let pid = book.server.pid();
    // A segment's memory is 64 MiB; everything else has some room.
    let mapped = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    let pages: u64 = mapped.split(' ').next().unwrap().parse().unwrap();
    let bytes = pages * rustix::param::page_size() as u64 + (48 << 20);
    set_limit(pid, &format!("--as={bytes}:"));
    book.refuses_and_comes_back("free memory", || set_limit(pid, "--as=unlimited:"));
    book.killed_and_started_again(|| ());
}

#[test]
fn a_clock_that_is_set_forth_and_back_stops_nothing_and_loses_nothing() {
    const YEAR: i64 = 365 * 24 * 3600;
    let tools = Folder::new();
    fs::create_dir(tools.path()).unwrap();
    let clock = Clock::new(&tools.path());
    for durability in ["always", "interval=20"] {
        let arguments = [&ONE_CORE[..], &["--durability", durability]].concat();
        clock.set(0);
        let server = Server::start_by(clock.sutra(), Folder::new(), &arguments);
        let mut book = Book::of(server);
        book.write_many(5);
        for years in [10, -10, 30, -50] {
            clock.set(years * YEAR);
            book.write_many(5);
            book.client.flush().unwrap();
            let health = book.client.health().unwrap();
            assert!(health.healthy, "{}", health.status);
            assert!(health.uptime < 3600 * 1_000_000, "{} µs", health.uptime);
        }
        let updated = |book: &Book, number: u32| {
            let found = book.client.query(format!("concept {number}")).unwrap().unwrap();
            found.updated.to_native() / 1_000_000 / YEAR as u64
        };
        // The clock was really set; what it said was written down.
        assert_eq!(updated(&book, 7) - updated(&book, 12), 20);
        let Book { server, content, acknowledged, .. } = book;
        let folder = server.kill().folder;
        clock.set(-20 * YEAR);
        let server = Server::start_by(clock.sutra(), folder, &arguments);
        let mut book = Book { client: server.client(), server, content, acknowledged };
        book.check();
        book.write_many(5);
        book.check();
    }
}

/// The long version: faults and kills that follow each other on one store.
#[test]
#[ignore = "it takes some minutes"]
fn faults_that_follow_each_other_for_long_lose_nothing() {
    for durability in ["always", "interval=20", "os"] {
        let Some((folder, disk)) = FailingDisk::new() else { return };
        let arguments = [&ONE_CORE[..], &["--durability", durability]].concat();
        let mut book = Book::of(Server::start_on(folder, &arguments));
        for round in 0..20 {
            book.write_many(200);
            disk.fail();
            book.refuses_and_comes_back("Input/output error", || disk.mend());
            if round % 3 == 2 {
                book.client.flush().unwrap();
                book = book.killed_and_started_again(|| disk.mount_again());
            }
        }
        drop(book);
    }
}
