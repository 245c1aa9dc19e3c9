"""A grid that Prometheus finds by asking its master, and histograms in their native form."""

import json
import math
import subprocess

from causes import Cause, run
from processes import Failed, agent, end_nodes, grid, master, until
from prometheus import HERE, Prometheus


class Found(Cause):
    """A master, an agent and two nodes."""

    def prepare(self):
        self.folder = self.scratch / "found-agent"
        self.master = self.keep(None, master(self.binary, self.scratch / "found-master"))
        self.agent = self.keep(None, agent(self.binary, self.folder, self.master, "rack-1"))
        for name in ("words", "images"):
            grid(self.binary, self.master, "spawn", "rack-1", "--name", name)

    def end(self):
        super().end()
        end_nodes(self.folder)


def check_grid(found, folder):
    """All targets of the grid are found, and are up, under the jobs of the alerts."""
    configuration = (HERE / "grid.yaml").read_text()
    for long, short in (("localhost:9002", found.master.admin), ("interval: 15s", "interval: 1s")):
        if long not in configuration:
            raise Failed(f"grid.yaml has no {long}")
        configuration = configuration.replace(long, short)
    prometheus = Prometheus(folder, configuration)
    try:
        wanted = {"grid-master": 1, "grid-agent": 1, "storage-server": 2}

        def up():
            series = prometheus.ask("query", query="sum by (job) (up)")["result"]
            return {one["metric"]["job"]: float(one["value"][1]) for one in series} == wanted

        until("all of the grid is found and up", up)
        nodes = prometheus.ask("query", query='up{agent="rack-1", kind="server"}')["result"]
        names = sorted(node["metric"]["node"] for node in nodes)
        if names != ["images", "words"]:
            raise Failed(f"nodes are called {names}")
        grid(found.binary, found.master, "stop", "words")
        wanted["storage-server"] = 1
        until("a node that was stopped is no target", up)
    finally:
        prometheus.end()


# Quantiles that are compared, with the name that `sutra stats` has for them.
QUANTILES = {0.5: "p50", 0.99: "p99"}
# A bucket's width.
WIDTH = 2 ** (1 / 8)


def check_native(server, folder):
    """Prometheus's quantiles of native histograms are those of `sutra stats`, within a bucket."""
    for number in range(200):
        run(server.binary, "learn", f"concept-{number}", "x", "--server", server.address)
    configuration = ("global: {scrape_interval: 1s}\nscrape_configs: [{job_name: native, "
                     f"static_configs: [{{targets: ['{server.admin}']}}]}}]\n")
    prometheus = Prometheus(folder, configuration, "--enable-feature=native-histograms")
    series = 'sutra_request_duration_seconds{operation="learn"}'
    try:
        until("native histograms are scraped", lambda: prometheus.values(
            f"histogram_count({series})") == [200])
        stats = [server.binary, "stats", "--json", "--server", server.address]
        output = subprocess.run(stats, capture_output=True, check=True).stdout
        counters = json.loads(output)["counters"]
        for share, name in QUANTILES.items():
            ours = counters[f"took_learn_{name}_ns"] / 1e9
            [theirs] = prometheus.values(f"histogram_quantile({share}, {series})")
            print(f"     {name} of learn: {theirs * 1e3:.3f} ms, `sutra stats` {ours * 1e3:.3f} ms")
            if abs(math.log(theirs / ours)) > math.log(WIDTH):
                raise Failed(f"{name}: Prometheus has {theirs}, sutra stats {ours}")
    finally:
        prometheus.end()
