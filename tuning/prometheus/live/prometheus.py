"""The real Prometheus, with a copy of the rules in which minutes are seconds."""

import json
import math
import re
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from processes import Again, Failed, until

HERE = Path(__file__).resolve().parent.parent

# What is shorter in the copy. Nothing else is changed: no expression's name, label or threshold.
SCRAPE = ("15s", "3s")
FOR = {"1m": "6s", "2m": "6s", "5m": "6s", "10m": "6s", "15m": "6s", "30m": "30s",
       "1h": "30s", "6h": "30s"}
WINDOWS = {"2m": "12s", "5m": "20s", "15m": "60s", "30m": "30s", "6h": "30s"}
# How far ahead a disk's forecast looks. The memory's looks 4 hours ahead here, too.
AHEAD = {"4 * 3600": "120", "3 * 86400": "200"}
# What fires on any server where this host's disk is busy, and rightly.
OF_A_SLOW_HOST = {"HighLatency", "SutraSlowCommits"}


def shortened(rules):
    """The rules with short waits and windows; fails on a time that has no short one."""
    rules = re.sub(r"(?m)^( +for: )(\w+)$", lambda m: m[1] + FOR[m[2]], rules)
    rules = re.sub(r"\[(\w+)\]", lambda m: f"[{WINDOWS[m[1]]}]", rules)
    rules = re.sub(r"offset (\w+)", lambda m: f"offset {WINDOWS[m[1]]}", rules)
    return re.sub(r"(predict_linear\(sutra_disk_free_bytes\S+ )([\d* ]+)\)",
                  lambda m: f"{m[1]}{AHEAD[m[2]]})", rules)


def configured(targets):
    """The configuration with other targets, by job."""
    configuration = (HERE / "prometheus.yaml").read_text()
    configuration = configuration.replace(f"_interval: {SCRAPE[0]}", f"_interval: {SCRAPE[1]}")
    for job, addresses in targets.items():
        configuration, count = re.subn(rf"(job_name: {job}\n.*\n.*targets: )\[.*\]",
                                       rf"\1{json.dumps(addresses)}", configuration)
        if count != 1:
            raise Failed(f"prometheus.yaml has no job {job}")
    return configuration


class Prometheus:
    """A Prometheus on a free port of the loopback, and what its alerts have done so far."""

    def __init__(self, folder, configuration, *words):
        folder.mkdir()
        (folder / "alerts.yaml").write_text(shortened((HERE / "alerts.yaml").read_text()))
        (folder / "prometheus.yaml").write_text(configuration)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = "127.0.0.1:%d" % free.getsockname()[1]
        self.log = folder / "log"
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(
                ["prometheus", f"--config.file={folder}/prometheus.yaml",
                 f"--storage.tsdb.path={folder}/data", f"--web.listen-address={self.address}",
                 *words],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        # What fires, and when each alert fired and ended, by its name and instance; and which may.
        self.firing, self.fired, self.ended, self.annotations = set(), {}, {}, {}
        self.allowed = set()
        until("Prometheus is ready", self.is_ready)
        # Beside whoever does something else for long: some alerts end by themselves.
        self.looks = Again(self.look, 0.3)

    def end(self):
        self.looks.stop()
        self.child.kill()
        self.child.wait()

    def is_ready(self):
        if self.child.poll() is not None:
            raise Failed(f"Prometheus ended: {self.log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def ask(self, path, **parameters):
        """What its API answers."""
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as refused:
            raise Failed(f"{path} {parameters}: {refused.read().decode()}") from refused

    def values(self, query):
        """The values that a query has now, those left out that are no number."""
        found = (float(series["value"][1]) for series in self.ask("query", query=query)["result"])
        return [value for value in found if not math.isnan(value)]

    def look(self):
        """Notes what fires now. What is noted is put in place as a whole, as others read it."""
        now = {}
        for alert in self.ask("alerts")["alerts"]:
            if alert["state"] == "firing":
                name = (alert["labels"]["alertname"], alert["labels"].get("instance", ""))
                now[name] = alert["annotations"]
        at = time.monotonic()
        self.annotations = {**self.annotations, **now}
        self.fired = {**dict.fromkeys(now, at), **self.fired}
        over = {name: self.ended.get(name, at) for name in self.fired if name not in now}
        self.ended, self.firing = over, set(now)

    def check_causes(self):
        """Nothing has fired that has no cause."""
        if self.looks.failure:
            raise self.looks.failure
        others = self.fired.keys() - self.allowed
        others = {alert for alert in others if alert[0] not in OF_A_SLOW_HOST}
        if others:
            raise Failed(f"fires without a cause: {sorted(others)}")

    def check_rules(self):
        """Every rule could be evaluated, and every annotation could be written."""
        for group in self.ask("rules")["groups"]:
            for rule in group["rules"]:
                if rule["health"] == "err":
                    raise Failed(f"{rule['name']}: {rule.get('lastError')}")
        for (name, _), annotations in self.annotations.items():
            for words in annotations.values():
                if "error expanding" in words or "{{" in words or "%!" in words:
                    raise Failed(f"{name} says {words}")
