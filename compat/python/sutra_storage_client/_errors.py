"""What a call can raise.

Each exception is also the built-in one that code written for the earlier clients catches: `RuntimeError` for what the
server answers, `ConnectionError` for a server that is gone. A timeout is both a `TimeoutError` and, because the call's
connection is dropped and the server may or may not have done the work, a `ConnectionError`.
"""

from __future__ import annotations


class SutraError(Exception):
    """Everything that this package raises of its own; wrong arguments are `TypeError` and `ValueError` as ever."""


class ServerError(SutraError, RuntimeError):
    """The server understood the request and refused it; its message says why. The connection goes on.

    `index` is the position of the refused item in a `…_many` call, otherwise None.
    """

    index: int | None = None


class ConnectionLost(SutraError, ConnectionError):
    """The server can't be reached, or went away during the call and all the retries."""


class RequestTimeout(ConnectionLost, TimeoutError):
    """No answer within `timeout`. The server may still do what was asked; the late answer is thrown away."""


class ProtocolError(SutraError, RuntimeError):
    """What came back is not an answer of a Sutra server's compat port: the address may be that of something else."""


class ClientClosed(SutraError, RuntimeError):
    """The client was used after `close()`."""
