"""Fires the alerts by real causes, with a real Prometheus, and asks all that the dashboard asks.

    python3 tuning/prometheus/live target/release/sutra

Needs `prometheus` and `promtool`. Takes some five minutes. Everything runs on the loopback, on free
ports, in a folder that is removed at the end. What can't be done here is said by SKIPPED.
"""

import contextlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import causes
import dashboard
from processes import PATIENCE, Again, Failed, client, server, until
from prometheus import AHEAD, FOR, SCRAPE, WINDOWS, Prometheus

BEGAN = time.monotonic()
# What promtool objects to, and why it stays so: the old name is what existing alerts ask for.
KNOWN = {"storage_request_duration_ms metric names should not contain abbreviated units"}
# What fires on any of them where this host's disk is busy, and rightly.
OF_A_SLOW_HOST = {"HighLatency", "SutraSlowCommits"}


def step(words):
    print(f"==== {words} ({time.monotonic() - BEGAN:.0f} s so far)", flush=True)


def plain(metrics):
    """OpenMetrics as promtool reads it: there a counter is described under its whole name."""
    counters = re.findall(r"(?m)^# TYPE (\S+) counter$", metrics)
    for name in counters:
        metrics = re.sub(rf"(?m)^# (TYPE|HELP) {name} ", rf"# \1 {name}_total ", metrics)
    return metrics.replace("# EOF\n", "")


def check_metrics(processes):
    """promtool check metrics on what each shows."""
    for process in processes:
        words = ["promtool", "check", "metrics"]
        output = subprocess.run(words, input=plain(process.metrics()), text=True,
                                capture_output=True, check=False)
        said = set((output.stdout + output.stderr).splitlines()) - KNOWN
        if said:
            raise Failed(f"promtool check metrics: {sorted(said)}")


def check_no_other(prometheus, those):
    """Nothing fires that has no cause."""
    allowed = set().union(*(cause.fires() | cause.may_fire() for cause in those))
    others = {alert for alert in prometheus.firing() - allowed if alert[0] not in OF_A_SLOW_HOST}
    if others:
        raise Failed(f"fires without a cause: {sorted(others)}")


def fire(prometheus, those):
    """Begins all causes, and waits until each of their alerts has fired."""
    wanted = {}
    for cause in those:
        print(f"     {cause.words}", flush=True)
        wanted.update(dict.fromkeys(cause.fires(), time.monotonic()))
        cause.begin()

    def have_fired():
        for cause in those:
            cause.go_on(prometheus)
        check_no_other(prometheus, those)
        return wanted.keys() <= prometheus.fired.keys()

    try:
        until("all of them fire", have_fired, 2 * PATIENCE)
    except Failed as failed:
        missing = sorted(wanted.keys() - prometheus.fired.keys())
        raise Failed(f"{failed}; these have not: {missing}") from failed
    return {name: prometheus.fired[name] - began for name, began in wanted.items()}


def mend(prometheus, those, took):
    """Mends all causes, and waits until nothing fires."""
    began = time.monotonic()
    for cause in those:
        cause.mend()

    def have_ended():
        check_no_other(prometheus, those)
        return not prometheus.firing()

    until("nothing fires any more", have_ended, 2 * PATIENCE)
    print("     alert: seconds from its cause until it fired, from the mending until it ended")
    for (name, instance), seconds in sorted(took.items()):
        ended = max(0.0, prometheus.ended[name, instance] - began)
        print(f"     {name:28} {seconds:5.0f} {ended:5.0f}", flush=True)


def possible():
    """The kinds of causes that can be had on this host."""
    kinds = [causes.Crash, causes.Crowd, causes.Growth, causes.LostAgent, causes.LostFolder,
             causes.LostMaster]
    for kind, is_possible, needs in (
            (causes.FullDisk, causes.may_mount_privately(), "mounts in a namespace of its own"),
            (causes.StoppedThread, causes.may_trace(), "ptrace"),
            (causes.SlowDisk, causes.may_mount_images(), "root, and loop devices")):
        if is_possible:
            kinds.append(kind)
        else:
            print(f"SKIPPED: {kind.words}: it needs {needs}")
    return kinds


class Calm(causes.Cause):
    """A server that is asked a bit of everything, and of which nothing is to be told."""

    words = "nothing"

    def prepare(self):
        self.server = server(self.binary, self.scratch / "calm", "--cores", "2")
        self.targets = {"storage-server": [self.server]}
        self.client = Again(self.ask, 0.5)

    def ask(self):
        for words in (("learn", "dog", "an animal", "--embedding", "[1,2]"), ("learn", "cat"),
                      ("associate", "dog", "cat"), ("query", "dog"), ("neighbors", "dog"),
                      ("path", "dog", "cat"), ("search", "--like", "dog")):
            client(self.binary, self.server, *words)

    def fires(self):
        return set()

    def end(self):
        self.client.ended.set()
        super().end()


def play(binary, scratch, running):
    """All of it. What runs is added to `running`, and ended by the caller."""
    step("servers and grids start")
    for kind in (Calm, *possible()):
        running.append(kind(binary, scratch))
    first = running[1:]
    targets = {job: [] for job in ("storage-server", "grid-master", "grid-agent")}
    for cause in running:
        for job, processes in cause.targets.items():
            targets[job] += processes

    step("promtool check metrics, on what each of them shows")
    check_metrics(sum(targets.values(), []))

    step("Prometheus scrapes them, and nothing fires")
    print(f"     intervals {SCRAPE}, for {FOR}, windows {WINDOWS}, disk forecasts {AHEAD}")
    addresses = {job: [process.admin for process in those] for job, those in targets.items()}
    prometheus = Prometheus(scratch / "prometheus", addresses)
    running.append(prometheus)
    count = sum(map(len, addresses.values()))
    until("all are scraped", lambda: prometheus.values("sum(up)") == [count])
    calm_until = time.monotonic() + 45
    until("it is calm", lambda: check_no_other(prometheus, []) or time.monotonic() > calm_until)

    step("causes")
    took = fire(prometheus, first)
    step("the dashboard's queries")
    print(f"     {dashboard.check(prometheus)} queries have values")
    step("mended")
    mend(prometheus, first, took)

    second = [causes.KilledMaster(cause) for cause in first
              if isinstance(cause, causes.LostFolder)]
    second += [causes.HungDisk(cause) for cause in first if isinstance(cause, causes.SlowDisk)]
    step("causes that need what has been mended")
    took = fire(prometheus, second)
    step("mended")
    mend(prometheus, second, took)
    prometheus.check_rules()


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    binary = str(Path(sys.argv[1]).resolve(strict=True))
    scratch = Path(tempfile.mkdtemp(prefix="sutra-alerts-")).resolve()
    running = []
    try:
        play(binary, scratch, running)
        step("done")
        return 0
    except Failed as failed:
        print(f"FAILED: {failed}", file=sys.stderr)
        return 1
    finally:
        with contextlib.ExitStack() as ends:
            ends.callback(shutil.rmtree, scratch)
            for each in running:
                ends.callback(each.end)


sys.exit(main())
