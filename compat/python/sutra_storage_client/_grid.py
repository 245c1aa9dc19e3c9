"""Where a grid's storage node is: its master is asked whenever a connection is made, so a node that
was started again elsewhere is found.

What is said is the old grid's GetStorageNodeStatus in bincode, which both ports of a master
understand. A node that is being started is waited for, as long as the call may take. While no
master answers, a node stays where it was last.
"""

from __future__ import annotations

import socket
import struct
from time import monotonic

from . import _address, _dialing, _polling, _sockets
from ._address import Address
from ._errors import Late, Lost, ProtocolError, ServerError, Trouble
from ._frames import FrameReader
from ._steps import Pause, Ready, Steps

_STATUS, _ERROR = 5, 8
# How often the master is asked for a node that is on its way back, and the states that say so.
_AGAIN_S = 0.1
_COMING = frozenset({"starting", "crashed", "stopping"})
# How long a master may take before a node is looked for where it was last: this, or half of what
# the call has left.
_PATIENCE_S = 2.0

# Where each node was found last. As many entries as there are addresses in the process.
_last: dict[Address, Address] = {}


def _request(node: str) -> bytes:
    name = node.encode()
    payload = struct.pack("<IQ", _STATUS, len(name)) + name
    return struct.pack(">I", len(payload)) + payload


def _no_master(address: Address) -> ProtocolError:
    return ProtocolError(f"what answers for {address} is no grid's master")


class _Reply:
    """The fields of a bincode message, one after the other."""

    def __init__(self, address: Address, payload: bytes) -> None:
        self._address = address
        self._payload = payload
        self._at = 0

    def number(self, form: str) -> int:
        end = self._at + struct.calcsize(form)
        if end > len(self._payload):
            raise _no_master(self._address)
        (value,) = struct.unpack_from(form, self._payload, self._at)
        self._at = end
        return int(value)

    def text(self) -> str:
        length = self.number("<Q")
        raw = self._payload[self._at : self._at + length]
        if len(raw) != length:
            raise _no_master(self._address)
        self._at += length
        return raw.decode(errors="replace")


def _read(address: Address, payload: bytes) -> Address | None:
    """Where the node is; None where it is on its way back."""
    reply = _Reply(address, payload)
    variant = reply.number("<I")
    if variant == _ERROR:
        raise ServerError(f"{address}: {reply.text()}")
    if variant != _STATUS:
        raise _no_master(address)
    _, status = reply.text(), reply.text()
    reply.number("<I")
    endpoint = reply.text()
    if status in _COMING:
        return None
    if status != "running":
        raise ServerError(f"{address}: the node is {status}")
    found = _endpoint(endpoint)
    if found is None:
        raise ProtocolError(
            f"the master of {address} gives {endpoint!r} as the node's place, which is none"
        )
    _last[address] = found
    return found


def _endpoint(text: str) -> Address | None:
    try:
        found = _address.parse(text)
    except ValueError:
        return None
    return found if found.node is None else None


def connect(address: Address, deadline: float) -> Steps[socket.socket]:
    """A socket connected to the server of this address, which is asked for where it is a grid's
    node."""
    place = address
    if address.node is not None:
        place = yield from _locate(address, deadline)
    return (yield from _dialing.dial(place, address, deadline))


def _locate(address: Address, deadline: float) -> Steps[Address]:
    """Where the node is now."""
    while True:
        last = _last.get(address)
        left = deadline - monotonic()
        # The last known place has its share of the time, however long the master is silent.
        patience = min(_PATIENCE_S, left if last is None else left / 2)
        payload = yield from _try_to_ask(address, monotonic() + patience)
        if isinstance(payload, Trouble):
            if last is not None:
                return last
            kind = Late if monotonic() >= deadline else Lost
            raise kind(f"the grid's master can't be asked for {address}: {payload}", payload.cause)
        found = _read(address, payload)
        if found is not None:
            return found
        again = monotonic() + _AGAIN_S
        if again >= deadline:
            raise Late(f"{address} was not running again in time")
        yield Pause(again)


def _try_to_ask(address: Address, until: float) -> Steps[bytes | Trouble]:
    try:
        return (yield from _ask(address, until))
    except Trouble as trouble:
        return trouble.with_traceback(None)


def _ask(address: Address, until: float) -> Steps[bytes]:
    """The master's answer; `until` holds however its bytes trickle."""
    master = yield from _dialing.dial(Address(address.host, address.port), address, until)
    try:
        unsent = _request(address.node or "")
        reader = FrameReader()
        payload = None
        while payload is None:
            if monotonic() >= until or not (
                yield Ready(master, _polling.WRITE if unsent else _polling.READ, until)
            ):
                raise Late(f"no answer from {address.host}:{address.port} in time")
            if unsent:
                unsent = unsent[_sockets.send(master, unsent, address) :]
            elif _sockets.receive(master, reader, address):
                payload = _next(address, reader)
        return payload
    finally:
        master.close()


def _next(address: Address, reader: FrameReader) -> bytes | None:
    try:
        payload = reader.next()
    except ProtocolError:
        raise _no_master(address) from None
    return None if payload is None else bytes(payload)
