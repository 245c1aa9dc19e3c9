"""Names of hosts, looked up in threads: the system's resolver can't be interrupted, and may take
longer than a call.

A name that is being looked up is not looked up again beside it, so a resolver that hangs holds one
thread a name.
"""

from __future__ import annotations

import socket
import threading
from concurrent.futures import Future
from typing import Any

from . import _fork


class _Lookups:
    """Those that are under way in this process."""

    def __init__(self) -> None:
        self.after_fork()
        _fork.register(self)

    def after_fork(self) -> None:
        """The threads are the parent's."""
        self._running: dict[tuple[str, int], Future[Any]] = {}

    def find(self, host: str, port: int) -> Future[Any]:
        """The lookup of this name: the one that is running, or a new one."""
        running = self._running.get((host, port))
        if running is not None and not running.done():
            return running
        lookup: Future[Any] = Future()
        lookup.set_running_or_notify_cancel()
        thread = threading.Thread(
            target=_look_up, args=(lookup, host, port), daemon=True, name="sutra-name"
        )
        try:
            thread.start()
        except (
            RuntimeError
        ):  # no more threads, or the interpreter ends: the resolver keeps its own time
            _look_up(lookup, host, port)
        # Last: a thread that an interrupt kept from starting is not waited for by the next call.
        self._running[host, port] = lookup
        return lookup


def is_ipv4(host: str) -> bool:
    """Whether nobody has to be asked, not even the system. By comparing alone: nothing in here
    can be interrupted."""
    parts = host.split(".")
    return len(parts) == 4 and all(
        part.isascii() and part.isdigit() and int(part[:4]) < 256 for part in parts
    )


def _look_up(lookup: Future[Any], host: str, port: int) -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        lookup.set_exception(error)
    except BaseException as error:
        lookup.set_exception(OSError(f"the resolver failed: {error!r}"))
        raise
    else:
        lookup.set_result(found)


find = _Lookups().find
