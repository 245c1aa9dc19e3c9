"""The connections of one asyncio client, for any number of tasks of one event loop.

A connection belongs to the loop that made it. A client that is used in another loop (a second `asyncio.run`, a forked
worker) starts anew there and lets go of the old loop's connections.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque

from . import _fork
from ._address import Address
from ._async_connection import AsyncConnection
from ._errors import ClientClosed, RequestTimeout


class AsyncPool:
    """At most `size` connections to one server."""

    def __init__(self, address: Address, size: int) -> None:
        self._address = address
        self._size = size
        self._closed = False
        self._start(None)
        _fork.register(self)

    def _start(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._process = os.getpid()
        self._loop = loop
        self._idle: list[AsyncConnection] = []
        self._all: set[AsyncConnection] = set()
        # Tasks that wait, first come first served. Each is given a connection, or one that is still to be opened.
        self._waiting: deque[asyncio.Future[AsyncConnection]] = deque()

    def after_fork(self) -> None:
        """Closes this process's copies of the parent's connections and starts with none."""
        inherited = self._all
        self._start(None)
        for connection in inherited:
            connection.forget()

    async def acquire(self, deadline: float) -> AsyncConnection:
        """A connection for one exchange: an idle one, a new one, or one that another task gives back in time."""
        if self._process != os.getpid():
            self.after_fork()
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            others = self._all
            self._start(loop)
            for connection in others:
                connection.abort_from_elsewhere()
        while not self._closed:
            if self._idle:
                connection = self._idle.pop()
            elif len(self._all) < self._size:
                connection = self._place(loop)
            else:
                connection = await self._wait(loop, deadline)
            if connection.is_usable:
                return connection
            if connection.is_new:
                await self._open(connection, deadline)
                return connection
            self.discard(connection)
        raise ClientClosed("this client is closed")

    def _place(self, loop: asyncio.AbstractEventLoop) -> AsyncConnection:
        connection = AsyncConnection(self._address, loop)
        self._all.add(connection)
        return connection

    async def _open(self, connection: AsyncConnection, deadline: float) -> None:
        try:
            await connection.open(deadline)
        except BaseException:
            self.discard(connection)
            raise

    async def _wait(self, loop: asyncio.AbstractEventLoop, deadline: float) -> AsyncConnection:
        turn: asyncio.Future[AsyncConnection] = loop.create_future()
        timer = loop.call_at(deadline, self._expire, turn)
        self._waiting.append(turn)
        try:
            return await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                # Given a connection and cancelled at the same time.
                self.release(turn.result())
            raise
        finally:
            timer.cancel()

    def _expire(self, turn: asyncio.Future[AsyncConnection]) -> None:
        if not turn.done():
            busy = f"all {self._size} connections to {self._address} are busy (pool_size)"
            turn.set_exception(RequestTimeout(busy))

    def _next(self) -> asyncio.Future[AsyncConnection] | None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                return turn
        return None

    def release(self, connection: AsyncConnection) -> None:
        """Gives back a connection whose exchange is complete."""
        if self._closed or connection.loop is not self._loop:
            self.discard(connection)
            return
        turn = self._next()
        if turn is None:
            self._idle.append(connection)
        else:
            turn.set_result(connection)

    def discard(self, connection: AsyncConnection) -> None:
        """Ends a connection whose exchange was interrupted, so that nobody reads its late reply."""
        connection.abort()
        if connection not in self._all:
            return
        self._all.discard(connection)
        turn = self._next()
        if turn is not None:
            turn.set_result(self._place(connection.loop))

    def close(self) -> None:
        """Ends what is idle now and the rest as it is given back."""
        self._closed = True
        while self._idle:
            self.discard(self._idle.pop())
        turn = self._next()
        while turn is not None:
            turn.set_exception(ClientClosed("this client is closed"))
            turn = self._next()

    def abandon(self) -> None:
        """Ends everything, from any thread: nobody is left to use it."""
        for connection in self._all:
            connection.abort_from_elsewhere()
