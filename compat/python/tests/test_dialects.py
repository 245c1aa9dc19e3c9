"""What the clients in the field send, typed by hand on a socket, against the real server."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any, Callable

import msgpack
import pytest
import wordnet
from peers import PATIENCE_S, exactly, frame
from servers import Server

UNITS = {"GetStats": "StatsOk", "Flush": "FlushOk", "HealthCheck": "HealthCheckOk"}


class Socket:
    """An old client: a length, a payload, a length, a payload."""

    def __init__(self, address: str) -> None:
        host, port = address.split(":")
        self._socket = socket.create_connection((host, int(port)), timeout=PATIENCE_S)

    def call(self, request: Any, trailing: bytes = b"") -> Any:
        payload = msgpack.packb(request) + trailing
        # As they did: in two segments, and the answer's length by one `recv`.
        self._socket.sendall(struct.pack(">I", len(payload)))
        self._socket.sendall(payload)
        return self._answer(self._socket.recv(4))

    def call_all(self, requests: list[Any]) -> list[Any]:
        """Sends all requests ahead; their answers in order."""
        sending = threading.Thread(
            target=self._socket.sendall, args=(b"".join(map(frame, requests)),)
        )
        sending.start()
        answers = [self._answer(exactly(self._socket, 4)) for _ in requests]
        sending.join(PATIENCE_S)
        return answers

    def _answer(self, prefix: bytes | None) -> Any:
        assert prefix is not None
        answer = exactly(self._socket, struct.unpack(">I", prefix)[0])
        assert answer is not None
        return msgpack.unpackb(answer)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def old(shared_server: Server) -> Iterator[Socket]:
    client = Socket(shared_server.address)
    yield client
    client.close()


def found(name: str, content: str) -> dict[str, Any]:
    fields = {"found": True, "concept_id": wordnet.wire_id(name), "content": content}
    return {"QueryConceptOk": {**fields, "strength": 1.0, "confidence": 1.0}}


# How a request of these fields, given in the old enum's order, is spelled in each dialect.
DIALECTS: dict[str, Callable[[str, dict[str, Any]], Any]] = {
    "externally tagged": lambda name, fields: {name: fields},
    "tagged map": lambda name, fields: {"type": name, **fields},
    "positional array": lambda name, fields: {name: list(fields.values())},
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_wordnet_is_learned_and_found_again_in_every_dialect(server: Server, dialect: str) -> None:
    request = DIALECTS[dialect]
    # Learns are read by their place, except by clients of tagged maps.
    sequence: Any = "sequence" if dialect == "tagged map" else 0
    concepts, associations, neighbors = (
        wordnet.concepts(),
        wordnet.associations(),
        wordnet.neighbors(),
    )
    old = Socket(server.address)
    plain = {"strength": 1.0, "confidence": 1.0}
    learned = old.call_all(
        [
            request(
                "LearnConcept",
                {
                    "concept_id": concept["id"],
                    "content": concept["content"],
                    "embedding": embedding.tolist(),
                    **plain,
                },
            )
            for concept, embedding in zip(concepts, wordnet.embeddings())
        ]
    )
    assert len(learned) == 3900 and all(
        answer["LearnConceptOk"][sequence] > 0 for answer in learned
    )
    associated = old.call_all(
        [
            request("LearnAssociation", {**association, "confidence": 1.0})
            for association in associations
        ]
    )
    assert len(associated) == 4604 and all(
        answer["LearnAssociationOk"][sequence] > 0 for answer in associated
    )
    names = [concept["id"] for concept in concepts]
    read = old.call_all([request("QueryConcept", {"concept_id": name}) for name in names])
    assert read == [found(concept["id"], concept["content"]) for concept in concepts]
    around = old.call_all([request("GetNeighbors", {"concept_id": name}) for name in names])
    assert [answer["GetNeighborsOk"]["neighbor_ids"] for answer in around] == [
        sorted(neighbors.get(name, ())) for name in names
    ]
    stats = old.call(request("GetStats", {}))["StatsOk"]
    assert (stats["concepts"], stats["edges"], stats["vectors"]) == (3900, 4604, 3900)
    old.close()


@pytest.mark.parametrize("unit", UNITS)
def test_requests_without_fields_come_in_five_shapes(old: Socket, unit: str) -> None:
    answers = [
        old.call(request)
        for request in [unit, {unit: {}}, {unit: None}, {unit: []}, {"type": unit}]
    ]
    names = [answer if isinstance(answer, str) else next(iter(answer)) for answer in answers]
    assert set(names) == {UNITS[unit]}, answers


def test_externally_tagged_requests_learn_as_arrays_and_read_as_maps(old: Socket) -> None:
    learn = {
        "concept_id": "tagged",
        "content": "text",
        "embedding": [],
        "strength": 1.0,
        "confidence": 1.0,
    }
    answer = old.call({"LearnConcept": learn})
    assert type(answer["LearnConceptOk"][0]) is int
    assert old.call({"QueryConcept": {"concept_id": "tagged"}}) == found("tagged", "text")
    ends = {"source_id": "tagged", "target_id": "other", "assoc_type": 0, "confidence": 1.0}
    assert (
        old.call({"LearnAssociation": ends})["LearnAssociationOk"][0] > answer["LearnConceptOk"][0]
    )
    neighbors = old.call({"GetNeighbors": {"concept_id": "tagged"}})
    assert neighbors == {"GetNeighborsOk": {"neighbor_ids": [wordnet.wire_id("other")]}}


def test_tagged_maps_are_answered_in_maps_only(old: Socket) -> None:
    learn = {"type": "LearnConcept", "concept_id": "typed", "content": "text", "embedding": None}
    answer = old.call({**learn, "strength": 1, "confidence": 1})
    assert type(answer["LearnConceptOk"]["sequence"]) is int, answer
    assert old.call({"concept_id": "typed", "type": "QueryConcept"}) == found("typed", "text")
    ends = {"source_id": "typed", "target_id": "other", "assoc_type": 3, "confidence": 1.0}
    answer = old.call({"type": "LearnAssociation", **ends})
    assert type(answer["LearnAssociationOk"]["sequence"]) is int, answer
    neighbors = old.call({"type": "GetNeighbors", "concept_id": "typed"})
    assert neighbors == {"GetNeighborsOk": {"neighbor_ids": [wordnet.wire_id("other")]}}


def test_fields_come_in_order_too(old: Socket) -> None:
    assert old.call({"LearnConcept": ["ordered", "text", [0.5, 0.25], 1.0, 1.0]})["LearnConceptOk"]
    assert old.call({"QueryConcept": ["ordered"]}) == found("ordered", "text")
    assert old.call({"LearnAssociation": ["ordered", "other", 0, 1.0]})["LearnAssociationOk"]
    assert old.call({"GetNeighbors": ["ordered"]}) == {
        "GetNeighborsOk": {"neighbor_ids": [wordnet.wire_id("other")]}
    }


@pytest.mark.parametrize("embedding", [[1, 2], [1.0, 2.0], None, [], struct.pack("<2f", 1, 2)])
def test_embeddings_come_as_numbers_of_any_kind_bytes_or_not_at_all(
    old: Socket, embedding: Any
) -> None:
    fields = {
        "content": "text",
        "concept_id": b"embedded",
        "unknown": [1, {"a": 2}],
        "confidence": 1,
        "strength": 1,
    }
    request = {"LearnConcept": {**fields, "embedding": embedding}}
    assert old.call(request, trailing=b"\0\0")["LearnConceptOk"]
    assert old.call({"QueryConcept": {"concept_id": "embedded"}}) == found("embedded", "text")


@pytest.mark.parametrize(
    "request_",
    [
        {"NoSuchThing": {}},
        "NoSuchThing",
        {"QueryConcept": {}},
        {"QueryConcept": {"concept_id": 5}},
        {"type": "NoSuchThing"},
        {"type": 5},
        {},
        ["GetStats"],
        {"FindContradictions": {"concept_id": "a", "max_depth": 3}},
        {"LearnBatch": {"contents": ["a"], "options": {}}},
    ],
)
def test_what_is_refused_is_an_error_with_a_message_and_the_connection_goes_on(
    old: Socket, request_: Any
) -> None:
    answer = old.call(request_)
    assert (
        list(answer) == ["Error"]
        and list(answer["Error"]) == ["message"]
        and answer["Error"]["message"]
    )
    assert old.call("Flush") == "FlushOk"
