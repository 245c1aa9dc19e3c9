"""The real processes that Prometheus watches: servers, masters, agents, and what they run on.

Each says in a line of JSON where it listens. Started again, it gets the same addresses, as
Prometheus looks for it there.
"""

import itertools
import json
import os
import signal
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

# How long anything may take that is hoped to be quick: a slow host is no fault.
PATIENCE = 180


class Failed(Exception):
    """What is checked is not so."""


def until(what, condition, patience=PATIENCE):
    """Looks again and again until it is so; what the condition returned then."""
    end = time.monotonic() + patience
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise Failed(f"not so within {patience} s: {what}")
        time.sleep(0.3)


class Process:
    """A command of the binary that serves."""

    def __init__(self, binary, words, log, prefix=()):
        self.binary, self.words, self.log, self.prefix = binary, list(words), log, list(prefix)
        self.fixed = {}
        self.child = None
        self.start()

    def start(self):
        """Starts it, again on the addresses of the first time."""
        words = self.prefix + [self.binary] + self.words + ["--json"]
        for flag, address in self.fixed.items():
            words += [flag, address]
        if not self.fixed:
            words += ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith("SUTRA_")}
        # Nobody's settings file is read.
        environment["XDG_CONFIG_HOME"] = "/nowhere"
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                          stderr=log, env=environment, cwd=self.log.parent)
        line = self.child.stdout.readline()
        if not line:
            raise Failed(f"{' '.join(words)} ended: {self.log.read_text()[-2000:]}")
        greeting = json.loads(line)
        listening = greeting["listening"]
        self.address = listening if isinstance(listening, str) else listening[0]
        self.admin = greeting["admin"]
        self.fixed = {"--listen": self.address, "--admin": self.admin}

    def signal(self, number):
        self.child.send_signal(number)

    def kill(self):
        """kill -9, and waits for the end."""
        self.child.kill()
        self.child.wait()

    def metrics(self):
        """What Prometheus reads."""
        with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=10) as answer:
            return answer.read().decode()

    def value(self, series):
        """The value of a series, by its name with labels."""
        for line in self.metrics().splitlines():
            name, _, value = line.rpartition(" ")
            if name == series:
                return float(value)
        raise Failed(f"{self.admin} shows no {series}")

    def thread(self, name):
        """The id of a thread."""
        for task in Path(f"/proc/{self.child.pid}/task").iterdir():
            if (task / "comm").read_text().strip() == name:
                return int(task.name)
        raise Failed(f"there is no thread {name}")


def server(binary, folder, *words, prefix=()):
    """A storage server on a folder."""
    words = ["serve", "--data", str(folder), "--compat", "off", "--no-pin", *words]
    return Process(binary, words, folder.parent / f"{folder.name}.log", prefix)


def master(binary, folder):
    """A grid's master, which is impatient."""
    words = ["grid", "master", "--data", str(folder), "--compat", "off", "--heartbeat", "500ms",
             "--degraded-after", "2", "--offline-after", "4"]
    return Process(binary, words, folder.parent / f"{folder.name}.log")


def agent(binary, folder, of, name):
    """An agent of a master. Its nodes end by `end_nodes`."""
    words = ["grid", "agent", "--id", name, "--data", str(folder), "--master", of.address]
    return Process(binary, words, folder.parent / f"{folder.name}.log")


def grid(binary, of, *words):
    """A command of `sutra grid` against a master; its answer."""
    words = [binary, "grid", *words, "--json", "--master", of.address]
    output = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if output.returncode not in (0, 1):
        raise Failed(f"{' '.join(words)}: {output.stderr.decode()}")
    return json.loads(output.stdout)


def end_nodes(folder):
    """Ends the nodes below an agent's folder, which outlive it."""
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.startswith(bytes(folder) + b"/") for word in words[1:]):
            os.kill(int(process.name), signal.SIGKILL)


class Again(threading.Thread):
    """Does something again and again, until it is ended."""

    def __init__(self, what, pause=0.0):
        super().__init__(daemon=True)
        self.what, self.pause, self.ended = what, pause, threading.Event()
        self.failure = None
        self.start()

    def run(self):
        try:
            while not self.ended.is_set():
                self.what()
                self.ended.wait(self.pause)
        except Exception as failure:  # told by whoever ends it
            self.failure = failure

    def stop(self):
        """Waits for the last time."""
        self.ended.set()
        self.join(PATIENCE)

    def end(self):
        """The same, and raises what it has failed by."""
        self.stop()
        if self.failure:
            raise self.failure


def client(binary, of, *words):
    """A client's command against a server, which may be refused."""
    words = [binary, *words, "--server", of.address, "--timeout", "5"]
    subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)


def writer(binary, of, content_bytes=100):
    """A client that learns another concept with each call."""
    content, numbers = "x" * content_bytes, itertools.count()
    return lambda: client(binary, of, "learn", f"concept-{next(numbers)}", content)
