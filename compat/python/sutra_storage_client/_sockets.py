"""Non-blocking sockets, and whose an exception is. No waiting here: that is each client's own.

Relies on the sockets of `socket`, or on what eventlet and gevent put in their place: one that
doesn't block is never waited for, so what it raises is the system's word, or it was raised by a
signal handler that ran meanwhile.
"""

from __future__ import annotations

import socket

from ._address import Address
from ._errors import Lost
from ._frames import FrameReader

# A program that takes SIGPIPE, as command line tools do, is not ended by a server that went away.
_QUIETLY: int = getattr(socket, "MSG_NOSIGNAL", 0)


def new(family: int) -> socket.socket | OSError:
    """A socket, or why there is none: no descriptor is left, or the host knows no such family."""
    try:
        return socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        if not _is_of(socket.socket, error):
            raise
        return error.with_traceback(None)


def send(connected: socket.socket, data: bytes | bytearray | memoryview, address: Address) -> int:
    """Sends what fits now; 0 where nothing does."""
    try:
        return connected.send(data, _QUIETLY)
    except OSError as error:
        if not _is_of(type(connected), error):
            raise
        problem = error
    if isinstance(problem, BlockingIOError):
        return 0
    raise Lost(f"the connection to {address} broke: {problem}", problem)


def receive(connected: socket.socket, reader: FrameReader, address: Address) -> bool:
    """Takes what has arrived; False where nothing has."""
    try:
        received = connected.recv_into(reader.room())
    except OSError as error:
        if not _is_of(type(connected), error):
            raise
        problem = error
    else:
        if not received:
            raise Lost(f"{address} closed the connection before it answered")
        reader.advance(received)
        return True
    if isinstance(problem, BlockingIOError):
        return False
    raise Lost(f"the connection to {address} broke: {problem}", problem)


def _is_of(kind: type, error: OSError) -> bool:
    """Whether the system call raised this, and not a signal handler of the caller's that ran beside
    it.

    The system's error has its number, and was raised where the socket was called or in the socket's
    own module.
    """
    innermost = error.__traceback__
    if error.errno is None or innermost is None:
        return False
    while innermost.tb_next is not None:
        innermost = innermost.tb_next
    return innermost.tb_frame.f_globals.get("__name__") in (__name__, kind.__module__)
