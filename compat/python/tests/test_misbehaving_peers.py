"""What a client does when the other side does not do what it should."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import struct
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from peers import PATIENCE_S, answer_queries, asked, concept, exactly, frame, peer, reset

from sutra_storage_client import (
    AsyncStorageClient,
    ClientClosed,
    ConnectionLost,
    ProtocolError,
    RequestTimeout,
    ServerError,
    StorageClient,
    SutraError,
)


class LateFirst:
    """Answers the first connection's request only after the second connection's, and notes how
    the first one ended."""

    def __init__(self) -> None:
        self.is_asked = threading.Event()
        self.second_is_answered = threading.Event()
        self.first_ended = threading.Event()

    def __call__(self, connection: socket.socket, number: int) -> None:
        if number > 0:
            answer_queries(connection)
            return
        asked(connection)
        self.is_asked.set()
        assert self.second_is_answered.wait(PATIENCE_S)
        try:
            connection.sendall(concept("late"))
            assert asked(connection) is None, "the client went on using the connection"
        except ConnectionError:
            pass
        self.first_ended.set()


def test_a_late_reply_is_never_taken_for_the_next_calls(make_client: Any) -> None:
    script = LateFirst()
    with peer(script) as server, make_client(server.address, timeout=0.5) as client:
        with pytest.raises(RequestTimeout):
            client.query_concept("first")
        assert client.query_concept("second")["content"] == "second"
        script.second_is_answered.set()
        assert script.first_ended.wait(PATIENCE_S)
        assert client.query_concept("third")["content"] == "third"


def test_a_cancelled_calls_reply_is_never_taken_for_the_next_calls() -> None:
    script = LateFirst()

    async def main(address: str) -> None:
        async with AsyncStorageClient(address) as client:
            call = asyncio.ensure_future(client.query_concept("first"))
            await asyncio.get_running_loop().run_in_executor(None, script.is_asked.wait, PATIENCE_S)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            second = await client.query_concept("second")
            assert second is not None and second["content"] == "second"
            script.second_is_answered.set()
            await asyncio.get_running_loop().run_in_executor(
                None, script.first_ended.wait, PATIENCE_S
            )
            third = await client.query_concept("third")
            assert third is not None and third["content"] == "third"

    with peer(script) as server:
        asyncio.run(main(server.address))
        assert script.first_ended.is_set()


def test_an_interrupted_calls_reply_is_never_taken_for_the_next_calls() -> None:
    script = LateFirst()

    def interrupt() -> None:
        assert script.is_asked.wait(PATIENCE_S)
        os.kill(os.getpid(), signal.SIGINT)

    # A shell that runs the tests in its background has them ignore the signal.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    with peer(script) as server, StorageClient(server.address) as client:
        interrupter = threading.Thread(target=interrupt)
        interrupter.start()
        try:
            with pytest.raises(KeyboardInterrupt):
                client.query_concept("first")
            interrupter.join()
        finally:
            signal.signal(signal.SIGINT, previous)
        second = client.query_concept("second")
        assert second is not None and second["content"] == "second"
        script.second_is_answered.set()
        assert script.first_ended.wait(PATIENCE_S)


def test_half_a_reply_and_silence_is_a_timeout(make_client: Any) -> None:
    def script(connection: socket.socket, number: int) -> None:
        asked(connection)
        connection.sendall(concept("half")[:-3])
        exactly(connection, 1)

    with peer(script) as server, make_client(server.address, timeout=0.3) as client:
        with pytest.raises(RequestTimeout):
            client.query_concept("dog")


def test_a_reply_that_trickles_gets_no_more_time_than_the_call_has(make_client: Any) -> None:
    def script(connection: socket.socket, number: int) -> None:
        asked(connection)
        for byte in frame({"Error": {"message": "x" * 10_000}}):
            connection.sendall(bytes([byte]))
            time.sleep(0.01)

    with peer(script) as server, make_client(server.address, timeout=0.3) as client:
        with pytest.raises(RequestTimeout):
            client.query_concept("dog")


def test_signals_give_a_silent_peer_no_more_time() -> None:
    previous = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    try:
        with peer(lambda connection, _: exactly(connection, 1_000_000) and None) as server:
            with (
                StorageClient(server.address, timeout=0.3) as client,
                pytest.raises(RequestTimeout),
            ):
                client.query_concept("dog")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def test_a_reply_that_comes_byte_by_byte_is_read_whole(make_client: Any) -> None:
    def script(connection: socket.socket, number: int) -> None:
        while asked(connection) is not None:
            for byte in concept("whole"):
                connection.sendall(bytes([byte]))

    with peer(script) as server, make_client(server.address) as client:
        assert client.query_concept("dog")["content"] == "whole"
        assert client.query_concept("dog")["content"] == "whole"
        assert server.connections == 1


def test_a_large_reply_is_read_whole_and_the_connection_goes_on(make_client: Any) -> None:
    sizes = {"small": 10, "large": 3_000_000, "edge": 65_536}

    def script(connection: socket.socket, number: int) -> None:
        while (request := asked(connection)) is not None:
            name = request["QueryConcept"]["concept_id"]
            connection.sendall(concept(name[0] * sizes[name]))

    with peer(script) as server, make_client(server.address) as client:
        for name in ["small", "large", "edge", "small", "large"]:
            assert client.query_concept(name)["content"] == name[0] * sizes[name]
        assert server.connections == 1


def test_a_call_is_sent_again_after_a_reset_or_half_a_reply(make_client: Any) -> None:
    def script(connection: socket.socket, number: int) -> None:
        if number == 0:
            asked(connection)
            reset(connection)
        elif number == 1:
            asked(connection)
            connection.sendall(concept("half")[:-3])
        else:
            answer_queries(connection)

    with peer(script) as server, make_client(server.address) as client:
        assert client.query_concept("dog")["content"] == "dog"
        assert server.connections == 3


def test_a_server_that_never_answers_is_given_up_after_the_stated_retries(make_client: Any) -> None:
    requests: list[Any] = []

    def script(connection: socket.socket, number: int) -> None:
        request = asked(connection)
        if request is not None:
            requests.append(request)

    with peer(script) as server, make_client(server.address, retries=3) as client:
        with pytest.raises(ConnectionLost) as raised:
            client.query_concept("dog")
        assert not isinstance(raised.value, RequestTimeout)
        assert isinstance(raised.value, ConnectionError)
        assert len(requests) == 4


def test_what_is_not_repeatable_is_sent_once(make_client: Any) -> None:
    requests: list[Any] = []

    def script(connection: socket.socket, number: int) -> None:
        requests.append(asked(connection))

    with peer(script) as server, make_client(server.address) as client:
        with pytest.raises(ConnectionLost):
            client.learn_concept_v2("text")
        with pytest.raises(ConnectionLost):
            client.learn_batch_v2(["text"])
    sent = [request for request in requests if request is not None]
    assert [next(iter(request)) for request in sent] == ["LearnConceptV2", "LearnBatch"]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\xff\xff\xff\xff" + b"x" * 100,
        struct.pack(">I", 5) + b"\xc1\xc1\xc1\xc1\xc1",
        struct.pack(">I", 0),
        frame({"LearnConceptOk": [1]}),
        frame({"QueryConceptOk": ["not", "a", "map"]}),
        frame({"QueryConceptOk": {"found": True}}),
        frame({"Error": "no map"}),
        frame("FlushOk"),
        frame([1, 2, 3]),
        struct.pack(">I", 10_000) + b"\x91" * 10_000,
    ],
)
def test_an_answer_that_is_not_the_protocols_is_said_so_and_its_connection_dropped(
    make_client: Any, answer: bytes
) -> None:
    def script(connection: socket.socket, number: int) -> None:
        if number > 0:
            answer_queries(connection)
            return
        asked(connection)
        connection.sendall(answer)
        exactly(connection, 1)

    with peer(script) as server, make_client(server.address) as client:
        with pytest.raises(ProtocolError):
            client.query_concept("dog")
        assert client.query_concept("cat")["content"] == "cat"
        assert server.connections == 2


def test_an_answer_that_nothing_asked_for_is_nobodys(make_client: Any) -> None:
    def script(connection: socket.socket, number: int) -> None:
        if number > 0:
            answer_queries(connection)
            return
        asked(connection)
        connection.sendall(concept("first") + concept("unasked"))
        exactly(connection, 1)

    with peer(script) as server, make_client(server.address) as client:
        try:
            assert client.query_concept("first")["content"] == "first"
        except ProtocolError:
            pass  # the loop may have seen both answers before the call had its own
        assert client.query_concept("second")["content"] == "second"


def test_an_error_before_the_end_of_a_connection_is_told(make_client: Any) -> None:
    def script(connection: socket.socket, number: int) -> None:
        if number > 0:
            answer_queries(connection)
            return
        asked(connection)
        connection.sendall(frame({"Error": {"message": "too many connections"}}))

    with peer(script) as server, make_client(server.address) as client:
        with pytest.raises(ServerError, match="too many connections") as raised:
            client.query_concept("dog")
        assert isinstance(raised.value, RuntimeError) and raised.value.index is None
        assert client.query_concept("cat")["content"] == "cat"


def test_many_go_on_where_the_answers_ended(make_client: Any) -> None:
    heard: list[list[str]] = []

    def script(connection: socket.socket, number: int) -> None:
        mine: list[str] = []
        heard.append(mine)
        while (request := asked(connection)) is not None:
            name = request["QueryConcept"]["concept_id"]
            mine.append(name)
            connection.sendall(concept(name))
            if number == 0 and len(mine) == 10:
                connection.shutdown(socket.SHUT_WR)
                while asked(connection) is not None:
                    pass

    names = [f"n{index}" for index in range(3000)]
    with peer(script) as server, make_client(server.address) as client:
        found = client.query_many(iter(names))
        assert [concept["content"] for concept in found] == names
        assert server.connections == 2
        assert heard[0][:10] + heard[1] == names, "exactly the unanswered ones are sent again"


def test_many_end_when_the_peer_does_not_read(make_client: Any) -> None:
    stop = threading.Event()
    with peer(lambda connection, _: stop.wait(PATIENCE_S) and None) as server:
        with make_client(server.address, timeout=0.3) as client, pytest.raises(RequestTimeout):
            client.learn_many((f"n{index}", "x" * 100_000) for index in range(1000))
        stop.set()


def test_many_read_answers_while_requests_wait_to_be_sent(make_client: Any) -> None:
    def script(connection: socket.socket, number: int) -> None:
        # Reads the next request only when the answer to the last one is gone, through small
        # buffers.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        while (request := asked(connection)) is not None:
            connection.sendall(concept(request["QueryConcept"]["concept_id"]))

    names = [f"{index}-" + "x" * 20_000 for index in range(600)]
    with peer(script) as server, make_client(server.address) as client:
        assert [found["content"] for found in client.query_many(names)] == names


def test_many_stop_at_what_the_server_refuses_and_say_where(make_client: Any) -> None:
    def script(connection: socket.socket, number: int) -> None:
        while (request := asked(connection)) is not None:
            name = request["QueryConcept"]["concept_id"]
            connection.sendall(
                frame({"Error": {"message": "not this one"}}) if name == "n7" else concept(name)
            )

    with peer(script) as server, make_client(server.address) as client:
        with pytest.raises(ServerError, match="not this one") as raised:
            client.query_many(f"n{index}" for index in range(100))
        assert raised.value.index == 7
        assert client.query_concept("dog")["content"] == "dog"
        assert server.connections == 1, (
            "all that was in flight was answered, so the connection goes on"
        )


def test_many_stop_at_a_record_that_cannot_be_sent_and_keep_what_came_before(
    make_client: Any,
) -> None:
    def script(connection: socket.socket, number: int) -> None:
        while asked(connection) is not None:
            connection.sendall(frame({"LearnConceptOk": [1]}))

    with peer(script) as server, make_client(server.address) as client:
        with pytest.raises(TypeError):
            client.learn_many([("a", "text"), {"concept_id": "b", "contents": "typo"}])
        with pytest.raises(TypeError):
            client.learn_many([("a", "text"), ("b", "text", ["no", "numbers"])])
        assert client.learn_many([("a", "text")]) == [1]
        assert server.connections == 1


def test_threads_wait_their_turn_for_few_connections() -> None:
    with peer(lambda connection, _: answer_queries(connection)) as server:
        with StorageClient(server.address, pool_size=2) as client:
            found: dict[str, str] = {}

            def ask(thread: int) -> None:
                for number in range(50):
                    name = f"{thread}-{number}"
                    found[name] = client.query_concept(name)["content"]  # type: ignore[index]

            threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE_S)
            assert len(found) == 600 and all(name == content for name, content in found.items())
        assert server.connections == 2


def test_a_thread_that_gets_no_connection_in_time_is_told_so() -> None:
    is_held, is_told = threading.Event(), threading.Event()

    def script(connection: socket.socket, number: int) -> None:
        while (request := asked(connection)) is not None:
            is_held.set()
            is_told.wait(0.05)
            connection.sendall(concept(request["QueryConcept"]["concept_id"]))

    with peer(script) as server, StorageClient(server.address, pool_size=1, timeout=0.5) as client:
        holder = threading.Thread(target=client.query_many, args=(["dog"] * 600,))
        holder.start()
        assert is_held.wait(PATIENCE_S)
        with pytest.raises(RequestTimeout, match="pool_size"):
            client.query_concept("cat")
        is_told.set()
        holder.join(PATIENCE_S)
        assert client.query_concept("cat") is not None
        assert server.connections == 1


def test_no_server_is_a_lost_connection(make_client: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(ConnectionError) as raised, make_client(address, retries=1) as client:
        client.health_check()
    assert isinstance(raised.value, ConnectionLost) and address in str(raised.value)


def test_an_address_that_does_not_answer_leaves_time_for_the_names_next_one(
    make_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with peer(lambda connection, _: answer_queries(connection)) as server, ExitStack() as opened:
        silent = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        # Fills the queue of connections that nobody accepts: the system leaves further ones without
        # an answer.
        for _ in range(4):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(silent.getsockname())
        answering = ("127.0.0.1", int(server.address.split(":")[1]))
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", at)
            for at in (silent.getsockname(), answering)
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        with make_client("a.name.of.two:1", timeout=4, retries=0) as client:
            assert client.query_concept("a")["content"] == "a"


def test_unix_sockets_and_ipv6_are_reached_as_their_addresses_say(
    make_client: Any, tmp_path: Path
) -> None:
    path = tmp_path / "server"
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(path))
    unix.listen()
    ipv6 = socket.create_server(("::1", 0), family=socket.AF_INET6)
    for listener, address in [(unix, f"unix:{path}"), (ipv6, f"[::1]:{ipv6.getsockname()[1]}")]:
        with (
            peer(lambda connection, _: answer_queries(connection), listener),
            make_client(address) as client,
        ):
            assert client.query_concept("dog")["content"] == "dog"


def test_a_closed_client_says_so(make_client: Any) -> None:
    with peer(lambda connection, _: answer_queries(connection)) as server:
        with make_client(server.address) as client:
            client.query_concept("dog")
            client.close()
            with pytest.raises(ClientClosed):
                client.query_concept("dog")
        assert issubclass(ClientClosed, SutraError)


def test_a_dead_connection_in_the_pool_is_replaced_without_a_retry() -> None:
    ended = threading.Event()

    def script(connection: socket.socket, number: int) -> None:
        request = asked(connection)
        if request is not None:
            connection.sendall(concept(request["QueryConcept"]["concept_id"]))
        if number == 0:
            connection.close()
            ended.set()
        else:
            answer_queries(connection)

    with peer(script) as server, StorageClient(server.address, retries=0) as client:
        assert client.query_concept("dog") is not None
        assert ended.wait(PATIENCE_S)
        assert client.query_concept("cat") is not None
        assert server.connections == 2


def test_a_client_thrown_away_closes_its_connections() -> None:
    def is_open(peers: list[socket.socket]) -> bool:
        return not any(select.select([connection], [], [], PATIENCE_S)[0] for connection in peers)

    connections: list[socket.socket] = []
    stop = threading.Event()

    def script(connection: socket.socket, number: int) -> None:
        request = asked(connection)
        connection.sendall(concept(request["QueryConcept"]["concept_id"]))
        connections.append(connection)
        stop.wait(PATIENCE_S)

    async def use(address: str) -> None:
        await AsyncStorageClient(address).query_concept("dog")
        await asyncio.sleep(0.01)

    with peer(script) as server:
        before = len(os.listdir("/proc/self/fd"))
        StorageClient(server.address).query_concept("dog")
        asyncio.run(use(server.address))
        assert len(connections) == 2
        for connection in connections:
            assert exactly(connection, 1) is None, "the client has closed its end"
        # The peer's own ends are open still.
        assert len(os.listdir("/proc/self/fd")) == before + 2
        stop.set()
