"""Framing: a big-endian `u32` length, then a msgpack payload. No I/O here.

Relies on nothing about how bytes arrive: one at a time, many frames at once. Never allocates what a
length claims, only up to twice what has arrived.
"""

from __future__ import annotations

from struct import Struct
from typing import Any

import msgpack

from ._errors import ProtocolError
from ._signals import is_a_handlers

# Either way: what the server takes, and what it sends. A prefix that claims more is not this
# protocol's (four bytes of text are a length above 500 MB).
MAX_MESSAGE = 16 * 1024 * 1024
# Holds nearly every reply; a larger one gets a buffer of its own for as long as it is read.
_CAPACITY = 64 * 1024

_LENGTH = Struct(">I")
_packb = msgpack.packb
_unpackb = msgpack.unpackb


def encode(request: Any) -> bytes:
    """One request as the bytes of its frame. Raises ValueError where the server would refuse its
    size."""
    try:
        payload: bytes = _packb(request)
    except OverflowError as error:
        raise ValueError(f"a number of the request is too large to be sent: {error}") from None
    length = len(payload)
    if length > MAX_MESSAGE:
        raise ValueError(
            f"the request is {length:,} bytes, and the server takes at most {MAX_MESSAGE:,} in one"
        )
    return _LENGTH.pack(length) + payload


def decode(payload: bytes | memoryview) -> Any:
    """The value in a reply's payload."""
    try:
        return _unpackb(payload)
    except (
        Exception
    ) as error:  # msgpack raises several unrelated classes for bytes that are not msgpack
        if is_a_handlers(error):
            raise
        raise ProtocolError(f"the reply is not msgpack: {error or type(error).__name__}") from None


class FrameReader:
    """Cuts received bytes into payloads. Bytes are received into `room()`, announced by
    `advance`, taken by `next`."""

    __slots__ = ("_buffer", "_end", "_start", "_view")

    def __init__(self) -> None:
        self._allocate(_CAPACITY)
        self._start = 0
        self._end = 0

    def _allocate(self, capacity: int) -> None:
        self._buffer = bytearray(capacity)
        self._view = memoryview(self._buffer)

    @property
    def is_empty(self) -> bool:
        """Whether no byte of a further frame has arrived."""
        return self._start == self._end

    def room(self) -> memoryview:
        """Where the next bytes go; never empty."""
        return self._view[self._end :]

    def advance(self, received: int) -> None:
        """Says how many bytes were put into `room()`."""
        self._end += received

    def next(self) -> memoryview | None:
        """The next whole payload, readable until `room()` is filled again, or None until more
        bytes have come."""
        start = self._start
        have = self._end - start
        if have < 4:
            self._make_room(4)
            return None
        (length,) = _LENGTH.unpack_from(self._buffer, start)
        if length > MAX_MESSAGE:
            prefix = bytes(self._view[start : start + 4])
            raise ProtocolError(
                f"the reply begins with {prefix!r}, a length of {length:,} bytes: "
                "is this address the compat port of a Sutra server?"
            )
        whole = 4 + length
        if have < whole:
            self._make_room(whole)
            return None
        payload = self._view[start + 4 : start + whole]
        if have == whole:
            self._start = self._end = 0
            if len(self._buffer) > _CAPACITY:
                # The payload keeps the large buffer alive for as long as it is read, and no longer.
                self._allocate(_CAPACITY)
        else:
            self._start = start + whole
        return payload

    def _make_room(self, whole: int) -> None:
        """Sees to it that a frame of so many bytes can go on arriving."""
        capacity = len(self._buffer)
        if self._start + whole <= capacity:
            return
        unread = self._view[self._start : self._end]
        if len(unread) == capacity:
            # Twice what has arrived, so that a peer that only claims a length costs nothing.
            self._allocate(min(whole, 2 * capacity))
        elif self._start == 0:
            return
        else:
            unread = memoryview(bytes(unread))
        self._view[: len(unread)] = unread
        self._start, self._end = 0, len(unread)
