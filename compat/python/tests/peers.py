"""Peers that misbehave, and clients of both kinds to meet them.

A peer is a listening socket of a script's: what a broken, slow or foreign server would do. What our
own server does is tested against the real one.
"""

from __future__ import annotations

import asyncio
import inspect
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable

import msgpack
import uvloop

from sutra_storage_client import AsyncStorageClient, StorageClient

# No wait in these tests is longer, whatever goes wrong.
PATIENCE_S = 30.0


def frame(value: Any) -> bytes:
    payload = msgpack.packb(value)
    return struct.pack(">I", len(payload)) + payload


def concept(content: str) -> bytes:
    """The answer to a query that found this."""
    fields = {
        "found": True,
        "concept_id": "00" * 16,
        "content": content,
        "strength": 1.0,
        "confidence": 1.0,
    }
    return frame({"QueryConceptOk": fields})


def asked(connection: socket.socket) -> Any:
    """The next request, or None at the end of the connection."""
    prefix = exactly(connection, 4)
    if prefix is None:
        return None
    payload = exactly(connection, struct.unpack(">I", prefix)[0])
    return None if payload is None else msgpack.unpackb(payload)


def exactly(connection: socket.socket, count: int) -> bytes | None:
    data = b""
    while len(data) < count:
        try:
            more = connection.recv(count - len(data))
        except ConnectionError:
            return None
        if not more:
            return None
        data += more
    return data


def answer_queries(connection: socket.socket) -> None:
    """Behaves: every query finds its own id as content."""
    while (request := asked(connection)) is not None:
        connection.sendall(concept(request["QueryConcept"]["concept_id"]))


def reset(connection: socket.socket) -> None:
    """Ends a connection with a reset instead of an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Peer:
    """Runs `script(connection, number)` for every connection, numbered from 0."""

    def __init__(
        self, script: Callable[[socket.socket, int], None], listener: socket.socket | None = None
    ) -> None:
        self.connections = 0
        self.errors: list[BaseException] = []
        self._script = script
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._listener = listener or socket.create_server(("127.0.0.1", 0))
        self._acceptor = threading.Thread(target=self._accept)
        self._acceptor.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE_S)
            self._sockets.append(connection)
            thread = threading.Thread(target=self._run, args=(connection, self.connections))
            self.connections += 1
            self._threads.append(thread)
            thread.start()

    def _run(self, connection: socket.socket, number: int) -> None:
        try:
            with connection:
                self._script(connection, number)
        except (ConnectionError, OSError):
            pass  # the client hung up, as it may
        except BaseException as error:
            self.errors.append(error)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(PATIENCE_S)
        for connection in self._sockets:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "a peer's script hangs"
        assert not self.errors, self.errors


@contextmanager
def peer(
    script: Callable[[socket.socket, int], None], listener: socket.socket | None = None
) -> Iterator[Peer]:
    running = Peer(script, listener)
    try:
        yield running
    finally:
        running.close()


class OnLoop:
    """An `AsyncStorageClient` with a loop of its own, called like a `StorageClient`."""

    new_loop: Callable[[], asyncio.AbstractEventLoop] = staticmethod(asyncio.new_event_loop)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # First what may be refused.
        self.client = AsyncStorageClient(*arguments, **options)
        self.loop = self.new_loop()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)
        assert inspect.iscoroutinefunction(method), name
        return lambda *arguments, **options: self.loop.run_until_complete(
            method(*arguments, **options)
        )

    def __enter__(self) -> OnLoop:
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.run_until_complete(self.client.close())
        self.loop.close()


class OnUvloop(OnLoop):
    """The same on a loop of uvloop's."""

    new_loop = staticmethod(uvloop.new_event_loop)


KINDS = {"blocking": StorageClient, "asyncio": OnLoop, "uvloop": OnUvloop}
