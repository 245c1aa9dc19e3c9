"""What goes wrong, and how it is mended: each cause is a real one, done to a process of its own.

A cause names the alerts that it is to fire, by process. What may fire besides, as a consequence, is
named as well; anything else that fires is a failure.
"""

import ctypes
import os
import signal
import socket
import subprocess
import time

from processes import Again, Failed, agent, end_nodes, grid, master, server, until, writes


class Cause:
    """What can go wrong with some processes."""

    words = ""

    def __init__(self, binary, scratch):
        self.binary, self.scratch = binary, scratch
        # By job, the processes that Prometheus scrapes.
        self.targets = {}
        self.prepare()

    def fires(self):
        """The alerts that are to fire, as name and address."""
        raise NotImplementedError

    def may_fire(self):
        """Those that may fire besides."""
        return set()

    def prepare(self):
        """Starts what it needs."""
        raise NotImplementedError

    def begin(self):
        """From here on it goes wrong."""
        raise NotImplementedError

    def go_on(self, prometheus):
        """Called again and again while alerts are waited for."""

    def mend(self):
        """From here on it is well."""
        raise NotImplementedError

    def end(self):
        """Ends what it has started."""
        for process in sum(self.targets.values(), []):
            if process.child.poll() is None:
                process.kill()


def of(process, *names):
    return {(name, process.admin) for name in names}


class Crash(Cause):
    words = "kill -9, and later four restarts in a row"

    def prepare(self):
        self.server = server(self.binary, self.scratch / "crash", "--cores", "1")
        self.targets = {"storage-server": [self.server]}
        self.restarts, self.next = 0, 0

    def fires(self):
        return of(self.server, "StorageServerDown", "SutraRestarting")

    def begin(self):
        self.server.kill()
        self.is_up = False

    def go_on(self, prometheus):
        was_down = ("StorageServerDown", self.server.admin) in prometheus.fired
        if not was_down or self.restarts == 4 or time.monotonic() < self.next:
            return
        if self.is_up:
            self.server.kill()
        self.server.start()
        self.is_up = True
        self.restarts += 1
        # Two scrapes see each of them.
        self.next = time.monotonic() + 7

    def mend(self):
        """It stays up."""


class Crowd(Cause):
    words = "a client that opens 215 connections, says nothing, and opens them again"

    def prepare(self):
        # The limit is inherited; this process keeps its own.
        words = ["sh", "-c", 'ulimit -n 256; exec "$0" "$@"']
        self.server = server(self.binary, self.scratch / "crowd", "--cores", "1", prefix=words)
        self.targets = {"storage-server": [self.server]}
        self.connections = []

    def fires(self):
        return of(self.server, "ConnectionFailures", "SutraFilesNearLimit")

    def crowd(self):
        for connection in self.connections:
            connection.close()
        host, port = self.server.address.split(":")
        self.connections = [socket.create_connection((host, int(port)), 5) for _ in range(215)]
        # It is given up after 10 s.
        time.sleep(10.5)

    def begin(self):
        self.client = Again(self.crowd)

    def mend(self):
        self.client.end()
        for connection in self.connections:
            connection.close()


class FullDisk(Cause):
    words = "a small disk that clients fill, and that is full then"

    def prepare(self):
        disk = self.scratch / "disk"
        disk.mkdir()
        # In a mount namespace of its own: it is gone with the server.
        words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
                 f'mount -t tmpfs -o size=192m none "{disk}" && exec "$0" "$@"']
        self.server = server(self.binary, disk / "full", "--cores", "1", prefix=words)
        self.targets = {"storage-server": [self.server]}
        self.filler = f"/proc/{self.server.child.pid}/root{disk}/filler"

    def fires(self):
        return of(self.server, "SutraDiskAlmostFull", "SutraDiskFillsWithinHours",
                  "SutraDiskFillsWithinDays", "SutraUnhealthy", "SutraServerErrors")

    def may_fire(self):
        return of(self.server, "SutraMemoryFillsWithinHours")

    def begin(self):
        with open(self.filler, "wb") as filler:
            free = int(self.server.value("sutra_disk_free_bytes"))
            os.posix_fallocate(filler.fileno(), 0, free - (110 << 20))
        self.client = writes(self.binary, self.server, 90_000)

    def mend(self):
        os.remove(self.filler)
        self.client.end()


