"""One connection of the asyncio client: frames in and out of a socket that an event loop watches,
one caller at a time.

The socket is this connection's own and no transport's, so it can be closed when its loop is closed
already.
"""

from __future__ import annotations

import asyncio
import socket
from time import monotonic
from typing import Callable, TypeVar

from . import _grid, _steps
from ._address import Address
from ._errors import Late, Lost, ProtocolError, Trouble
from ._frames import FrameReader
from ._pipeline import Pipeline
from ._sockets import receive, send

T = TypeVar("T")


class AsyncConnection:
    """A connection to a server; `open` makes it. What it keeps unsent is bounded by what one
    caller sends: one request, or one window of a pipeline."""

    def __init__(self, address: Address, loop: asyncio.AbstractEventLoop) -> None:
        self._address = address
        self._loop = loop
        self._reader = FrameReader()
        self._unsent = bytearray()
        # Who reads the next payload; None where none is expected.
        self._receive: Callable[[memoryview], None] | None = None
        # What a caller waits for: any progress.
        self._progress: asyncio.Future[bool] | None = None
        self._problem: Exception | None = None
        self._socket: socket.socket | None = None
        # Whether every request has its answer: only then may the next caller have it.
        self.is_at_rest = False
        # When the last exchange began, and when the server last answered.
        self.asked = 0.0
        self.heard = 0.0

    @property
    def is_new(self) -> bool:
        """Whether it is still to be opened."""
        return self._socket is None and self._problem is None

    @property
    def is_usable(self) -> bool:
        """Whether it is open, and neither ended nor sent anything since its last exchange."""
        return self.is_at_rest and self._problem is None and self._reader.is_empty

    async def open(self, deadline: float) -> None:
        """Connects, trying what the name resolves to one after the other."""
        self._socket = await _steps.run_async(_grid.connect(self._address, deadline))
        # The descriptor and not the socket: a loop may keep a socket that it watches from closing.
        self._loop.add_reader(self._socket.fileno(), self._on_readable)
        self.heard = monotonic()
        self.is_at_rest = True

    def abort(self) -> None:
        """Ends the connection at once, in its loop's thread or after its loop was closed."""
        connected, self._socket = self._socket, None
        self._end(Lost(f"the connection to {self._address} is closed"))
        if connected is None:
            return
        if not self._loop.is_closed():
            self._loop.remove_reader(connected.fileno())
            self._loop.remove_writer(connected.fileno())
        connected.close()

    def abort_from_elsewhere(self) -> None:
        """The same from any thread, and from a finalizer."""
        if asyncio._get_running_loop() is self._loop:
            self.abort()
            return
        try:
            self._loop.call_soon_threadsafe(self.abort)
        except RuntimeError:  # the loop is closed
            self.abort()

    def forget(self) -> None:
        """Closes a forked child's copy of the socket, and touches nothing that the parent
        shares."""
        self._end(Lost(f"the connection to {self._address} belongs to the parent process"))
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def exchange(self, frame: bytes, deadline: float) -> bytes:
        """Sends a request and returns its reply's payload."""
        replies: list[bytes] = []

        def take(payload: memoryview) -> None:
            replies.append(bytes(payload))
            self._receive = None

        self._begin(take)
        self._write(frame)
        while not replies:
            await self._wait(deadline)
        self._rest()
        return replies[0]

    async def pipeline(self, pipeline: Pipeline[T], timeout: float) -> None:
        """Sends and receives until all is answered; at most `timeout` seconds of waiting for
        each answer."""

        def take(payload: memoryview) -> None:
            if pipeline.is_idle:
                raise ProtocolError(f"{self._address} sent an answer that nothing asked for")
            pipeline.take(payload)

        self._begin(take)
        self._write(pipeline.again())
        left = timeout
        while True:
            batch = pipeline.refill()
            if batch:
                self._write(batch)
                # Other tasks have their turn between two batches.
                await asyncio.sleep(0)
                continue
            if pipeline.is_done:
                break
            # What the caller's records and other tasks take is not the server's time.
            began = monotonic()
            answered = pipeline.answered
            await self._wait(began + left)
            now = monotonic()
            if pipeline.answered > answered:
                left = timeout
                self.asked = now
            else:
                left = max(0.0, left - (now - began))
        self._rest()

    def _begin(self, take: Callable[[memoryview], None]) -> None:
        self.is_at_rest = False
        self.asked = monotonic()
        self._receive = take

    def _rest(self) -> None:
        self._receive = None
        self.heard = monotonic()
        self.is_at_rest = True

    def _write(self, data: bytes) -> None:
        connected = self._connected()
        if self._unsent:
            self._unsent += data
            return
        sent = send(connected, data, self._address) if data else 0
        if sent < len(data):
            self._unsent += memoryview(data)[sent:]
            self._loop.add_writer(connected.fileno(), self._on_writable)

    def _connected(self) -> socket.socket:
        if self._problem is not None:
            raise self._problem
        if self._socket is None:
            raise Lost(f"the connection to {self._address} is closed")
        return self._socket

    async def _wait(self, deadline: float) -> None:
        """Returns when something has happened; raises what ended the connection before, or that
        time is up."""
        self._connected()
        progress = self._progress = self._loop.create_future()
        timer = self._loop.call_later(max(0.0, deadline - monotonic()), self._expire, progress)
        try:
            happened = await progress
        finally:
            timer.cancel()
            self._progress = None
        if not happened:
            raise Late(f"no answer from {self._address} in time")

    def _expire(self, progress: asyncio.Future[bool]) -> None:
        # A loop that was held up may have the timer before the answer that is there.
        self._on_readable()
        if not progress.done():
            progress.set_result(False)

    def _end(self, problem: Exception) -> None:
        self.is_at_rest = False
        if self._problem is None:
            self._problem = problem.with_traceback(None)
        self._move()

    def _move(self) -> None:
        if self._progress is not None and not self._progress.done():
            self._progress.set_result(True)

    # ---- called by the event loop

    def _on_readable(self) -> None:
        if self._socket is None:
            return
        try:
            if not receive(self._socket, self._reader, self._address):
                return
            while (payload := self._reader.next()) is not None:
                if self._receive is None:
                    raise ProtocolError(f"{self._address} sent an answer that nothing asked for")
                self._receive(payload)
        except (Trouble, ProtocolError) as problem:
            self._fail(problem)
        except BaseException:
            # A signal handler raised this. Nobody knows where the stream was interrupted.
            self._fail(Lost(f"the connection to {self._address} was interrupted"))
            raise
        else:
            self._move()

    def _on_writable(self) -> None:
        if self._socket is None:
            return
        try:
            del self._unsent[: send(self._socket, self._unsent, self._address)]
        except Trouble as problem:
            self._fail(problem)
        except BaseException:
            self._fail(Lost(f"the connection to {self._address} was interrupted"))
            raise
        else:
            if not self._unsent:
                self._loop.remove_writer(self._socket.fileno())

    def _fail(self, problem: Exception) -> None:
        self._end(problem)
        self.abort()
