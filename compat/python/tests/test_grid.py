"""A node of a grid is found through its master, wherever it is, and again when it is gone."""

from __future__ import annotations

import socket
import struct
import threading
from typing import Any

import pytest
from peers import Peer, answer_queries, asked, concept, exactly, peer, reset

from sutra_storage_client import ConnectionLost, ProtocolError, RequestTimeout, ServerError

# What the old grid's protocol has for a node's status, and for an error.
_STATUS_REPLY, _ERROR_REPLY = 5, 8


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _framed(payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + payload


class Master:
    """Answers with what is said of the node, the last of which holds."""

    def __init__(self, *said: tuple[str, str]) -> None:
        self.said = list(said)
        self.asked: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, connection: socket.socket, number: int) -> None:
        while (prefix := exactly(connection, 4)) is not None:
            payload = exactly(connection, struct.unpack(">I", prefix)[0])
            assert payload is not None
            variant, length = struct.unpack_from("<IQ", payload)
            assert variant == 5 and len(payload) == 12 + length
            with self._lock:
                self.asked.append(payload[12:].decode())
                status, endpoint = self.said.pop(0) if len(self.said) > 1 else self.said[0]
            if status == "error":
                connection.sendall(_framed(struct.pack("<I", _ERROR_REPLY) + _text(endpoint)))
            else:
                fields = _text("node-1") + _text(status) + struct.pack("<I", 42) + _text(endpoint)
                connection.sendall(_framed(struct.pack("<I", _STATUS_REPLY) + fields))


def _named(name: str) -> Any:
    """A node that says who it is to one query, and is gone."""

    def once(connection: socket.socket, number: int) -> None:
        asked(connection)
        connection.sendall(concept(name))
        if asked(connection) is not None:
            reset(connection)

    return once


def _grid(master: Peer, node: str = "words") -> str:
    return f"grid://{master.address}/{node}"


def _ask(make_client: Any, address: str, **options: Any) -> None:
    """One kind of client connects when it is made, the other when it is asked."""
    with make_client(address, **options) as client:
        client.query_concept("dog")


def test_a_node_is_asked_where_its_master_says_it_is(make_client: Any) -> None:
    with peer(lambda connection, _: answer_queries(connection)) as node:
        says = Master(("running", node.address))
        with peer(says) as master, make_client(_grid(master)) as client:
            assert [client.query_concept(name)["content"] for name in ("dog", "wolf")] == [
                "dog",
                "wolf",
            ]
        # One connection, one question.
        assert says.asked == ["words"]


def test_a_node_that_is_gone_is_found_elsewhere_within_the_call(make_client: Any) -> None:
    with peer(_named("first")) as first, peer(_named("second")) as second:
        found = [
            ("running", first.address),
            ("crashed", first.address),
            ("starting", ""),
            ("running", second.address),
        ]
        says = Master(*found)
        with peer(says) as master, make_client(_grid(master)) as client:
            assert client.query_concept("dog")["content"] == "first"
            assert client.query_concept("dog")["content"] == "second"
        assert len(says.asked) == 4


def test_while_its_master_is_away_a_node_is_looked_for_where_it_was(make_client: Any) -> None:
    with peer(_named("again and again")) as node:
        says = Master(("running", node.address))
        with peer(says) as master:
            client = make_client(_grid(master))
            assert client.query_concept("dog")["content"] == "again and again"
        with client:
            assert client.query_concept("dog")["content"] == "again and again"
        assert says.asked == ["words"]


def test_what_will_not_come_back_is_said_at_once(make_client: Any) -> None:
    for said, words in [
        (("error", "there is no such node"), "no such node"),
        (("gave up", ""), "gave up"),
    ]:
        with peer(Master(said)) as master, pytest.raises(ServerError, match=words):
            _ask(make_client, _grid(master, f"node-{words[:2]}"))


def test_a_node_that_does_not_come_back_is_waited_for_as_long_as_the_call_may_take(
    make_client: Any,
) -> None:
    with peer(Master(("starting", ""))) as master, pytest.raises(RequestTimeout):
        _ask(make_client, _grid(master, "slow"), timeout=0.4)


def test_without_a_master_there_is_nothing_to_be_found(make_client: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        address = unused.getsockname()
    with pytest.raises(ConnectionLost, match="master"):
        _ask(make_client, f"grid://127.0.0.1:{address[1]}/words", timeout=0.5)


def test_what_is_no_master_is_said_to_be_none(make_client: Any) -> None:
    with (
        peer(lambda connection, _: connection.sendall(b"HTTP/1.1 400\r\n\r\n")) as web,
        pytest.raises(ProtocolError),
    ):
        _ask(make_client, _grid(web, "web"))


@pytest.mark.parametrize(
    "wrong",
    ["grid://", "grid://master:7001", "grid://master:7001/", "grid://master/a/b", "grid:///a"],
)
def test_an_address_without_a_master_or_a_node_is_refused(make_client: Any, wrong: str) -> None:
    with pytest.raises(ValueError):
        make_client(wrong)