class Growth(Cause):
    words = "a load that writes so much that the host's memory would be used up in 4 hours"

    def prepare(self):
        self.server = server(self.binary, self.scratch / "growth", "--cores", "1")
        self.targets = {"storage-server": [self.server]}

    def fires(self):
        return of(self.server, "SutraMemoryFillsWithinHours")

    def load(self):
        words = [self.binary, "bench", "learn", "--server", self.server.address, "--duration", "5",
                 "--warmup", "0", "--records", "100", "--content-bytes", "4000"]
        subprocess.run(words, stdin=subprocess.DEVNULL, check=True, capture_output=True)

    def begin(self):
        self.client = Again(self.load)

    def mend(self):
        self.client.end()


class StoppedThread(Cause):
    """By ptrace(2), which stops a single thread as a debugger does."""

    words = "one of two cores is stopped, as by a debugger"
    SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
    ALL_CHILDREN = 0x40000000

    def prepare(self):
        self.server = server(self.binary, self.scratch / "stopped", "--cores", "2")
        self.targets = {"storage-server": [self.server]}
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long] * 4
        self.libc.ptrace.restype = ctypes.c_long

    def fires(self):
        return of(self.server, "SutraCoreSilent")

    def ptrace(self, request):
        if self.libc.ptrace(request, self.task, 0, 0) < 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    def begin(self):
        self.task = self.server.thread("core-1")
        self.ptrace(self.SEIZE)
        self.ptrace(self.INTERRUPT)
        os.waitpid(self.task, self.ALL_CHILDREN)

    def mend(self):
        self.ptrace(self.DETACH)


class SlowDisk(Cause):
    """A filesystem in a file. fsfreeze(8) holds up what is written to it."""

    words = "a disk that stands still for 0.4 s, again and again"

    def prepare(self):
        self.disk = self.scratch / "slow"
        self.disk.mkdir()
        image = self.scratch / "image"
        self.is_frozen = False
        with open(image, "wb") as file:
            file.truncate(512 << 20)
        run("mkfs.ext4", "-q", "-F", str(image))
        run("mount", "-o", "loop", str(image), str(self.disk))
        # Above the mount its log would be frozen, too.
        (self.disk / "data").mkdir()
        (self.scratch / "slow-data").symlink_to(self.disk / "data")
        self.server = server(self.binary, self.scratch / "slow-data", "--cores", "1")
        self.targets = {"storage-server": [self.server]}

    def fires(self):
        return of(self.server, "HighLatency", "SutraSlowCommits")

    def freeze(self):
        run("fsfreeze", "--freeze", str(self.disk))
        self.is_frozen = True

    def thaw(self):
        run("fsfreeze", "--unfreeze", str(self.disk))
        self.is_frozen = False

    def stand_still(self):
        self.freeze()
        time.sleep(0.4)
        self.thaw()

    def begin(self):
        self.client = writes(self.binary, self.server)
        self.disk_stops = Again(self.stand_still, 0.1)

    def mend(self):
        self.disk_stops.end()
        self.client.end()

    def end(self):
        if self.is_frozen:
            self.thaw()
        super().end()
        # What the kernel still does for the server ends a moment later.
        words = ["umount", str(self.disk)]
        until("it is unmounted", lambda: subprocess.run(words, capture_output=True).returncode == 0)


class HungDisk(Cause):
    """On the slow disk's server, afterwards."""

    words = "the same disk stands still for good, then the server is asked to stop, and ended"

    def __init__(self, slow):
        self.slow, self.server = slow, slow.server
        self.targets = {}
        self.is_asked = self.has_ended = False

    def fires(self):
        return of(self.server, "SutraWritesStuck", "SutraNotReady")

    def may_fire(self):
        return of(self.server, "StorageServerDown", "HighLatency", "SutraSlowCommits",
                  "SutraServerErrors")

    def begin(self):
        self.client = writes(self.slow.binary, self.server)
        until("writes are done", lambda: self.server.value("sutra_writes_total") > 0)
        self.slow.freeze()

    def go_on(self, prometheus):
        if not self.is_asked and ("SutraWritesStuck", self.server.admin) in prometheus.fired:
            self.server.signal(signal.SIGTERM)
            self.is_asked = True

    def mend(self):
        self.client.ended.set()
        self.slow.thaw()
        if self.server.child.wait(60) != 0:
            raise Failed("the server did not end well")
        self.server.start()
        self.client.end()

    def end(self):
        """The slow disk ends it."""


