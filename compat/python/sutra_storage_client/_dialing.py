"""How a connection is made: the steps from an address to a connected socket, none of which
blocks."""

from __future__ import annotations

import errno
import os
import socket
from time import monotonic
from typing import Any

from . import _address, _names, _polling, _sockets
from ._address import Address
from ._errors import Late, Lost
from ._steps import Done, Ready, Steps


def dial(place: Address, named: Address, deadline: float) -> Steps[socket.socket]:
    """A socket connected to `place`, trying what its name resolves to one after the other.
    Errors call it `named`."""
    targets: list[tuple[int, Any]] = [(socket.AF_UNIX, place.path)]
    if place.path is None:
        targets = yield from _resolve(place, named, deadline)
    problem: OSError | None = None
    for left, (family, target) in zip(range(len(targets), 0, -1), targets):
        now = monotonic()
        if now >= deadline:
            break
        # An address that doesn't answer leaves its share of the time to the others.
        attempt = _sockets.new(family)
        if isinstance(attempt, OSError):
            problem = attempt
            continue
        code = None
        try:
            code = yield from _connect(attempt, target, now + (deadline - now) / left)
        finally:
            # Refused, late, or interrupted.
            if code != 0:
                attempt.close()
        if code == 0:
            return attempt
        problem = None if code is None else OSError(code, os.strerror(code))
    if problem is None:
        raise Late(f"no connection to {named} in time")
    raise Lost(f"cannot connect to {named}: {problem}", problem)


def _resolve(place: Address, named: Address, deadline: float) -> Steps[list[tuple[int, Any]]]:
    if _names.is_ipv4(place.host):
        return [(socket.AF_INET, (place.host, place.port))]
    lookup = _names.find(place.host, place.port)
    if not lookup.done() and not (yield Done(lookup, deadline)):
        raise Late(f"the name of {named} was not found in time")
    problem = lookup.exception()
    if isinstance(problem, OSError):
        raise Lost(f"cannot find {named}: {problem}", problem.with_traceback(None))
    if problem is not None:
        raise ValueError(f"{place.host!r} can't be the name of a host: {problem}")
    return [(family, address) for family, _, _, _, address in lookup.result()]


def _connect(attempt: socket.socket, target: Any, until: float) -> Steps[int | None]:
    """Zero, the system's number for what went wrong, or None when time was up."""
    _address.prepare(attempt)
    attempt.setblocking(False)
    code = attempt.connect_ex(target)
    if code == errno.EINPROGRESS:
        if not (yield Ready(attempt, _polling.WRITE, until)):
            return None
        code = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    is_tcp = attempt.family != socket.AF_UNIX
    if code == 0 and is_tcp and attempt.getsockname()[:2] == target[:2]:
        # Where nobody listens on a port of the system's own range, a socket can be given that port
        # and meet itself.
        return errno.ECONNREFUSED
    return code
