"""What goes wrong with a server's disk. Each is a filesystem of its own."""

import os
import signal
import time

from causes import Cause, of, run, tried
from processes import Failed, until, writer


class FullDisk(Cause):
    words = "a small disk that clients fill in 70 s, and that is full then"
    # What clients fill of it: for longer than a forecast waits, so that it is no burst.
    LEFT, SECONDS = 110 << 20, 70

    def prepare(self):
        disk = self.scratch / "disk"
        disk.mkdir()
        # In a mount namespace of its own: it is gone with the server.
        words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
                 f'mount -t tmpfs -o size=192m none "{disk}" && exec "$0" "$@"']
        self.server = self.serve(disk / "full", prefix=words)
        self.filler = f"/proc/{self.server.child.pid}/root{disk}/filler"

    def fires(self):
        return of(self.server, "SutraDiskAlmostFull", "SutraDiskFillsWithinHours",
                  "SutraDiskFillsWithinDays", "SutraUnhealthy", "SutraServerErrors")

    def may_fire(self):
        return of(self.server, "SutraMemoryFillsWithinHours")

    def begin(self):
        with open(self.filler, "wb") as filler:
            free = int(self.server.value("sutra_disk_free_bytes"))
            os.posix_fallocate(filler.fileno(), 0, free - self.LEFT)
        self.began, self.write = time.monotonic(), writer(self.binary, self.server, 90_000)
        self.client = self.repeat(self.fill, 0.01)

    def fill(self):
        """Writes what is due; all the time once the disk is full, as then nothing is left."""
        due = self.LEFT * (time.monotonic() - self.began) / self.SECONDS
        if self.server.value("sutra_log_written_bytes_total") < due:
            self.write()

    def mend(self):
        os.remove(self.filler)
        self.client.end()


def may_mount_privately():
    """Whether a user of this host may mount in a namespace of its own."""
    return tried("unshare", "--user", "--map-root-user", "--mount", "true").returncode == 0


class SlowDisk(Cause):
    """A filesystem in a file. fsfreeze(8) holds up what is written to it."""

    words = "a disk that stands still for 0.4 s, again and again"
    is_mounted = is_frozen = False

    def prepare(self):
        self.disk = self.scratch / "slow"
        self.disk.mkdir()
        image = self.scratch / "image"
        with open(image, "wb") as file:
            file.truncate(512 << 20)
        run("mkfs.ext4", "-q", "-F", str(image))
        run("mount", "-o", "loop", str(image), str(self.disk))
        self.is_mounted = True
        # Above the mount its log would be frozen, too.
        (self.disk / "data").mkdir()
        (self.scratch / "slow-data").symlink_to(self.disk / "data")
        self.server = self.serve(self.scratch / "slow-data")

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
        self.client = self.repeat(writer(self.binary, self.server))
        self.disk_stops = self.repeat(self.stand_still, 0.01)

    def mend(self):
        self.disk_stops.end()
        self.client.end()

    def end(self):
        self.end_clients()
        if self.is_frozen:
            self.thaw()
        super().end()
        if not self.is_mounted:
            return
        # What the kernel still does for the server ends a moment later.
        until("it is unmounted", lambda: tried("umount", str(self.disk)).returncode == 0)


class HungDisk(Cause):
    """On the slow disk's server, afterwards."""

    words = "the same disk stands still for good, then the server is asked to stop, and ended"

    def __init__(self, slow):
        super().__init__(slow.binary, slow.scratch)
        self.slow, self.server = slow, slow.server
        self.is_asked = False

    def fires(self):
        return of(self.server, "SutraWritesStuck", "SutraNotReady")

    def may_fire(self):
        return of(self.server, "StorageServerDown", "HighLatency", "SutraSlowCommits",
                  "SutraServerErrors")

    def begin(self):
        self.client = self.repeat(writer(self.binary, self.server))
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


def may_mount_images():
    """Whether a filesystem in a file can be mounted and frozen: by root, with loop devices."""
    return os.geteuid() == 0 and os.path.exists("/dev/loop-control")
