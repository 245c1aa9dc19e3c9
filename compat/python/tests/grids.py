"""A real grid: a master, one agent and its storage nodes, all processes of the real binary."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from peers import PATIENCE_S
from servers import binary

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("SUTRA_")}


class Process:
    """One that says in a line of JSON where it listens."""

    def __init__(self, *arguments: object) -> None:
        command = [binary(), "grid", *map(str, arguments), "--json", "--admin", "off"]
        self._process = subprocess.Popen(
            command, env=CLEAN, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None and self._process.stderr is not None
        line = self._process.stdout.readline()
        assert line, f"it ended before it listened: {self._process.stderr.read()}"
        self.greeting: dict[str, Any] = json.loads(line)
        # Read to its end, so that it never blocks on what nobody reads.
        self._drain = threading.Thread(target=self._process.stderr.read)
        self._drain.start()

    def kill(self) -> None:
        self._process.kill()
        self._end()

    def terminate(self) -> None:
        self._process.terminate()
        self._end()

    def _end(self) -> None:
        self._process.wait(PATIENCE_S)
        self._drain.join(PATIENCE_S)
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()


class Grid:
    """A master and an agent on folders below one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._master = self._start_master("127.0.0.1:0")
        self.address: str = self._master.greeting["listening"][0]
        agent = ["agent", "--id", "a", "--master", self.address, "--data", folder / "agent"]
        self._agent = Process(*agent, "--listen", "127.0.0.1:0", "--on-stop", "stop")
        until("the agent is registered", lambda: bool(self.ask("agents")))

    def _start_master(self, listen: str) -> Process:
        return Process("master", "--data", self._folder / "master", "--listen", listen, "--compat", "127.0.0.1:0")

    def ask(self, *words: str) -> Any:
        command = [binary(), "grid", *words, "--master", self.address, "--json"]
        done = subprocess.run(command, env=CLEAN, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    def node(self, name: str) -> Any:
        return next(node for node in self.ask("nodes") if node["name"] == name)

    def kill_node(self, name: str) -> None:
        os.kill(self.node(name)["pid"], signal.SIGKILL)

    def kill_master(self) -> None:
        self._master.kill()

    def restart_master(self) -> None:
        self._master = self._start_master(self.address)

    def end(self) -> None:
        # It stops its nodes.
        self._agent.terminate()
        self._master.kill()


def until(what: str, is_so: Any) -> None:
    end = monotonic() + PATIENCE_S
    while not is_so():
        assert monotonic() < end, f"waited in vain: {what}"
        sleep(0.02)