class LostAgent(Cause):
    words = "a node that is killed four times, and an agent that is killed"

    def prepare(self):
        self.folder = self.scratch / "agent"
        self.master = master(self.binary, self.scratch / "master")
        self.agent = agent(self.binary, self.folder, self.master, "rack-1")
        self.other = agent(self.binary, self.scratch / "other-agent", self.master, "rack-2")
        self.targets = {"grid-master": [self.master], "grid-agent": [self.agent]}
        grid(self.binary, self.master, "spawn", "rack-1", "--name", "words")

    def fires(self):
        return (of(self.master, "SutraGridAgentOffline", "SutraGridNodeGaveUp",
                   "SutraGridUnhealthy")
                | of(self.agent, "SutraGridNodeRestarts"))

    def node(self):
        nodes = grid(self.binary, self.master, "nodes")
        return next(node for node in nodes if node["name"] == "words")

    def begin(self):
        self.other.kill()
        last = 0
        for _ in range(4):
            def is_another():
                node = self.node()
                return node["state"] == "running" and node["pid"] not in (last, 0, None) and node
            last = until("the node runs", is_another)["pid"]
            os.kill(last, signal.SIGKILL)

    def mend(self):
        self.other.start()
        until("it is given up", lambda: self.node()["state"] == "gave up")
        grid(self.binary, self.master, "spawn", "rack-1", "--name", "words")

    def end(self):
        super().end()
        if self.other.child.poll() is None:
            self.other.kill()
        end_nodes(self.folder)


class LostFolder(Cause):
    words = "a master's data folder that is moved away"

    def prepare(self):
        self.folder = self.scratch / "lone-master"
        self.away = self.scratch / "away"
        self.master = master(self.binary, self.folder)
        self.targets = {"grid-master": [self.master]}

    def fires(self):
        return of(self.master, "SutraGridLogReadOnly", "SutraGridUnhealthy")

    def begin(self):
        self.folder.rename(self.away)

    def mend(self):
        self.away.rename(self.folder)


class LostMaster(Cause):
    """Of an agent whose master Prometheus does not scrape."""

    words = "an agent whose master is killed"

    def prepare(self):
        self.master = master(self.binary, self.scratch / "unseen-master")
        self.agent = agent(self.binary, self.scratch / "lone-agent", self.master, "rack-9")
        self.targets = {"grid-agent": [self.agent]}

    def fires(self):
        return of(self.agent, "SutraGridAgentUnregistered")

    def begin(self):
        self.master.kill()

    def mend(self):
        self.master.start()

    def end(self):
        super().end()
        if self.master.child.poll() is None:
            self.master.kill()


class KilledMaster(Cause):
    """The one whose folder was moved away, afterwards."""

    words = "a master that is killed"

    def __init__(self, lost):
        self.master, self.targets = lost.master, {}

    def fires(self):
        return of(self.master, "SutraGridMasterDown")

    def begin(self):
        self.master.kill()

    def mend(self):
        self.master.start()

    def end(self):
        """The other cause ends it."""


def run(*words):
    """A command of the system."""
    output = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if output.returncode:
        raise Failed(f"{' '.join(words)}: {output.stderr.decode()}")


def may_mount_images():
    """Whether a filesystem in a file can be mounted and frozen: by root, with loop devices."""
    return os.geteuid() == 0 and os.path.exists("/dev/loop-control")


def may_mount_privately():
    """Whether a user of this host may mount in a namespace of its own."""
    words = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def may_trace():
    """Whether a process may stop its children's threads."""
    try:
        with open("/proc/sys/kernel/yama/ptrace_scope", encoding="ascii") as scope:
            return int(scope.read()) < 3
    except OSError:
        return True
