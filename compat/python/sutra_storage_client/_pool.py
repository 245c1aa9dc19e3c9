"""The connections of one blocking client, for any number of threads.

Taking and giving back an idle connection is one step of a list each, without a lock; the lock is for opening, closing
and waiting. The most recently used connection goes first, so a quiet client keeps few of them busy. Where threads wait,
a connection that is given back goes to the one that has waited longest, and not to whoever asks first. A connection
that the server has closed, as a restarted one has, is found when it is taken and replaced.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from time import monotonic
from weakref import WeakSet

from . import _fork
from ._address import Address
from ._connection import Connection
from ._errors import ClientClosed, RequestTimeout


class _Turn:
    """A thread that waits, and what it is given: a connection, or one that is still to be opened."""

    __slots__ = ("connection", "given")

    def __init__(self) -> None:
        self.given = threading.Event()
        self.connection: Connection | None = None


class Pool:
    """At most `size` connections to one server."""

    def __init__(self, address: Address, size: int) -> None:
        self._address = address
        self._size = size
        self._closed = False
        self._start()
        _fork.register(self)

    def _start(self) -> None:
        self._process = os.getpid()
        self._idle: list[Connection] = []
        # Weak, so that a connection that an interrupt took out of everybody's hands does not count for ever.
        self._all: WeakSet[Connection] = WeakSet()
        self._waiting: deque[_Turn] = deque()
        self._lock = threading.Lock()

    def after_fork(self) -> None:
        """Closes this process's copies of the parent's connections and starts with none."""
        inherited = list(self._all)
        self._start()
        for connection in inherited:
            connection.close()

    def acquire(self, deadline: float) -> Connection:
        """A connection for one exchange: an idle one, a new one, or one that another thread gives back in time."""
        if self._process != os.getpid():
            self.after_fork()
        while not self._closed:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._open_or_wait(deadline)
            if connection.is_usable:
                return connection
            self.discard(connection)
        raise ClientClosed("this client is closed")

    def _open_or_wait(self, deadline: float) -> Connection:
        turn: _Turn | None = None
        with self._lock:
            if len(self._all) < self._size:
                connection = Connection(self._address)
                self._all.add(connection)
            else:
                turn = _Turn()
                self._waiting.append(turn)
        if turn is not None:
            self._hand_over()  # what was given back before this turn was there to see
            connection = self._wait(turn, deadline)
        try:
            if not connection.is_usable:
                connection.close()
                connection.open(deadline)
        except BaseException:
            self.discard(connection)
            raise
        return connection

    def _wait(self, turn: _Turn, deadline: float) -> Connection:
        try:
            turn.given.wait(max(0.0, deadline - monotonic()))
        except BaseException:
            self._leave(turn)
            if turn.connection is not None:
                self.release(turn.connection)
            raise
        self._leave(turn)
        if turn.connection is None:
            if self._closed:
                raise ClientClosed("this client is closed")
            raise RequestTimeout(f"all {self._size} connections to {self._address} are busy (pool_size)")
        return turn.connection

    def _leave(self, turn: _Turn) -> None:
        """From here on nobody gives this turn anything; what it was given until now is its own."""
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)

    def release(self, connection: Connection) -> None:
        """Gives back a connection whose exchange is complete."""
        self._idle.append(connection)
        if self._waiting:
            self._hand_over()
        if self._closed:
            self._close_idle()

    def _hand_over(self) -> None:
        with self._lock:
            while self._waiting:
                try:
                    connection = self._idle.pop()
                except IndexError:
                    return
                self._give(connection)

    def _give(self, connection: Connection) -> None:
        turn = self._waiting.popleft()
        turn.connection = connection
        turn.given.set()

    def discard(self, connection: Connection) -> None:
        """Closes a connection whose exchange was interrupted, so that nobody reads its late reply."""
        connection.close()
        with self._lock:
            self._all.discard(connection)
            if self._waiting and not self._closed:
                place = Connection(self._address)
                self._all.add(place)
                self._give(place)

    def close(self) -> None:
        """Closes what is idle now and the rest as it is given back."""
        self._closed = True
        with self._lock:
            while self._waiting:
                self._waiting.popleft().given.set()
        self._close_idle()

    def _close_idle(self) -> None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return
            self.discard(connection)
