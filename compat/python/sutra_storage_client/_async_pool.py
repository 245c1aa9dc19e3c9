"""The connections of one asyncio client, for any number of tasks.

A connection belongs to the event loop that made it, so each loop has its own: a second
`asyncio.run`, a loop in another thread, a forked worker. When a loop ends its connections are
closed: at once where it ends as `asyncio.run` does, and otherwise when the client is next used.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator
from time import monotonic

from . import _fork
from ._address import Address
from ._async_connection import AsyncConnection
from ._errors import ClientClosed, Late, ServerError


class AsyncPool:
    """At most `size` connections to one server in each loop."""

    def __init__(self, address: Address, size: int) -> None:
        self._address = address
        self._size = size
        self._closed = False
        self._start()
        _fork.register(self)

    def _start(self) -> None:
        self._process = os.getpid()
        self._loops: dict[asyncio.AbstractEventLoop, LoopPool] = {}

    def after_fork(self) -> None:
        """Closes this process's copies of the parent's connections and starts with none."""
        inherited = list(self._loops.values())
        self._start()
        for pool in inherited:
            pool.forget()

    async def here(self) -> LoopPool:
        """The connections of the running loop."""
        if self._process != os.getpid():
            self.after_fork()
        if self._closed:
            raise ClientClosed("this client is closed")
        loop = asyncio.get_running_loop()
        pool = self._loops.get(loop)
        if pool is None:
            self._drop_ended()
            pool = self._loops[loop] = LoopPool(self._address, self._size, loop)
            await pool.watch()
        return pool

    def _drop_ended(self) -> None:
        for loop in list(self._loops):
            if loop.is_closed():
                self._loops.pop(loop).abandon()

    def close(self) -> None:
        """Ends what is idle now and the rest as it is given back."""
        self._closed = True
        for loop, pool in list(self._loops.items()):
            if loop is asyncio.get_running_loop() or loop.is_closed():
                pool.close()
            else:
                try:
                    loop.call_soon_threadsafe(pool.close)
                except RuntimeError:  # closed just now
                    pool.close()

    def abandon(self) -> None:
        """Ends everything, from any thread: nobody is left to use it."""
        for pool in list(self._loops.values()):
            pool.abandon()


class LoopPool:
    """The connections of one loop, used in its thread."""

    def __init__(self, address: Address, size: int, loop: asyncio.AbstractEventLoop) -> None:
        self._address = address
        self._size = size
        self._loop = loop
        self._closed = False
        self._idle: list[AsyncConnection] = []
        self._all: set[AsyncConnection] = set()
        # Tasks that wait, first come first served. Each is given a connection, or one that is still
        # to be opened.
        self._waiting: deque[asyncio.Future[AsyncConnection]] = deque()
        # When a request was sent that got no answer. A connection that was last heard before that
        # may be dead, too.
        self._silent_since = 0.0
        self._end: AsyncGenerator[None, None] | None = None

    async def watch(self) -> None:
        """Has the connections closed when the loop ends: that is when it closes the generators
        that run in it."""
        self._end = self._until_the_end()
        await self._end.__anext__()

    async def _until_the_end(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self.close()
            for connection in list(self._all):
                connection.abort()

    async def acquire(self, deadline: float) -> AsyncConnection:
        """A connection for one exchange: an idle one, a new one, or one that another task gives
        back in time."""
        while not self._closed:
            if self._idle:
                connection = self._idle.pop()
            elif len(self._all) < self._size:
                connection = self._place()
            else:
                connection = await self._wait(deadline)
            if connection.is_new:
                await self._open(connection, deadline)
                return connection
            if connection.heard >= self._silent_since and connection.is_usable:
                return connection
            self.discard(connection)
        raise ClientClosed("this client is closed")

    def _place(self) -> AsyncConnection:
        connection = AsyncConnection(self._address, self._loop)
        self._all.add(connection)
        return connection

    async def _open(self, connection: AsyncConnection, deadline: float) -> None:
        try:
            await connection.open(deadline)
        except BaseException:
            self.discard(connection)
            raise

    async def _wait(self, deadline: float) -> AsyncConnection:
        turn: asyncio.Future[AsyncConnection] = self._loop.create_future()
        timer = self._loop.call_later(max(0.0, deadline - monotonic()), self._expire, turn)
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
            turn.set_exception(
                Late(f"all {self._size} connections to {self._address} are busy (pool_size)")
            )

    def _next(self) -> asyncio.Future[AsyncConnection] | None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                return turn
        return None

    def release(self, connection: AsyncConnection) -> None:
        """Gives back a connection whose exchange is complete, or one that was not used."""
        if self._closed or not (connection.is_usable or connection.is_new):
            self.discard(connection)
            return
        turn = self._next()
        if turn is None:
            self._idle.append(connection)
        else:
            turn.set_result(connection)

    def failed(self, connection: AsyncConnection, error: BaseException) -> None:
        """Gives back a connection after what came instead of an answer."""
        if isinstance(error, ServerError) and connection.is_at_rest:
            # A refusal is an answer: the connection is good.
            self.release(connection)
            return
        if isinstance(error, Late):
            self._silent_since = max(self._silent_since, connection.asked)
        self.discard(connection)

    def discard(self, connection: AsyncConnection) -> None:
        """Ends a connection whose exchange was interrupted, so that nobody reads its late reply."""
        connection.abort()
        if connection not in self._all:
            return
        self._all.discard(connection)
        turn = None if self._closed else self._next()
        if turn is not None:
            turn.set_result(self._place())

    def close(self) -> None:
        """Ends what is idle now and the rest as it is given back."""
        self._closed = True
        while self._idle:
            self.discard(self._idle.pop())
        while (turn := self._next()) is not None:
            turn.set_exception(ClientClosed("this client is closed"))

    def abandon(self) -> None:
        """Ends everything, from any thread."""
        for connection in list(self._all):
            connection.abort_from_elsewhere()

    def forget(self) -> None:
        """Closes a forked child's copies of the sockets."""
        for connection in list(self._all):
            connection.forget()
