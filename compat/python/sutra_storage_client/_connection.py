"""One blocking connection: one caller at a time, exact reads, and never past a deadline.

The socket doesn't block; waiting is one `poll` with the time that is left, so a peer that sends a byte now and then, or
a process that is interrupted by signals, gets no more time than a silent one. An exchange that ends in any exception
leaves the connection unfit for the next: its caller closes it.
"""

from __future__ import annotations

import select
import socket
from time import monotonic
from typing import TypeVar

from . import _address, _grid
from ._address import Address
from ._errors import ConnectionLost, ProtocolError, RequestTimeout
from ._frames import FrameReader
from ._pipeline import Pipeline

T = TypeVar("T")

_READ = select.POLLIN
_BOTH = select.POLLIN | select.POLLOUT


def _send(connected: socket.socket, data: bytes | memoryview) -> int:
    """Sends what fits now; 0 where nothing does."""
    try:
        return connected.send(data)
    except BlockingIOError:
        return 0


class Connection:
    """A connection to a server; `open` makes it."""

    __slots__ = ("__weakref__", "_address", "_poll", "_reader", "_socket")

    def __init__(self, address: Address) -> None:
        self._address = address
        self._socket: socket.socket | None = None

    def open(self, deadline: float) -> None:
        """Connects, trying what the name resolves to one after the other."""
        connected = self._connect(deadline)
        try:
            _address.prepare(connected)
            connected.setblocking(False)
        except BaseException:
            connected.close()
            raise
        self._poll = select.poll()
        self._poll.register(connected, _READ)
        self._reader = FrameReader()
        self._socket = connected

    def _connect(self, deadline: float) -> socket.socket:
        place = self._address if self._address.node is None else _grid.locate(self._address, deadline)
        host, port, path, _ = place
        if path is not None:
            targets = [(socket.AF_UNIX, path)]
        else:
            try:
                # No name server is asked for longer than the system's resolver allows; numbers are not asked for.
                found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError) as error:
                raise ConnectionLost(f"cannot find {self._address}: {error}") from error
            targets = [(family, address) for family, _, _, _, address in found]  # type: ignore[misc]
        problem: OSError | None = None
        for left, (family, target) in zip(range(len(targets), 0, -1), targets):
            remaining = deadline - monotonic()
            if remaining <= 0:
                break
            attempt = socket.socket(family, socket.SOCK_STREAM)
            try:
                # An address that doesn't answer leaves its share of the time to the others.
                attempt.settimeout(remaining / left)
                attempt.connect(target)
                return attempt
            except OSError as error:
                attempt.close()
                problem = error
            except BaseException:
                attempt.close()
                raise
        if problem is None or isinstance(problem, (TimeoutError, socket.timeout)):
            raise RequestTimeout(f"no connection to {self._address} in time") from problem
        raise ConnectionLost(f"cannot connect to {self._address}: {problem}") from problem

    def close(self) -> None:
        """Closes it; harmless when repeated."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    @property
    def is_usable(self) -> bool:
        """Whether it is open, and neither ended nor sent anything since its last exchange."""
        return self._socket is not None and self._reader.is_empty and not self._poll.poll(0)

    def exchange(self, frame: bytes, deadline: float) -> memoryview:
        """Sends a request and returns its reply's payload, readable until the next exchange."""
        connected = self._connected()
        try:
            sent = _send(connected, frame)
            if sent != len(frame):
                self._send_rest(connected, memoryview(frame)[sent:], deadline)
            while True:
                if not self._poll.poll(self._milliseconds(deadline)):
                    raise self._timeout()
                self._receive(connected)
                payload = self._reader.next()
                if payload is not None:
                    return payload
        except ConnectionLost:
            raise
        except OSError as error:
            raise self._broken(error) from error

    def _send_rest(self, connected: socket.socket, rest: memoryview, deadline: float) -> None:
        self._poll.modify(connected, select.POLLOUT)
        while rest:
            if not self._poll.poll(self._milliseconds(deadline)):
                raise self._timeout()
            rest = rest[_send(connected, rest) :]
        self._poll.modify(connected, _READ)

    def _receive(self, connected: socket.socket) -> None:
        try:
            received = connected.recv_into(self._reader.room())
        except BlockingIOError:  # what poll announces, the system may take back
            return
        if not received:
            raise ConnectionLost(f"{self._address} closed the connection before it answered")
        self._reader.advance(received)

    def pipeline(self, pipeline: Pipeline[T], timeout: float) -> None:
        """Sends and receives until all is answered; at most `timeout` seconds without a byte either way.

        Reads whenever there is something to read, so it can't happen that both sides wait for each other to read.
        """
        connected = self._connected()
        try:
            unsent = memoryview(pipeline.again())
            while True:
                unsent = unsent or memoryview(pipeline.refill())
                if not unsent and pipeline.is_done:
                    break
                self._poll.modify(connected, _BOTH if unsent else _READ)
                events = self._poll.poll(timeout * 1000)
                if not events:
                    raise self._timeout()
                ready = events[0][1]
                if ready & ~select.POLLOUT:
                    self._take_answers(connected, pipeline)
                if unsent and ready & select.POLLOUT:
                    unsent = unsent[_send(connected, unsent) :]
            self._poll.modify(connected, _READ)
        except ConnectionLost:
            raise
        except OSError as error:
            raise self._broken(error) from error

    def _take_answers(self, connected: socket.socket, pipeline: Pipeline[T]) -> None:
        self._receive(connected)
        while not pipeline.is_idle:
            payload = self._reader.next()
            if payload is None:
                return
            pipeline.take(payload)
        if not self._reader.is_empty:
            raise ProtocolError(f"{self._address} sent an answer that nothing asked for")

    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise ConnectionLost(f"the connection to {self._address} is closed")
        return self._socket

    def _milliseconds(self, deadline: float) -> float:
        remaining = deadline - monotonic()
        if remaining <= 0:
            raise self._timeout()
        return remaining * 1000

    def _timeout(self) -> RequestTimeout:
        return RequestTimeout(f"no answer from {self._address} in time")

    def _broken(self, error: OSError) -> ConnectionLost:
        return ConnectionLost(f"the connection to {self._address} broke: {error}")
