"""Fires the alerts by real causes, with a real Prometheus, and asks all that the dashboard asks.

    python3 tuning/prometheus/live target/release/sutra

Needs `prometheus` and `promtool`. Takes some five minutes. Everything runs on the loopback, on free
ports, in a folder that is removed at the end: in memory, or where TMPDIR says. What can't be done
here is said by SKIPPED.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dashboard
import discovery
import disks
import grids
import servers
from processes import PATIENCE, Failed, until
from prometheus import AHEAD, FOR, SCRAPE, WINDOWS, Prometheus, configured

BEGAN = time.monotonic()
# What promtool objects to, and why it stays so: the old name is what existing alerts ask for.
KNOWN = {"storage_request_duration_ms metric names should not contain abbreviated units"}


def step(words):
    print(f"==== {words} ({time.monotonic() - BEGAN:.0f} s so far)", flush=True)


def check_metrics(processes):
    """promtool check metrics on what each shows."""
    for process in processes:
        words = ["promtool", "check", "metrics"]
        output = subprocess.run(words, input=process.metrics(), text=True,
                                capture_output=True, check=False)
        said = set((output.stdout + output.stderr).splitlines()) - KNOWN
        if said:
            raise Failed(f"promtool check metrics: {sorted(said)}")


def fire(prometheus, those):
    """Begins all causes, and waits until each of their alerts has fired."""
    wanted = {}
    for cause in those:
        print(f"     {cause.words}", flush=True)
        wanted.update(dict.fromkeys(cause.fires(), time.monotonic()))
        prometheus.allowed |= cause.fires() | cause.may_fire()
        cause.begin()

    def have_fired():
        for cause in those:
            cause.go_on(prometheus)
        prometheus.check_causes()
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
        prometheus.check_causes()
        return not prometheus.firing

    until("nothing fires any more", have_ended, 2 * PATIENCE)
    print("     alert: seconds from its cause until it fired, from the mending until it ended")
    for (name, instance), seconds in sorted(took.items()):
        ended = max(0.0, prometheus.ended[name, instance] - began)
        print(f"     {name:28} {seconds:5.0f} {ended:5.0f}", flush=True)


def possible():
    """The kinds of causes that can be had on this host."""
    kinds = [servers.Crash, servers.Crowd, servers.Growth, grids.LostAgent, grids.LostFolder,
             grids.LostMaster]
    for kind, is_possible, needs in (
            (disks.FullDisk, disks.may_mount_privately(), "mounts in a namespace of its own"),
            (servers.StoppedThread, servers.may_trace(), "ptrace"),
            (disks.SlowDisk, disks.may_mount_images(), "root, and loop devices")):
        if is_possible:
            kinds.append(kind)
        else:
            print(f"SKIPPED: {kind.words}: it needs {needs}")
    return kinds


def play(binary, scratch, running):
    """All of it. What runs is added to `running`, and ended by the caller."""
    step("servers and grids start")
    for kind in (servers.Calm, *possible()):
        running.append(kind(binary, scratch))
        running[-1].prepare()
    first = running[1:]
    targets = {job: [] for job in ("storage-server", "grid-master", "grid-agent")}
    for cause in running:
        for job, processes in cause.targets.items():
            targets[job] += processes

    step("a grid is found by its master's list")
    found = discovery.Found(binary, scratch)
    running.append(found)
    found.prepare()
    discovery.check_grid(found, scratch / "prometheus-of-grid")
    step("quantiles of native histograms")
    lone = found.serve(scratch / "native")
    discovery.check_native(lone, scratch / "prometheus-native")

    step("promtool check metrics, on what each of them shows")
    check_metrics(sum(targets.values(), []))

    step("Prometheus scrapes them, and nothing fires")
    print(f"     intervals {SCRAPE}, for {FOR}, windows {WINDOWS}, disk forecasts {AHEAD}")
    addresses = {job: [process.admin for process in those] for job, those in targets.items()}
    prometheus = Prometheus(scratch / "prometheus", configured(addresses))
    running.append(prometheus)
    count = sum(map(len, addresses.values()))
    until("all are scraped", lambda: prometheus.values("sum(up)") == [count])
    calm_until = time.monotonic() + 45
    until("it is calm", lambda: prometheus.check_causes() or time.monotonic() > calm_until)

    step("causes")
    took = fire(prometheus, first)
    step("the dashboard's queries")
    print(f"     {dashboard.check(prometheus)} queries have values")
    step("mended")
    mend(prometheus, first, took)

    second = [grids.KilledMaster(cause) for cause in first
              if isinstance(cause, grids.LostFolder)]
    second += [disks.HungDisk(cause) for cause in first if isinstance(cause, disks.SlowDisk)]
    running += second
    step("causes that need what has been mended")
    took = fire(prometheus, second)
    step("mended")
    mend(prometheus, second, took)
    prometheus.check_rules()


def folder():
    """Where everything lies: in memory where there is much, as the host's disk may be busy."""
    memory = Path("/dev/shm")
    is_roomy = memory.is_dir() and shutil.disk_usage(memory).free > 4 << 30
    below = memory if is_roomy and "TMPDIR" not in os.environ else None
    return Path(tempfile.mkdtemp(prefix="sutra-alerts-", dir=below)).resolve()


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    binary = str(Path(sys.argv[1]).resolve(strict=True))
    scratch = folder()
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
