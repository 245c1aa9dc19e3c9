"""Where a server is: `host:port`, `[ipv6]:port`, `host`, `unix:/path`, or
`grid://host:port/node`."""

from __future__ import annotations

import os
import socket
import sys
from typing import NamedTuple

DEFAULT_PORT = 50051
# A grid's master's.
GRID_PORT = 7001
_GRID = "grid://"
# What a system's socket address holds, before the zero at its end.
_UNIX_PATH_BYTES = 107 if sys.platform == "linux" else 103


class Address(NamedTuple):
    """A TCP endpoint; where `path` is set a unix socket; where `node` is set that node of the
    grid whose master is at the endpoint."""

    host: str
    port: int
    path: str | None = None
    node: str | None = None

    def __str__(self) -> str:
        if self.node is not None:
            return f"{_GRID}{Address(self.host, self.port)}/{self.node}"
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(text: str) -> Address:
    """Reads an address; raises ValueError with the form that was wanted."""
    if not isinstance(text, str):
        raise TypeError(
            f"a server address is a string such as 'localhost:{DEFAULT_PORT}', "
            f"not {type(text).__name__}"
        )
    if text.startswith("unix:"):
        # gRPC's spelling has two slashes before the path.
        path = text[len("unix:") :]
        path = path[2:] if path.startswith("//") else path
        if not path:
            raise ValueError(f"{text!r} names no path: write 'unix:/path/of/the.socket'")
        if len(os.fsencode(path)) > _UNIX_PATH_BYTES or "\0" in path:
            raise ValueError(
                f"{text!r} is no path of a socket: write one of at most {_UNIX_PATH_BYTES} bytes"
            )
        return Address("", 0, path)
    if text.startswith(_GRID):
        master, _, node = text[len(_GRID) :].partition("/")
        if not node or "/" in node:
            raise ValueError(f"{text!r} names no node: write '{_GRID}host:{GRID_PORT}/NODE'")
        return _endpoint(master, GRID_PORT)._replace(node=node)
    return _endpoint(text, DEFAULT_PORT)


def _endpoint(text: str, default_port: int) -> Address:
    if "://" in text or "/" in text:
        raise ValueError(
            f"{text!r} is not an address of this protocol: "
            "write 'host:port', without scheme or path"
        )
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r} does not end its '[': write '[::1]:{default_port}'")
        port = rest[1:] if rest else str(default_port)
    elif text.count(":") > 1:
        raise ValueError(
            f"{text!r} has several colons: "
            f"write an IPv6 address in brackets, '[::1]:{default_port}'"
        )
    else:
        host, colon, port = text.partition(":")
        port = port if colon else str(default_port)
    if not host:
        raise ValueError(f"{text!r} names no host: write 'localhost:{default_port}'")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(
            f"{text!r} has no valid port: write a number from 1 to 65535 after the colon"
        )
    return Address(host, int(port))


# A peer that vanished without a word (a NAT that forgot, a host that lost power) is noticed on idle
# connections too: after a minute of silence the kernel asks, and gives up after three unanswered
# questions.
_KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))


def prepare(connected: socket.socket) -> None:
    """Sets what every connection of this package wants."""
    if connected.family == socket.AF_UNIX:
        return
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
