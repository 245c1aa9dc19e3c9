"""The real server, started, killed and started again. `SUTRA_TEST_BINARY` names the binary."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from pathlib import Path

from peers import PATIENCE_S


def binary() -> Path:
    path = os.environ.get("SUTRA_TEST_BINARY")
    assert path, "SUTRA_TEST_BINARY names no binary: `cargo test --test behaviour python::` sets it"
    return Path(path)


class Server:
    """A server on a folder of its own. It keeps its port over a restart."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._folder = folder
        self._arguments = arguments
        self.address = "127.0.0.1:0"
        self.start()

    def start(self) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("SUTRA_")}
        command = [binary(), "serve", "--data", self._folder, "--cores", "2", "--no-pin"]
        command += ["--listen", "127.0.0.1:0", "--admin", "off"]
        command += ["--compat", self.address, *self._arguments]
        self._process = subprocess.Popen(
            command,
            env=clean,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        said = ""
        found = None
        for line in self._process.stdout:
            said += line
            found = found or re.match(r"\s*compat\S*\s+(\S+:\d+)", line)
            if found and "listening" in said:
                break
        assert found, f"the server ended before it listened: {said}"
        self.address = found.group(1)
        # Read to its end, so that the server never blocks on what nobody reads.
        self._drain = threading.Thread(target=self._process.stdout.read)
        self._drain.start()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE_S)
        self._drain.join(PATIENCE_S)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def restart(self) -> None:
        """`kill -9`, and a start on the same folder and port."""
        self.kill()
        self.start()
