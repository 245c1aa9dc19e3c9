"""One connection of the asyncio client: frames in and out of an event loop's transport, one caller at a time."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Callable, TypeVar

from . import _address, _grid
from ._address import Address
from ._errors import ConnectionLost, ProtocolError, RequestTimeout
from ._frames import FrameReader
from ._pipeline import Pipeline

T = TypeVar("T")


class AsyncConnection(asyncio.BufferedProtocol):
    """A connection to a server; `open` makes it. What a transport buffers is bounded by what one caller sends: one
    request, or one window of a pipeline."""

    def __init__(self, address: Address, loop: asyncio.AbstractEventLoop) -> None:
        self._address = address
        self._loop = loop
        self._reader = FrameReader()
        # Who reads the next payload; None where none is expected.
        self._receive: Callable[[memoryview], None] | None = None
        # What a caller waits for: any progress.
        self._progress: asyncio.Future[None] | None = None
        self._lost: Exception | None = None
        self._socket: socket.socket | None = None
        self._transport: asyncio.Transport | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that it lives in."""
        return self._loop

    @property
    def is_new(self) -> bool:
        """Whether it is still to be opened."""
        return self._transport is None and self._lost is None

    @property
    def is_usable(self) -> bool:
        """Whether it is open, and neither ended nor sent anything since its last exchange."""
        transport = self._transport
        return transport is not None and self._lost is None and not transport.is_closing()

    async def open(self, deadline: float) -> None:
        """Connects, trying what the name resolves to one after the other. `deadline` is in the loop's time."""
        try:
            await asyncio.wait_for(self._connect(deadline), max(0.0, deadline - self._loop.time()))
        except (asyncio.TimeoutError, TimeoutError) as error:
            raise RequestTimeout(f"no connection to {self._address} in time") from error
        except (OSError, UnicodeError) as error:
            raise ConnectionLost(f"cannot connect to {self._address}: {error}") from error

    async def _connect(self, deadline: float) -> None:
        place = self._address
        if place.node is not None:
            place = await _grid.locate_async(place, deadline)
        host, port, path, _ = place
        targets: list[tuple[int, Any]] = [(socket.AF_UNIX, path)]
        if path is None:
            found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            targets = [(family, address) for family, _, _, _, address in found]
        problem: Exception | None = None
        for left, (family, target) in zip(range(len(targets), 0, -1), targets):
            # An address that doesn't answer leaves its share of the time to the others.
            share = max(0.0, deadline - self._loop.time()) / left
            attempt = socket.socket(family, socket.SOCK_STREAM)
            try:
                attempt.setblocking(False)
                await asyncio.wait_for(self._loop.sock_connect(attempt, target), share)
                _address.prepare(attempt)
                await self._loop.create_connection(lambda: self, sock=attempt)
                self._socket = attempt
                return
            except (OSError, asyncio.TimeoutError) as error:
                attempt.close()
                problem = error
            except BaseException:
                attempt.close()
                raise
        raise problem or OSError("the name has no address")

    def abort(self) -> None:
        """Ends the connection at once, from its loop's thread or after its loop was closed."""
        if self._lost is None:
            self._lost = ConnectionLost(f"the connection to {self._address} is closed")
        if self._transport is not None and not self._loop.is_closed():
            self._transport.abort()
        elif self._socket is not None:
            self._socket.close()

    def abort_from_elsewhere(self) -> None:
        """The same from any thread, and from a finalizer."""
        try:
            self._loop.call_soon_threadsafe(self.abort)
        except RuntimeError:  # the loop is closed
            self.abort()

    def forget(self) -> None:
        """Closes a forked child's copy of the socket, and touches nothing that the parent shares."""
        self._lost = ConnectionLost(f"the connection to {self._address} belongs to the parent process")
        if self._socket is not None:
            self._socket.close()

    async def exchange(self, frame: bytes, deadline: float) -> bytes:
        """Sends a request and returns its reply's payload. `deadline` is in the loop's time."""
        replies: list[bytes] = []

        def receive(payload: memoryview) -> None:
            replies.append(bytes(payload))
            self._receive = None

        self._receive = receive
        self._write(frame)
        while not replies:
            await self._wait(deadline)
        return replies[0]

    async def pipeline(self, pipeline: Pipeline[T], timeout: float) -> None:
        """Sends and receives until all is answered; at most `timeout` seconds without an answer."""

        def receive(payload: memoryview) -> None:
            if pipeline.is_idle:
                raise ProtocolError(f"{self._address} sent an answer that nothing asked for")
            pipeline.take(payload)

        self._receive = receive
        again = pipeline.again()
        if again:
            self._write(again)
        while True:
            batch = pipeline.refill()
            if batch:
                self._write(batch)
                # Other tasks have their turn between two batches.
                await asyncio.sleep(0)
            elif pipeline.is_done:
                break
            else:
                await self._wait(self._loop.time() + timeout)
        self._receive = None

    def _write(self, data: bytes) -> None:
        if self._lost is not None or self._transport is None:
            raise self._lost or ConnectionLost(f"the connection to {self._address} is closed")
        self._transport.write(data)

    async def _wait(self, deadline: float) -> None:
        """Returns when something has been received; raises what ended the connection, or that time is up."""
        if self._lost is not None:
            raise self._lost
        progress = self._progress = self._loop.create_future()
        timer = self._loop.call_at(deadline, self._expire, progress)
        try:
            await progress
        finally:
            timer.cancel()
            self._progress = None

    def _expire(self, progress: asyncio.Future[None]) -> None:
        if not progress.done():
            progress.set_exception(RequestTimeout(f"no answer from {self._address} in time"))

    def _end(self, error: Exception) -> None:
        if self._lost is None:
            self._lost = error
        if self._progress is not None and not self._progress.done():
            self._progress.set_exception(self._lost)

    # ---- called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._reader.room()

    def buffer_updated(self, nbytes: int) -> None:
        self._reader.advance(nbytes)
        try:
            while True:
                payload = self._reader.next()
                if payload is None:
                    break
                if self._receive is None:
                    raise ProtocolError(f"{self._address} sent an answer that nothing asked for")
                self._receive(payload)
        except ProtocolError as error:
            self._end(error)
            self.abort()
            return
        if self._progress is not None and not self._progress.done():
            self._progress.set_result(None)

    def eof_received(self) -> None:
        self._end(ConnectionLost(f"{self._address} closed the connection before it answered"))

    def connection_lost(self, error: Exception | None) -> None:
        self._end(ConnectionLost(f"the connection to {self._address} broke: {error or 'closed'}"))
