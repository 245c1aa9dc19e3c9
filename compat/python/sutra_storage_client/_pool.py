"""The connections of one blocking client, for any number of threads.

The most recently used connection goes first, so a quiet client keeps few of them busy. Where
threads wait, a connection that is given back goes to the one that has waited longest, and not to
whoever asks first. A connection that the server has closed, as a restarted one has, is found when
it is taken and replaced.

A signal handler may raise anywhere in here. So every connection knows who holds it: the call that
was interrupted gives back what it held, and what nobody holds is closed. And who waits looks around
now and then. (Python 3.9 can be interrupted between a `with` and its lock; from 3.10 on it can't.)
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
from ._errors import ClientClosed, Late, ServerError

# How long a thread waits before it looks around by itself: only where an interrupt kept another
# from telling it.
_LOOK_S = 0.1


class _Turn:
    """A thread that waits, and what it is given: a connection, or one that is still to be
    opened."""

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
        # Weak: a connection that an interrupt has left with no owner does not count for ever.
        self._all: WeakSet[Connection] = WeakSet()
        self._waiting: deque[_Turn] = deque()
        # When a request was sent that got no answer. A connection that was last heard before that
        # may be dead, too.
        self._silent_since = 0.0
        # A signal handler may use the client that it interrupts.
        self._lock = threading.RLock()

    def after_fork(self) -> None:
        """Closes this process's copies of the parent's connections and starts with none."""
        inherited = list(self._all)
        self._start()
        for connection in inherited:
            connection.close()

    def acquire(self, holder: object, deadline: float) -> Connection:
        """A connection for one exchange: an idle one, a new one, or one that another thread
        gives back in time."""
        if self._process != os.getpid():
            self.after_fork()
        while not self._closed:
            connection = self._take(holder) or self._wait(holder, deadline)
            if connection.is_new:
                connection.open(deadline)
                return connection
            if self._is_good(connection):
                return connection
            with self._lock:
                self._end(connection)
        raise ClientClosed("this client is closed")

    def _is_good(self, connection: Connection) -> bool:
        return connection.heard >= self._silent_since and connection.is_usable

    def _take(self, holder: object) -> Connection | None:
        """An idle connection, or one that is still to be opened where there is room for it."""
        with self._lock:
            if self._idle:
                connection = self._idle.pop()
            elif len(self._all) < self._size:
                connection = self._place()
            else:
                return None
            connection.holder = holder
            return connection

    def _place(self) -> Connection:
        connection = Connection(self._address)
        self._all.add(connection)
        return connection

    def _wait(self, holder: object, deadline: float) -> Connection:
        turn = _Turn()
        try:
            with self._lock:
                self._waiting.append(turn)
            while True:
                with self._lock:
                    self._hand_over()
                if turn.connection is not None:
                    break
                if self._closed:
                    raise ClientClosed("this client is closed")
                left = deadline - monotonic()
                if left <= 0:
                    raise Late(
                        f"all {self._size} connections to {self._address} are busy (pool_size)"
                    )
                turn.given.wait(min(left, _LOOK_S))
            connection = turn.connection
            connection.holder = holder
            return connection
        except BaseException:
            # From here on this turn is given nothing. A connection that it was given before goes to
            # the next turn.
            with self._lock:
                if turn in self._waiting:
                    self._waiting.remove(turn)
            if turn.connection is not None:
                self.release(turn.connection)
            raise

    def _hand_over(self) -> None:
        """Gives those who wait what there is, with the lock held."""
        while self._waiting and (self._idle or len(self._all) < self._size):
            turn = self._waiting[0]
            if turn.connection is None:
                connection = self._idle.pop() if self._idle else self._place()
                connection.holder = turn
                turn.connection = connection
            self._waiting.popleft()
            turn.given.set()

    def release(self, connection: Connection) -> None:
        """Gives back a connection whose exchange is complete."""
        with self._lock:
            connection.holder = None
            if self._closed or not connection.is_at_rest:
                self._end(connection)
            else:
                self._idle.append(connection)
                if self._waiting:
                    self._hand_over()

    def failed(self, holder: object, error: BaseException) -> None:
        """Takes from a call what it has, after it got this instead of an answer: closed, so that
        nobody reads what may come late."""
        with self._lock:
            for connection in list(self._all):
                if connection.holder is holder:
                    self._take_back(connection, error)
                elif connection.holder is None and connection not in self._idle:
                    # An interrupt came while it was handed over.
                    self._end(connection)

    def _take_back(self, connection: Connection, error: BaseException) -> None:
        if isinstance(error, ServerError) and connection.is_at_rest:
            # A refusal is an answer: the connection is good.
            self.release(connection)
            return
        if isinstance(error, Late):
            self._silent_since = max(self._silent_since, connection.asked)
        self._end(connection)

    def _end(self, connection: Connection) -> None:
        connection.close()
        connection.holder = None
        self._all.discard(connection)
        if not self._closed:
            self._hand_over()

    def close(self) -> None:
        """Closes what is idle now and the rest as it is given back."""
        self._closed = True
        with self._lock:
            for turn in self._waiting:
                turn.given.set()
            while self._idle:
                self._end(self._idle.pop())
