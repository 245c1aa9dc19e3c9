"""Where a grid's storage node is: its master is asked whenever a connection is made, so a node that was started again elsewhere is found.

What is said is the old grid's GetStorageNodeStatus in bincode, which both ports of a master understand. A node that is being started is waited for, as
long as the call may take. While no master answers, a node stays where it was last.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from time import monotonic

from . import _address
from ._address import Address
from ._errors import ConnectionLost, ProtocolError, RequestTimeout, ServerError

_STATUS, _ERROR = 5, 8
_MAX_REPLY = 1 << 20
# How often the master is asked for a node that is on its way back, and the states that say so.
_AGAIN_S = 0.1
_COMING = frozenset({"starting", "crashed", "stopping"})
# How long a master may take before a node is looked for where it was last.
_PATIENCE_S = 2.0

# Where each node was found last. As many entries as there are addresses in the process.
_last: dict[Address, Address] = {}


def _request(node: str) -> bytes:
    name = node.encode()
    payload = struct.pack("<IQ", _STATUS, len(name)) + name
    return struct.pack(">I", len(payload)) + payload


class _Reply:
    """The fields of a bincode message, one after the other."""

    def __init__(self, address: Address, payload: bytes) -> None:
        self._address = address
        self._payload = payload
        self._at = 0

    def number(self, form: str) -> int:
        try:
            (value,) = struct.unpack_from(form, self._payload, self._at)
        except struct.error as error:
            raise self._wrong() from error
        self._at += struct.calcsize(form)
        return int(value)

    def text(self) -> str:
        length = self.number("<Q")
        raw = self._payload[self._at : self._at + length]
        if len(raw) != length:
            raise self._wrong()
        self._at += length
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise self._wrong() from error

    def _wrong(self) -> ProtocolError:
        return ProtocolError(f"what answers for {self._address} is no grid's master")


def _read(address: Address, payload: bytes) -> Address | None:
    """Where the node is; None where it is on its way back."""
    reply = _Reply(address, payload)
    variant = reply.number("<I")
    if variant == _ERROR:
        raise ServerError(f"{address}: {reply.text()}")
    if variant != _STATUS:
        raise ProtocolError(f"what answers for {address} is no grid's master")
    _, status = reply.text(), reply.text()
    reply.number("<I")
    endpoint = reply.text()
    if status in _COMING:
        return None
    if status != "running":
        raise ServerError(f"{address}: the node is {status}")
    found = _address.parse(endpoint)
    _last[address] = found
    return found


def _check(address: Address, prefix: bytes) -> int:
    (length,) = struct.unpack(">I", prefix)
    if length > _MAX_REPLY:
        raise ProtocolError(f"what answers for {address} is no grid's master")
    return int(length)


def _else_last(address: Address, error: Exception) -> Address:
    """Where the node was last, where the master can't be asked."""
    last = _last.get(address)
    if last is None:
        raise ConnectionLost(f"the grid's master can't be asked for {address}: {error}") from error
    return last


def _pause(address: Address, remaining: float) -> float:
    if remaining <= _AGAIN_S:
        raise RequestTimeout(f"{address} was not running again in time")
    return _AGAIN_S


def locate(address: Address, deadline: float) -> Address:
    """Where the node is now. `deadline` is in `monotonic()`."""
    while True:
        patience = min(_PATIENCE_S, deadline - monotonic())
        try:
            payload = _ask(address, max(0.001, patience))
        except (OSError, UnicodeError) as error:
            return _else_last(address, error)
        found = _read(address, payload)
        if found is not None:
            return found
        time.sleep(_pause(address, deadline - monotonic()))


def _ask(address: Address, patience: float) -> bytes:
    with socket.create_connection((address.host, address.port), timeout=patience) as master:
        master.sendall(_request(address.node or ""))
        return _exactly(master, _check(address, _exactly(master, 4)))


def _exactly(master: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = master.recv(count - len(data))
        if not more:
            raise ConnectionError("the master closed the connection")
        data += more
    return data


async def locate_async(address: Address, deadline: float) -> Address:
    """The same in an event loop; `deadline` is in the loop's time."""
    loop = asyncio.get_running_loop()
    while True:
        patience = min(_PATIENCE_S, deadline - loop.time())
        try:
            payload = await asyncio.wait_for(_ask_async(address), max(0.001, patience))
        except (OSError, UnicodeError, asyncio.TimeoutError, asyncio.IncompleteReadError) as error:
            return _else_last(address, error)
        found = _read(address, payload)
        if found is not None:
            return found
        await asyncio.sleep(_pause(address, deadline - loop.time()))


async def _ask_async(address: Address) -> bytes:
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        writer.write(_request(address.node or ""))
        return await reader.readexactly(_check(address, await reader.readexactly(4)))
    finally:
        writer.close()
