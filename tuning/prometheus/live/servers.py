"""What goes wrong with a server by itself, or by its clients."""

import ctypes
import os
import socket
import time

from causes import Cause, of, run
from processes import client


class Crash(Cause):
    words = "kill -9, and later a restart every 7 s"

    def prepare(self):
        self.server = self.serve(self.scratch / "crash")
        self.next, self.is_up = 0, True

    def fires(self):
        return of(self.server, "StorageServerDown", "SutraRestarting")

    def begin(self):
        self.server.kill()
        self.is_up = False

    def go_on(self, prometheus):
        down, often = (name in prometheus.fired for name in sorted(self.fires()))
        if not down or often or time.monotonic() < self.next:
            return
        if self.is_up:
            self.server.kill()
        self.server.start()
        self.is_up = True
        # Two scrapes see each of them.
        self.next = time.monotonic() + 7

    def mend(self):
        """It stays up."""


class Crowd(Cause):
    words = "a client that opens 215 connections, says nothing, and opens them again"

    def prepare(self):
        # The limit is inherited; this process keeps its own.
        words = ["sh", "-c", 'ulimit -n 256; exec "$0" "$@"']
        self.server = self.serve(self.scratch / "crowd", prefix=words)
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
        self.client = self.repeat(self.crowd)

    def mend(self):
        self.client.end()
        for connection in self.connections:
            connection.close()


class Growth(Cause):
    words = "a load that writes so much that the host's memory would be used up in 1.5 hours"

    def prepare(self):
        self.server = self.serve(self.scratch / "growth")
        self.pace = self.server.value("sutra_host_memory_bytes") / (1.5 * 3600)

    def fires(self):
        return of(self.server, "SutraMemoryFillsWithinHours")

    def load(self):
        """Catches up with the pace."""
        grown = self.server.value("sutra_log_written_bytes_total") - self.written
        if grown < self.pace * (time.monotonic() - self.began):
            run(self.binary, "bench", "learn", "--server", self.server.address, "--duration", "1",
                "--warmup", "0", "--records", "100", "--content-bytes", "4000")

    def begin(self):
        self.written = self.server.value("sutra_log_written_bytes_total")
        self.began = time.monotonic()
        self.client = self.repeat(self.load, 0.2)

    def mend(self):
        self.client.end()


class StoppedThread(Cause):
    """By ptrace(2), which stops a single thread as a debugger does."""

    words = "one of two cores is stopped, as by a debugger"
    SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
    ALL_CHILDREN = 0x40000000
    is_stopped = False

    def prepare(self):
        self.server = self.serve(self.scratch / "stopped", cores=2)
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
        self.is_stopped = True

    def mend(self):
        self.ptrace(self.DETACH)
        self.is_stopped = False

    def end(self):
        # The process would not be over before its tracer had waited for the thread.
        if self.is_stopped:
            self.mend()
        super().end()


def may_trace():
    """Whether a process may stop its children's threads."""
    try:
        with open("/proc/sys/kernel/yama/ptrace_scope", encoding="ascii") as scope:
            return int(scope.read()) < 3
    except OSError:
        return True


class Calm(Cause):
    """A server that is asked a bit of everything, and of which nothing is to be told."""

    words = "nothing"

    def prepare(self):
        self.server = self.serve(self.scratch / "calm", cores=2)
        self.repeat(self.ask, 0.5)

    def ask(self):
        for words in (("learn", "dog", "an animal", "--embedding", "[1,2]"), ("learn", "cat"),
                      ("associate", "dog", "cat"), ("query", "dog"), ("neighbors", "dog"),
                      ("path", "dog", "cat"), ("search", "--like", "dog"),
                      # It is refused: a client's fault is no alert.
                      ("learn", "bird", "--embedding", "[1]")):
            client(self.binary, self.server, *words)

    def fires(self):
        return set()
