"""One blocking connection: one caller at a time, exact reads, and never past a deadline.

The socket doesn't block; waiting is one `poll` with the time that is left, so a peer that sends a
byte now and then, or a process that is interrupted by signals, gets no more time than a silent one.
An exchange that ends in any exception leaves the connection unfit for the next: it is not at rest,
and its caller closes it.
"""

from __future__ import annotations

import socket
from time import monotonic
from typing import TypeVar

from . import _grid, _polling, _steps
from ._address import Address
from ._errors import Late, Lost, ProtocolError
from ._frames import FrameReader
from ._pipeline import Pipeline
from ._polling import READ, WRITE, Poller
from ._sockets import receive, send

T = TypeVar("T")


class Connection:
    """A connection to a server; `open` makes it."""

    __slots__ = (
        "__weakref__",
        "_address",
        "_poll",
        "_reader",
        "_socket",
        "asked",
        "heard",
        "holder",
        "is_at_rest",
    )

    def __init__(self, address: Address) -> None:
        self._address = address
        self._socket: socket.socket | None = None
        # Whether every request has its answer: only then may the next caller have it.
        self.is_at_rest = False
        # The call that has it, known to the pool.
        self.holder: object = None
        # When the last exchange began, and when the server last answered.
        self.asked = 0.0
        self.heard = 0.0

    def __del__(self) -> None:
        # An interrupt may have left it with no owner, or half opened.
        if getattr(self, "_socket", None) is not None:
            self.close()

    def open(self, deadline: float) -> None:
        """Connects, trying what the name resolves to one after the other."""
        connected = _steps.run(_grid.connect(self._address, deadline))
        self._socket = connected
        self._poll: Poller = _polling.poller(connected, READ)
        self._reader = FrameReader()
        self.heard = monotonic()
        self.is_at_rest = True

    def close(self) -> None:
        """Closes it; harmless when repeated."""
        self.is_at_rest = False
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    @property
    def is_new(self) -> bool:
        """Whether it is still to be opened."""
        return self._socket is None

    @property
    def is_usable(self) -> bool:
        """Whether it is open, and neither ended nor sent anything since its last exchange."""
        return self.is_at_rest and self._reader.is_empty and not self._poll.poll(0)

    def exchange(self, frame: bytes, deadline: float) -> memoryview:
        """Sends a request and returns its reply's payload, readable until the next exchange."""
        connected = self._connected()
        self.is_at_rest = False
        self.asked = now = monotonic()
        sent = send(connected, frame, self._address)
        if sent != len(frame):
            self._send_rest(connected, memoryview(frame)[sent:], deadline)
            now = monotonic()
        while True:
            if now >= deadline or not self._poll.poll((deadline - now) * 1000):
                raise self._late()
            if receive(connected, self._reader, self._address):
                payload = self._reader.next()
                if payload is not None:
                    self.heard = monotonic()
                    self.is_at_rest = True
                    return payload
            now = monotonic()

    def _send_rest(self, connected: socket.socket, rest: memoryview, deadline: float) -> None:
        self._poll.modify(connected, WRITE)
        while rest:
            now = monotonic()
            if now >= deadline or not self._poll.poll((deadline - now) * 1000):
                raise self._late()
            rest = rest[send(connected, rest, self._address) :]
        self._poll.modify(connected, READ)

    def pipeline(self, pipeline: Pipeline[T], timeout: float) -> None:
        """Sends and receives until all is answered; at most `timeout` seconds of waiting for each
        answer.

        Reads whenever there is something to read, so it can't happen that both sides wait for each
        other to read.
        """
        connected = self._connected()
        self.is_at_rest = False
        self.asked = monotonic()
        left = timeout
        unsent = memoryview(pipeline.again())
        while True:
            unsent = unsent or memoryview(pipeline.refill())
            if not unsent and pipeline.is_done:
                break
            # A child that the caller's records forked has no connection.
            connected = self._connected()
            self._poll.modify(connected, READ | WRITE if unsent else READ)
            # What the caller's records take is not the server's time.
            began = monotonic()
            events = self._poll.poll(left * 1000)
            if not events:
                raise self._late()
            ready = events[0][1]
            answered = pipeline.answered
            if ready & ~WRITE:
                self._take_answers(connected, pipeline)
            if unsent and ready & WRITE:
                unsent = unsent[send(connected, unsent, self._address) :]
            now = monotonic()
            if pipeline.answered > answered:
                left = timeout
                self.heard = self.asked = now
            else:
                left = max(0.0, left - (now - began))
        self._poll.modify(connected, READ)
        self.is_at_rest = True

    def _take_answers(self, connected: socket.socket, pipeline: Pipeline[T]) -> None:
        receive(connected, self._reader, self._address)
        while not pipeline.is_idle:
            payload = self._reader.next()
            if payload is None:
                return
            pipeline.take(payload)
        if not self._reader.is_empty:
            raise ProtocolError(f"{self._address} sent an answer that nothing asked for")

    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise Lost(f"the connection to {self._address} is closed")
        return self._socket

    def _late(self) -> Late:
        return Late(f"no answer from {self._address} in time")
