"""Many requests in flight on one connection: what is sent next, what is unanswered, what to send
again. No I/O here.

Replies come in the order of the requests, so after a lost connection exactly the unanswered ones
are sent again (only repeatable requests are pipelined). The window bounds what is in flight, and
with it the memory of both sides.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from ._errors import ServerError
from ._requests import Call
from ._signals import is_a_handlers

T = TypeVar("T")

# Enough requests for the server to fill its group commits, and no more of the caller's records in
# memory than this.
_WINDOW_REQUESTS = 1024
_WINDOW_BYTES = 2 * 1024 * 1024
# One write: large enough that its system call does not count, small enough that the first requests
# leave soon.
_BATCH_BYTES = 128 * 1024


class Pipeline(Generic[T]):
    """The state of one `…_many` call."""

    def __init__(self, calls: Iterator[Call[T]]) -> None:
        self._calls: Iterator[Call[T]] | None = calls
        self._unanswered: deque[Call[T]] = deque()
        self._unanswered_bytes = 0
        self._results: list[Any] = []
        self._failure: Exception | None = None

    @property
    def answered(self) -> int:
        """How many requests have their answer."""
        return len(self._results)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to send or to wait for."""
        return self._calls is None and not self._unanswered

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in flight: there is no answer to wait for."""
        return not self._unanswered

    def again(self) -> bytes:
        """What a new connection is sent first: the unanswered requests, in their order."""
        return b"".join(call.frame for call in self._unanswered)

    def refill(self) -> bytes:
        """The next requests to send, or nothing: the window is more than half full, or no
        records are left."""
        # Half a window at a time: answers that come one by one must not make requests that go one
        # by one.
        if (
            len(self._unanswered) > _WINDOW_REQUESTS // 2
            or self._unanswered_bytes > _WINDOW_BYTES // 2
        ):
            return b""
        batch: list[bytes] = []
        size = 0
        while (
            self._calls is not None
            and size < _BATCH_BYTES
            and len(self._unanswered) < _WINDOW_REQUESTS
        ):
            try:
                call = next(self._calls, None)
            except Exception as error:  # the caller's iterable, or a record that can't be encoded
                if is_a_handlers(error):
                    raise
                self._stop(error)
                break
            if call is None:
                self._calls = None
                break
            batch.append(call.frame)
            size += len(call.frame)
            self._unanswered.append(call)
        self._unanswered_bytes += size
        return b"".join(batch)

    def take(self, payload: memoryview) -> None:
        """Reads the answer to the first unanswered request."""
        call = self._unanswered[0]
        try:
            result: Any = call.decode(payload)
        except ServerError as error:
            if is_a_handlers(error):
                raise
            error.index = len(self._results)
            self._stop(error)
            # Its place in the results is never seen: the call raises.
            result = None
        self._unanswered.popleft()
        self._unanswered_bytes -= len(call.frame)
        self._results.append(result)

    def _stop(self, error: Exception) -> None:
        """Sends nothing more; what is in flight is still waited for, so that the connection can
        be used again."""
        self._calls = None
        if self._failure is None:
            self._failure = error

    def finish(self) -> list[T]:
        """The results in the order of the records; raises what stopped the call early."""
        if self._failure is not None:
            raise self._failure
        return self._results
