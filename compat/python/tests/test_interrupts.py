"""A caller's own exception, or cancellation, comes out of a call as it is, at once, and harms
nothing.

Every call here has far more time than a test may take: where an exception is swallowed, the test
ends by its timeout.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import random
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from peers import PATIENCE_S, Peer, answer_queries, asked, concept, exactly, peer, reset

from sutra_storage_client import (
    AsyncStorageClient,
    ConnectionLost,
    RequestTimeout,
    ServerError,
    StorageClient,
)

SOON_S = 0.05


class Mine(BaseException):
    """A program's own."""


class MyTimeout(TimeoutError):
    """A program's own, of a kind that sockets raise too."""


EXCEPTIONS: list[BaseException] = [
    *[
        TimeoutError("mine"),
        ConnectionError("mine"),
        BrokenPipeError("mine"),
        BlockingIOError("mine"),
    ],
    *[
        ConnectionResetError(104, "mine"),
        OSError(11, "mine"),
        MyTimeout("mine"),
        socket.gaierror(-2, "mine"),
    ],
    *[KeyboardInterrupt(), Mine("mine"), SystemExit(3), asyncio.CancelledError("mine")],
    *[
        ServerError("mine"),
        ConnectionLost("mine"),
        RequestTimeout("mine"),
        IndexError("mine"),
        ValueError("mine"),
    ],
]
IDS = [f"{type(error).__name__}-{len(error.args)}" for error in EXCEPTIONS]


