"""A real grid: a master, agents and their storage nodes, all processes of the real binary."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
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
            command,
            env=CLEAN,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
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
    """A master and agents on folders below one."""

    def __init__(self, folder: Path, agents: Sequence[str] = ("a",)) -> None:
        self._folder = folder
        self._master = self._start_master("127.0.0.1:0")
        self.address: str = self._master.greeting["listening"][0]
        self._agents = [self._start_agent(agent) for agent in agents]
        until("the agents are registered", lambda: len(self.ask("agents")) == len(agents))

    def _start_agent(self, agent: str) -> Process:
        place = [
            "--master",
            self.address,
            "--data",
            self._folder / agent,
            "--listen",
            "127.0.0.1:0",
        ]
        return Process("agent", "--id", agent, *place, "--on-stop", "stop")

    def _start_master(self, listen: str) -> Process:
        return Process(
            "master",
            "--data",
            self._folder / "master",
            "--listen",
            listen,
            "--compat",
            "127.0.0.1:0",
        )

    def ask(self, *words: str) -> Any:
        command = [binary(), "grid", *words, "--master", self.address, "--json"]
        done = subprocess.run(
            command, env=CLEAN, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
        )
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
        # They stop their nodes.
        for agent in self._agents:
            agent.terminate()
        self._master.kill()


def until(what: str, is_so: Any) -> None:
    end = monotonic() + PATIENCE_S
    while not is_so():
        assert monotonic() < end, f"waited in vain: {what}"
        sleep(0.02)
