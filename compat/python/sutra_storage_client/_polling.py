"""Waiting for one socket of the blocking client: `poll`, or `select` where there is no `poll`.

eventlet takes `select.poll` away and gives a `select.select` of its own. Both are looked up when
they are used, so a program may patch the standard library before or after it imports this package.
"""

from __future__ import annotations

import select
import socket
from typing import Any, Protocol

READ: int = getattr(select, "POLLIN", 1)
WRITE: int = getattr(select, "POLLOUT", 4)


class _Select:
    """The part of `select.poll` that one socket needs, by `select.select`."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._wanted = 0

    def register(self, connected: socket.socket, wanted: int) -> None:
        self._socket, self._wanted = connected, wanted

    modify = register

    def poll(self, milliseconds: float) -> list[tuple[int, int]]:
        connected = self._socket
        assert connected is not None, "a socket is registered before it is waited for"
        read = [connected] if self._wanted & READ else []
        write = [connected] if self._wanted & WRITE else []
        readable, writable, _ = select.select(read, write, [], milliseconds / 1000)
        ready = (READ if readable else 0) | (WRITE if writable else 0)
        return [(connected.fileno(), ready)] if ready else []


class Poller(Protocol):
    """What waits for the one socket that it was made for."""

    def modify(self, connected: socket.socket, wanted: int, /) -> Any:
        """Waits for this from now on."""

    def poll(self, milliseconds: float, /) -> list[tuple[int, int]]:
        """What the socket is ready for, within this time."""


def poller(connected: socket.socket, wanted: int) -> Poller:
    """Waits for this socket."""
    new = select.poll() if hasattr(select, "poll") else _Select()
    new.register(connected, wanted)
    return new