@contextmanager
def interrupting(error: BaseException, handler: Any = None) -> Iterator[None]:
    """The main thread is interrupted soon, and again and again should that be for nothing."""

    def interrupt(number: int, frame: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise error

    previous = signal.signal(signal.SIGALRM, handler or interrupt)
    signal.setitimer(signal.ITIMER_REAL, SOON_S, SOON_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def silent(connection: socket.socket, number: int) -> None:
    """The first connection is never answered."""
    if number > 0:
        answer_queries(connection)
        return
    while exactly(connection, 1_000) is not None:
        pass


def comes_out(error: BaseException, call: Callable[[], object]) -> None:
    error.__traceback__ = error.__cause__ = error.__context__ = None
    with interrupting(error):
        try:
            call()
        except BaseException as raised:
            assert raised is error, raised
        else:
            raise AssertionError("the exception was swallowed")
    assert error.__cause__ is None and error.__context__ is None


@pytest.mark.parametrize("error", EXCEPTIONS, ids=IDS)
def test_a_handlers_exception_comes_out_of_a_call_that_waits_for_its_answer(
    error: BaseException,
) -> None:
    with (
        peer(silent) as server,
        StorageClient(server.address, timeout=PATIENCE_S, pool_size=1) as client,
    ):
        comes_out(error, lambda: client.query_concept("dog"))
        # While the exception, and with it every frame of the call, is still there.
        assert client.query_concept("cat") is not None
        assert server.connections == 2, "the interrupted connection is dropped"


@pytest.mark.parametrize(
    "error", [TimeoutError("mine"), BrokenPipeError(32, "mine"), ConnectionLost("mine")]
)
@pytest.mark.parametrize("method", ["query_many", "learn_many"])
def test_a_handlers_exception_comes_out_of_a_call_with_many_in_flight(
    error: Exception, method: str
) -> None:
    with (
        peer(silent) as server,
        StorageClient(server.address, timeout=PATIENCE_S, pool_size=1) as client,
    ):
        records: Any = ("x" * 50_000 for _ in range(1000))
        if method == "learn_many":
            records = ((name, name) for name in records)
        comes_out(error, lambda: getattr(client, method)(records))
        assert client.query_concept("cat") is not None


def test_a_handlers_exception_comes_out_of_the_callers_own_records() -> None:
    def slow() -> Iterator[str]:
        yield "dog"
        threading.Event().wait(PATIENCE_S)

    with (
        peer(silent) as server,
        StorageClient(server.address, timeout=PATIENCE_S, pool_size=1) as client,
    ):
        comes_out(TimeoutError("mine"), lambda: client.query_many(slow()))
        assert client.query_concept("cat") is not None


def full(opened: ExitStack) -> str:
    """An address that lets nobody in: the system leaves who connects without an answer."""
    listener = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
    for _ in range(4):
        waiting = opened.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(listener.getsockname())
    return f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("error", [TimeoutError("mine"), OSError(111, "mine"), KeyboardInterrupt()])
@pytest.mark.parametrize(
    "place", ["connects", "waits for a master", "tries again", "looks a name up"]
)
def test_a_handlers_exception_comes_out_of_a_client_that_is_being_made(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, place: str
) -> None:
    is_over = threading.Event()
    with ExitStack() as opened:
        if place == "connects":
            address = full(opened)
        elif place == "waits for a master":
            address = f"grid://{opened.enter_context(peer(silent)).address}/words"
        elif place == "tries again":
            with socket.create_server(("127.0.0.1", 0)) as closed:
                address = f"127.0.0.1:{closed.getsockname()[1]}"
        else:
            opened.callback(is_over.set)
            monkeypatch.setattr(
                socket, "getaddrinfo", lambda *_, **__: [is_over.wait(PATIENCE_S)] * 0
            )
            address = f"{type(error).__name__}.that.nobody.finds:1"
        comes_out(error, lambda: StorageClient(address, timeout=PATIENCE_S))


def test_a_handlers_exception_comes_out_of_a_call_that_waits_for_its_turn() -> None:
    is_held, is_over = threading.Event(), threading.Event()

    def script(connection: socket.socket, number: int) -> None:
        request = asked(connection)
        is_held.set()
        is_over.wait(PATIENCE_S)
        connection.sendall(concept(request["QueryConcept"]["concept_id"]))
        answer_queries(connection)

    with (
        peer(script) as server,
        StorageClient(server.address, timeout=PATIENCE_S, pool_size=1) as client,
    ):
        holder = threading.Thread(target=client.query_concept, args=("dog",))
        holder.start()
        assert is_held.wait(PATIENCE_S)
        comes_out(TimeoutError("mine"), lambda: client.query_concept("cat"))
        is_over.set()
        holder.join(PATIENCE_S)
        assert client.query_concept("cat") is not None
        assert server.connections == 1


@pytest.mark.parametrize("kind", ["method", "partial", "object"])
def test_handlers_of_every_kind_are_told_from_records_that_fail(kind: str) -> None:
    class Handler:
        def handle(self, number: int, frame: object) -> None:
            raise TimeoutError("mine")

        def __call__(self, number: int, frame: object) -> None:
            self.handle(number, frame)

    handlers = {
        "method": Handler().handle,
        "partial": functools.partial(Handler.handle, Handler()),
        "object": Handler(),
    }

    def slow() -> Iterator[str]:
        yield "dog"
        threading.Event().wait(PATIENCE_S)

    with peer(silent) as server, StorageClient(server.address, timeout=PATIENCE_S) as client:
        with interrupting(Mine(), handlers[kind]), pytest.raises(TimeoutError, match="mine"):
            client.query_many(slow())


def test_a_handler_may_use_the_client_that_it_interrupts() -> None:
    found: list[Any] = []
    with (
        peer(silent) as server,
        StorageClient(server.address, timeout=PATIENCE_S, pool_size=2) as client,
    ):

        def look(number: int, frame: object) -> None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            found.append(client.query_concept("cat"))
            raise TimeoutError("mine")

        with interrupting(Mine(), look), pytest.raises(TimeoutError, match="mine"):
            client.query_concept("dog")
        assert found == [client.query_concept("cat")]


@pytest.mark.skipif(
    sys.version_info < (3, 10),
    reason="the interpreter can be interrupted between a with and its lock",
)
# Where the interrupt hits between two steps, Python's own object for a socket may be the one that
# closes it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_thousand_interrupts_leave_the_pool_whole_and_mix_up_no_answers() -> None:
    chance = random.Random(3)
    kinds = (TimeoutError, BrokenPipeError, ConnectionLost, ServerError, IndexError, Mine)
    is_armed = False
    kept: list[BaseException] = []

    def interrupt(number: int, frame: object) -> None:
        nonlocal is_armed
        # Only calls are hit, not what this test does between them; again where Python ignored it,
        # as in a finalizer.
        if is_armed:
            raise chance.choice(kinds)("mine")

    previous = signal.signal(signal.SIGALRM, interrupt)
    try:
        with peer(lambda connection, _: answer_queries(connection)) as server:
            with StorageClient(server.address, timeout=PATIENCE_S, pool_size=2) as client:
                calls = 0
                for _ in range(1000):
                    try:
                        signal.setitimer(
                            signal.ITIMER_REAL, chance.uniform(0.000_01, 0.001), SOON_S
                        )
                        is_armed = True
                        while True:
                            calls += 1
                            found = client.query_concept(f"n{calls}")
                            assert found is not None and found["content"] == f"n{calls}"
                    except kinds as error:
                        is_armed = False
                        assert error.args == ("mine",), error
                        # With every frame that they came through.
                        kept.append(error)
                        del kept[:-20]
                barrier = threading.Barrier(2)

                def hold() -> Iterator[str]:
                    barrier.wait(PATIENCE_S)
                    yield "dog"

                holders = [
                    threading.Thread(target=client.query_many, args=(hold(),)) for _ in range(2)
                ]
                for holder in holders:
                    holder.start()
                for holder in holders:
                    holder.join(PATIENCE_S)
                assert not barrier.broken, "both connections can be had at the same time"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    # What Python says of sockets that it closed itself is said here.
    kept.clear()
    gc.collect()


def places(opened: ExitStack) -> dict[str, tuple[str, Peer | None]]:
    """Where a call of an asyncio client waits: addresses, and who is met there later."""
    quiet = opened.enter_context(peer(silent))
    master = opened.enter_context(peer(silent))
    broken = opened.enter_context(peer(lambda connection, _: reset(connection)))
    return {
        "answer": (quiet.address, quiet),
        "connect": (full(opened), None),
        "master": (f"grid://{master.address}/words", None),
        "retry": (broken.address, None),
    }


@pytest.mark.parametrize("way", ["cancel", "timeout", "wait_for"])
@pytest.mark.parametrize("place", ["answer", "connect", "master", "retry"])
def test_a_cancelled_call_ends_as_cancelled_wherever_it_waits(
    make_loop: Any, place: str, way: str
) -> None:
    async def main(address: str, server: Peer | None) -> None:
        async with AsyncStorageClient(address, timeout=PATIENCE_S, pool_size=1) as client:
            call = asyncio.ensure_future(client.query_concept("dog"))
            if way == "wait_for":
                with pytest.raises(asyncio.TimeoutError) as raised:
                    await asyncio.wait_for(call, SOON_S)
                assert not isinstance(raised.value, RequestTimeout)
            elif way == "timeout" and hasattr(asyncio, "timeout"):
                with pytest.raises(TimeoutError) as late:
                    async with asyncio.timeout(SOON_S):
                        await call
                assert not isinstance(late.value, RequestTimeout)
            else:
                await asyncio.sleep(SOON_S)
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
            assert call.cancelled()
            if server is not None:
                found = await client.query_concept("cat")
                assert found is not None and found["content"] == "cat"
                assert server.connections == 2

    with ExitStack() as opened:
        address, server = places(opened)[place]
        loop = make_loop()
        try:
            loop.run_until_complete(main(address, server))
            assert not asyncio.all_tasks(loop), "nothing goes on behind a cancelled call"
        finally:
            loop.close()


def test_a_call_cancelled_while_it_waits_for_its_turn_takes_nobody_elses(make_loop: Any) -> None:
    is_over = threading.Event()

    def script(connection: socket.socket, number: int) -> None:
        request = asked(connection)
        is_over.wait(PATIENCE_S)
        connection.sendall(concept(request["QueryConcept"]["concept_id"]))
        answer_queries(connection)

    async def main(address: str) -> None:
        async with AsyncStorageClient(address, timeout=PATIENCE_S, pool_size=1) as client:
            calls = [asyncio.ensure_future(client.query_concept(name)) for name in "abcdefgh"]
            await asyncio.sleep(SOON_S)
            for call in calls[1::2]:
                call.cancel()
            is_over.set()
            found = await asyncio.gather(*calls, return_exceptions=True)
            for number, (name, value) in enumerate(zip("abcdefgh", found)):
                if number % 2:
                    assert isinstance(value, asyncio.CancelledError)
                else:
                    assert isinstance(value, dict) and value["content"] == name
            assert await client.query_concept("z") is not None

    with peer(script) as server:
        loop = make_loop()
        loop.run_until_complete(main(server.address))
        loop.close()
        assert server.connections == 1
