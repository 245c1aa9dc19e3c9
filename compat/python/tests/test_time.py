"""A call ends within its time, whatever is slow; and uses all of it where there is still hope."""

from __future__ import annotations

import asyncio
import math
import socket
import struct
import threading
import time
import traceback
from typing import Any

import pytest
from peers import PATIENCE_S, OnLoop, answer_queries, asked, concept, exactly, frame, peer, reset

from sutra_storage_client import (
    ClientClosed,
    ConnectionLost,
    ProtocolError,
    RequestTimeout,
    ServerError,
    StorageClient,
    SutraError,
    _dialing,
    _retry,
    _sockets,
    _steps,
)
from sutra_storage_client._address import Address
from sutra_storage_client._errors import Lost


class Trickle:
    """Sends a byte now and then, and knows whether it came to the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.is_whole = False

    def __call__(self, connection: socket.socket, number: int) -> None:
        exactly(connection, 4)
        for byte in self._data:
            connection.sendall(bytes([byte]))
            time.sleep(0.01)
        self.is_whole = True


def located(status: str, endpoint: str) -> bytes:
    """A master's word on a node."""

    def packed(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    payload = (
        struct.pack("<I", 5)
        + packed("node")
        + packed(status)
        + struct.pack("<I", 1)
        + packed(endpoint)
    )
    return struct.pack(">I", len(payload)) + payload


class Master:
    """Says where the node is for as long as it is well; then it is silent, or trickles."""

    def __init__(self, endpoint: str, trickles: bool = False) -> None:
        self._endpoint = endpoint
        self._trickles = trickles
        self.is_well = True

    def __call__(self, connection: socket.socket, number: int) -> None:
        asked_for = exactly(connection, 4)
        answer = located("running", self._endpoint)
        if self.is_well:
            connection.sendall(answer)
        while not self.is_well and self._trickles and asked_for:
            connection.sendall(located("x" * 1_000_000, "")[:100])
            time.sleep(0.01)
        exactly(connection, 1_000)


@pytest.mark.parametrize("method", ["query_concept", "query_many", "learn_many"])
def test_an_answer_that_trickles_has_the_time_of_the_call(make_client: Any, method: str) -> None:
    script = Trickle(frame({"Error": {"message": "x" * 3_000}}))
    given: Any = {"query_concept": "dog", "query_many": ["dog"], "learn_many": [("dog", "text")]}[
        method
    ]
    with peer(script) as server, make_client(server.address, timeout=0.3) as client:
        with pytest.raises(RequestTimeout):
            getattr(client, method)(given)
        assert not script.is_whole


def test_a_master_that_trickles_has_the_time_of_the_call(make_client: Any) -> None:
    script = Trickle(located("running", "x" * 3_000))
    with peer(script) as master, pytest.raises(ConnectionLost):
        with make_client(
            f"grid://{master.address}/node-{make_client.__name__}", timeout=0.3
        ) as client:
            client.query_concept("dog")
    assert not script.is_whole


@pytest.mark.parametrize("trickles", [False, True])
def test_a_masters_silence_leaves_time_for_the_place_where_a_node_was_last(
    make_client: Any, trickles: bool
) -> None:
    def once(connection: socket.socket, number: int) -> None:
        connection.sendall(concept(asked(connection)["QueryConcept"]["concept_id"]))

    with peer(once) as node:
        says = Master(node.address, trickles)
        with (
            peer(says) as master,
            make_client(f"grid://{master.address}/words", timeout=3) as client,
        ):
            assert client.query_concept("dog")["content"] == "dog"
            says.is_well = False
            assert client.query_concept("wolf")["content"] == "wolf"
            assert node.connections == 2


@pytest.mark.parametrize(
    "endpoint", ["", "nonsense:x", "http://host:1", "grid://127.0.0.1:1/other"]
)
def test_a_place_that_is_none_is_the_masters_fault(make_client: Any, endpoint: str) -> None:
    with peer(Master(endpoint)) as master, pytest.raises(ProtocolError, match="place"):
        with make_client(f"grid://{master.address}/node", timeout=PATIENCE_S) as client:
            client.query_concept("dog")


def test_a_name_that_is_not_found_in_time_is_a_timeout(
    make_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_over = threading.Event()
    lookups: list[object] = []

    def hang(*names: object, **_: object) -> list[Any]:
        lookups.append(names)
        is_over.wait(PATIENCE_S)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        for _ in range(3):
            with pytest.raises(RequestTimeout, match="name"):
                with make_client(f"{make_client.__name__}.nowhere:1", timeout=0.1) as client:
                    client.query_concept("dog")
        assert len(lookups) == 1, "one thread a name, however often it is asked for"
    finally:
        is_over.set()


def test_a_name_that_cannot_be_one_is_said_so(make_client: Any) -> None:
    with pytest.raises((ValueError, ConnectionLost), match=r"xxx"):
        with make_client("x" * 300 + ":1", timeout=0.2) as client:
            client.query_concept("dog")


def test_a_call_is_tried_again_for_as_long_as_it_may_take(
    make_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_retry, "_CAP_S", 0.02)

    def script(connection: socket.socket, number: int) -> None:
        if number < 30:
            asked(connection)
            reset(connection)
        else:
            answer_queries(connection)

    with peer(script) as server, make_client(server.address, timeout=PATIENCE_S) as client:
        assert client.query_concept("dog")["content"] == "dog"
        assert server.connections == 31


def test_a_server_that_comes_back_within_the_timeout_is_found(make_client: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = gone.getsockname()
    tries = threading.Event()
    pause = _retry.pause

    def seen(attempt: int, retries: int | None, remaining: float) -> float | None:
        if attempt == 5:
            tries.set()
        return pause(attempt, retries, remaining)

    def come_back() -> None:
        assert tries.wait(PATIENCE_S)
        with peer(lambda connection, _: answer_queries(connection), socket.create_server(address)):
            is_answered.wait(PATIENCE_S)

    is_answered = threading.Event()
    server = threading.Thread(target=come_back)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_retry, "pause", seen)
        server.start()
        try:
            with make_client(f"127.0.0.1:{address[1]}", timeout=PATIENCE_S) as client:
                assert client.query_concept("dog")["content"] == "dog"
        finally:
            is_answered.set()
            server.join(PATIENCE_S)


def test_the_pauses_grow_to_a_bound_and_end_with_the_calls_time() -> None:
    pauses = [_retry.pause(attempt, None, 1_000.0) for attempt in range(200)]
    assert all(pause is not None and 0 <= pause <= 1 for pause in pauses)
    assert sum(pause for pause in pauses if pause is not None) > 50, "most are near the bound"
    assert len(set(pauses)) > 150, "no two clients come back at the same time"
    assert _retry.pause(0, None, 0.01) is None and _retry.pause(3, 3, 100.0) is None
    for remaining in (0.06, 0.3, 0.9):
        found = _retry.pause(9, None, remaining)
        assert found is not None and found <= remaining


def test_of_idle_connections_that_went_silent_one_costs_its_time(make_client: Any) -> None:
    count = 8
    barrier = threading.Barrier(count)

    def script(connection: socket.socket, number: int) -> None:
        if number >= count:
            answer_queries(connection)
            return
        # All are asked before any is answered, so that there are as many.
        request = asked(connection)
        barrier.wait(PATIENCE_S)
        connection.sendall(concept(request["QueryConcept"]["concept_id"]))
        exactly(connection, 1_000_000)

    names = [f"n{number}" for number in range(count)]
    with peer(script) as server, make_client(server.address, timeout=1.0) as client:
        if isinstance(client, OnLoop):

            async def all_at_once() -> None:
                await asyncio.gather(*map(client.client.query_concept, names))

            client.loop.run_until_complete(all_at_once())
        else:
            threads = [
                threading.Thread(target=client.query_concept, args=(name,)) for name in names
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE_S)
        assert server.connections == count
        timeouts = 0
        for name in names:
            try:
                assert client.query_concept(name)["content"] == name
            except RequestTimeout:
                timeouts += 1
        assert timeouts <= 1
        assert server.connections == count + 1, "and one connection was enough for the others"


def test_a_slow_answer_does_not_cost_the_connections_that_answer(make_client: Any) -> None:
    """Those that were heard while one call waited are as good as they were."""
    is_slow = threading.Event()

    def script(connection: socket.socket, number: int) -> None:
        while (request := asked(connection)) is not None:
            name = request["QueryConcept"]["concept_id"]
            if name == "slow":
                is_slow.set()
                exactly(connection, 1_000)
                return
            connection.sendall(concept(name))

    with peer(script) as server, make_client(server.address, timeout=0.5) as client:
        if isinstance(client, OnLoop):

            async def both() -> None:
                slow = asyncio.ensure_future(client.client.query_concept("slow"))
                await asyncio.get_running_loop().run_in_executor(None, is_slow.wait, PATIENCE_S)
                await client.client.query_concept("quick")
                with pytest.raises(RequestTimeout):
                    await slow
                await client.client.query_concept("quick")

            client.loop.run_until_complete(both())
        else:

            def wait() -> None:
                with pytest.raises(RequestTimeout):
                    client.query_concept("slow")

            slow = threading.Thread(target=wait)
            slow.start()
            assert is_slow.wait(PATIENCE_S)
            client.query_concept("quick")
            slow.join(PATIENCE_S)
            client.query_concept("quick")
        assert server.connections == 2


def test_a_socket_that_meets_itself_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def bound(family: int) -> socket.socket:
        attempt = socket.socket(family, socket.SOCK_STREAM)
        attempt.bind(("127.0.0.1", port))
        return attempt

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setattr(_sockets, "new", bound)
    address = Address("127.0.0.1", port)
    with pytest.raises(Lost, match="refused"):
        _steps.run(_dialing.dial(address, address, time.monotonic() + PATIENCE_S))


def text(error: BaseException) -> str:
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def chain(error: BaseException) -> list[BaseException]:
    """The exceptions that a traceback of this one shows, itself first."""
    found: list[BaseException] = []
    more: BaseException | None = error
    while more is not None:
        found.append(more)
        more = more.__cause__ or (None if more.__suppress_context__ else more.__context__)
    return found


def test_a_traceback_shows_what_went_wrong_and_nothing_from_inside(make_client: Any) -> None:
    def refuse(connection: socket.socket, number: int) -> None:
        while asked(connection) is not None:
            connection.sendall(frame({"Error": {"message": "no"}}))

    scripts: list[tuple[Any, type[SutraError]]] = [
        (lambda connection, _: reset(connection), ConnectionLost),
        (lambda connection, _: asked(connection) and None, ConnectionLost),
        (lambda connection, _: exactly(connection, 1_000), RequestTimeout),
        (lambda connection, _: connection.sendall(b"HTTP/1.1 400\r\n"), ProtocolError),
        (
            lambda connection, _: connection.sendall(struct.pack(">I", 3) + b"\xc1\xc1\xc1"),
            ProtocolError,
        ),
        (
            lambda connection, _: connection.sendall(frame({"QueryConceptOk": {"found": True}})),
            ProtocolError,
        ),
        (lambda connection, _: connection.sendall(frame({"Error": "no map"})), ProtocolError),
        (refuse, ServerError),
    ]
    for script, kind in scripts:
        with peer(script) as server, pytest.raises(SutraError) as raised:
            with make_client(server.address, timeout=0.3) as client:
                client.query_concept("dog")
        shown = chain(raised.value)
        assert isinstance(shown[0], kind), shown
        # The system's own word may follow, and nothing else.
        assert all(
            type(error).__module__ == "builtins" and isinstance(error, OSError)
            for error in shown[1:]
        ), shown
        assert "During handling" not in text(raised.value)


def test_no_server_no_name_and_no_connection_left_are_told_without_what_is_inside(
    make_client: Any,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"127.0.0.1:{closed.getsockname()[1]}"
    for address in (nobody, f"grid://{nobody}/node", "name.invalid:1", "unix:/nowhere/at/all"):
        with pytest.raises(ConnectionLost) as raised:
            with make_client(address, timeout=0.3) as client:
                client.query_concept("dog")
        shown = chain(raised.value)
        assert all(isinstance(error, OSError) for error in shown[1:]) and len(shown) <= 2, shown
        assert "During handling" not in text(raised.value)
    with (
        peer(lambda connection, _: answer_queries(connection)) as server,
        make_client(server.address) as client,
    ):
        client.query_concept("dog")
        client.close()
        with pytest.raises(ClientClosed) as after:
            client.query_concept("dog")
        assert chain(after.value) == [after.value]


@pytest.mark.parametrize("timeout", [None, "3", b"3", True, [], 1j, object()])
def test_a_timeout_that_is_no_number_is_a_type_error(make_client: Any, timeout: object) -> None:
    with pytest.raises(TypeError, match="timeout must be a positive number of seconds"):
        make_client("localhost:1", timeout=timeout)


@pytest.mark.parametrize("timeout", [0, -1, -0.0, math.nan, math.inf, -math.inf])
def test_a_timeout_that_no_call_could_keep_is_a_value_error(
    make_client: Any, timeout: float
) -> None:
    with pytest.raises(ValueError, match="timeout must be a positive number of seconds"):
        make_client("localhost:1", timeout=timeout)


@pytest.mark.parametrize("option", ["pool_size", "retries"])
@pytest.mark.parametrize("value", ["3", 2.5, math.nan, True, []])
def test_a_count_that_is_no_whole_number_is_a_type_error(
    make_client: Any, option: str, value: object
) -> None:
    with pytest.raises(TypeError, match=option):
        make_client("localhost:1", **{option: value})


@pytest.mark.parametrize("timeout", [1e9, 1e300, 10**30])
def test_a_timeout_of_more_than_a_clock_counts_is_a_long_one(
    make_client: Any, timeout: float
) -> None:
    with peer(lambda connection, _: answer_queries(connection)) as server:
        with make_client(server.address, timeout=timeout, pool_size=1) as client:
            assert client.query_concept("dog")["content"] == "dog"
            assert client.query_many(["dog", "wolf"])[1]["content"] == "wolf"


def test_a_timeout_of_next_to_nothing_is_a_timeout(make_client: Any) -> None:
    with (
        peer(lambda connection, _: exactly(connection, 1_000)) as server,
        pytest.raises(ConnectionLost),
    ):
        with make_client(server.address, timeout=1e-9) as client:
            client.query_concept("dog")


def test_numbers_that_cannot_be_sent_are_value_errors_and_nothing_is_sent(make_client: Any) -> None:
    with (
        peer(lambda connection, _: answer_queries(connection)) as server,
        make_client(server.address) as client,
    ):
        for call in (
            lambda: client.find_path("a", "b", 10**30),
            lambda: client.vector_search([0.5], 10**30),
            lambda: client.learn_association("a", "b", 2**70),
            lambda: client.learn_concept("a", "b", [10**400]),
        ):
            with pytest.raises(ValueError, match="too large"):
                call()
        assert client.query_concept("dog")["content"] == "dog"
        assert server.connections == 1


def test_a_blocking_client_is_what_its_subclass_makes_of_it() -> None:
    class Mine(StorageClient):
        def query_concept(self, concept_id: str) -> dict[str, Any] | None:
            return super().query_concept(f"mine-{concept_id}")

    with (
        peer(lambda connection, _: answer_queries(connection)) as server,
        Mine(server.address) as client,
    ):
        found = client.get_concept("dog")
        assert found is not None and found["content"] == "mine-dog"
        assert client.contains("dog")
