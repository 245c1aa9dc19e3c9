"""What goes wrong in a grid."""

import os
import signal

from causes import Cause, of
from processes import agent, end_nodes, grid, master, until


class LostAgent(Cause):
    words = "a node that is killed four times, and an agent that is killed"

    def prepare(self):
        self.folder = self.scratch / "agent"
        self.master = self.keep("grid-master", master(self.binary, self.scratch / "master"))
        self.agent = self.keep(
            "grid-agent", agent(self.binary, self.folder, self.master, "rack-1"))
        self.other = self.keep(
            None, agent(self.binary, self.scratch / "other-agent", self.master, "rack-2"))
        grid(self.binary, self.master, "spawn", "rack-1", "--name", "words")

    def fires(self):
        return (of(self.master, "SutraGridAgentOffline", "SutraGridNodeGaveUp",
                   "SutraGridUnhealthy")
                | of(self.agent, "SutraGridNodeRestarts"))

    def node(self):
        nodes = grid(self.binary, self.master, "nodes")
        return next(node for node in nodes if node["name"] == "words")

    def process_after(self, before):
        """The node's process, once it is another one and runs."""
        node = self.node()
        return node["state"] == "running" and node["pid"] != before and node["pid"]

    def begin(self):
        self.other.kill()
        last = 0
        for _ in range(4):
            before = last
            last = until("the node runs", lambda before=before: self.process_after(before))
            os.kill(last, signal.SIGKILL)

    def mend(self):
        self.other.start()
        until("it is given up", lambda: self.node()["state"] == "gave up")
        grid(self.binary, self.master, "spawn", "rack-1", "--name", "words")

    def end(self):
        super().end()
        end_nodes(self.scratch / "agent")


class LostFolder(Cause):
    words = "a master's data folder that is moved away"

    def prepare(self):
        self.folder = self.scratch / "lone-master"
        self.away = self.scratch / "away"
        self.master = self.keep("grid-master", master(self.binary, self.folder))

    def fires(self):
        return of(self.master, "SutraGridLogReadOnly", "SutraGridUnhealthy")

    def begin(self):
        self.folder.rename(self.away)

    def mend(self):
        self.away.rename(self.folder)


class KilledMaster(Cause):
    """The one whose folder was moved away, afterwards."""

    words = "a master that is killed"

    def __init__(self, lost):
        super().__init__(lost.binary, lost.scratch)
        self.master = lost.master

    def fires(self):
        return of(self.master, "SutraGridMasterDown")

    def begin(self):
        self.master.kill()

    def mend(self):
        self.master.start()


class LostMaster(Cause):
    """Of an agent whose master Prometheus does not scrape."""

    words = "an agent whose master is killed"

    def prepare(self):
        self.master = self.keep(None, master(self.binary, self.scratch / "unseen-master"))
        self.agent = self.keep(
            "grid-agent", agent(self.binary, self.scratch / "lone-agent", self.master, "rack-9"))

    def fires(self):
        return of(self.agent, "SutraGridAgentUnregistered")

    def begin(self):
        self.master.kill()

    def mend(self):
        self.master.start()
