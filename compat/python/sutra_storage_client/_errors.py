"""What a call can raise.

Each exception is also the built-in one that code written for the earlier clients catches:
`RuntimeError` for what the server answers, `ConnectionError` for a server that is gone. A timeout
is both a `TimeoutError` and, because the call's connection is dropped and the server may or may not
have done the work, a `ConnectionError`.

What is below the clients raises `Lost` and `Late` instead of `ConnectionLost` and `RequestTimeout`.
Nobody else does, so an exception that a caller's signal handler raises in the middle of a call is
never taken for one of them.
"""

from __future__ import annotations


class SutraError(Exception):
    """Everything that this package raises of its own; wrong arguments are `TypeError` and
    `ValueError` as ever."""


class ServerError(SutraError, RuntimeError):
    """The server understood the request and refused it; its message says why. The connection goes
    on.

    `index` is the position of the refused item in a `…_many` call, otherwise None.
    """

    index: int | None = None


class ConnectionLost(SutraError, ConnectionError):
    """The server can't be reached, or went away during the call and all the retries."""


class RequestTimeout(ConnectionLost, TimeoutError):
    """No answer within `timeout`. The server may still do what was asked; the late answer is
    thrown away."""


class ProtocolError(SutraError, RuntimeError):
    """What came back is not an answer of a Sutra server's compat port: the address may be that
    of something else."""


class ClientClosed(SutraError, RuntimeError):
    """The client was used after `close()`."""


class Trouble(Exception):
    """No answer, inside of this package. `cause` is what the system said, where it said
    something."""

    def __init__(self, message: str, cause: OSError | None = None) -> None:
        super().__init__(message)
        self.cause = cause

    def told(self) -> ConnectionLost:
        """As the caller is told."""
        return self._told(ConnectionLost)

    def _told(self, kind: type[ConnectionLost]) -> ConnectionLost:
        error = kind(str(self))
        error.__cause__ = self.cause
        return error


class Lost(Trouble):
    """There is no connection, or it ended: the call can be tried again."""


class Late(Trouble):
    """The call's time is up."""

    def told(self) -> ConnectionLost:
        return self._told(RequestTimeout)
