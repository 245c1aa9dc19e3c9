"""Bytes in and out, without a socket: framing, requests, replies, vectors, addresses."""

from __future__ import annotations

import struct
from array import array

import msgpack
import numpy as np
import pytest

from sutra_storage_client import (
    ProtocolError,
    ServerError,
    StorageClient,
    _address,
    _frames,
    _requests,
    _vectors,
)

ID = "098f6bcd4621d373cade4e832627b4f6"
FOUND = {"id": ID, "content": "content", "strength": 1.0, "confidence": 1.0}

# What the server sends to a client of this dialect: learns as `[sequence]`, the rest as maps, units
# as strings.
REPLIES = [
    (_requests.learn_concept("a", "b"), "81ae4c6561726e436f6e636570744f6b912a", 42),
    (_requests.learn_association("a", "b"), "81b24c6561726e4173736f63696174696f6e4f6b912b", 43),
    (
        _requests.query_concept("test"),
        "81ae5175657279436f6e636570744f6b85a5666f756e64c3aa636f6e636570745f6964d920303938"
        "6636626364343632316433373363616465346538333236323762346636a7636f6e74656e74a7636f"
        "6e74656e74a8737472656e677468ca3f800000aa636f6e666964656e6365ca3f800000",
        FOUND,
    ),
    (
        _requests.query_concept("test"),
        "81ae5175657279436f6e636570744f6b85a5666f756e64c2aa636f6e636570745f6964a0a7636f6e"
        "74656e74a0a8737472656e677468ca00000000aa636f6e666964656e6365ca00000000",
        None,
    ),
    (
        _requests.get_neighbors("a"),
        "81ae4765744e65696768626f72734f6b81ac6e65696768626f725f69647391d92030393866366263"
        "64343632316433373363616465346538333236323762346636",
        [ID],
    ),
    (
        _requests.find_path("a", "b", 6),
        "81aa46696e64506174684f6b82a5666f756e64c3a47061746891d920303938663662636434363231"
        "6433373363616465346538333236323762346636",
        [ID],
    ),
    (
        _requests.find_path("a", "b", 6),
        "81aa46696e64506174684f6b82a5666f756e64c2a47061746890",
        None,
    ),
    (
        _requests.vector_search([0.1], 1, 50),
        "81ae566563746f725365617263684f6b81a7726573756c74739192d9203039386636626364343632"
        "316433373363616465346538333236323762346636ca3f000000",
        [(ID, 0.5)],
    ),
    (
        _requests.stats(),
        "81a753746174734f6b87a8636f6e636570747303a5656467657304a77772697474656e05a764726f"
        "7070656400a770656e64696e6700af7265636f6e63696c696174696f6e7302ae757074696d655f73"
        "65636f6e647309",
        {
            "concepts": 3,
            "edges": 4,
            "written": 5,
            "dropped": 0,
            "pending": 0,
            "reconciliations": 2,
            "uptime_seconds": 9,
        },
    ),
    (_requests.flush(), "a7466c7573684f6b", None),
    (
        _requests.health_check(),
        "81ad4865616c7468436865636b4f6b83a76865616c746879c3a6737461747573a26f6bae75707469"
        "6d655f7365636f6e647309",
        {"healthy": True, "status": "ok", "uptime_seconds": 9},
    ),
]


@pytest.mark.parametrize(("call", "reply", "value"), REPLIES)
def test_replies_are_read_from_their_bytes(
    call: _requests.Call[object], reply: str, value: object
) -> None:
    assert call.decode(memoryview(bytes.fromhex(reply))) == value


def test_an_errors_message_is_the_exceptions() -> None:
    error = memoryview(bytes.fromhex("81a54572726f7281a76d657373616765a4626f6f6d"))
    for call, _, _ in REPLIES:
        with pytest.raises(ServerError, match=r"^boom$"):
            call.decode(error)


def test_requests_are_tagged_maps_and_units_bare_strings() -> None:
    assert _requests.query_concept("test").frame.hex() == (
        "0000001f81ac5175657279436f6e6365707481aa636f6e636570745f6964a474657374"
    )
    assert _requests.health_check().frame.hex() == "0000000cab4865616c7468436865636b"
    assert _requests.stats().frame[4:].hex() == "a84765745374617473"
    assert _requests.flush().frame[4:].hex() == "a5466c757368"
    learn = msgpack.unpackb(_requests.learn_concept("a", "b", [0.1, 0.2], 1, 0.5).frame[4:])
    packed = bytes.fromhex("cdcccc3dcdcc4c3e")
    fields = {
        "concept_id": "a",
        "content": "b",
        "embedding": packed,
        "strength": 1.0,
        "confidence": 0.5,
    }
    assert learn == {"LearnConcept": fields} and type(learn["LearnConcept"]["strength"]) is float
    for no_vector in [None, [], np.array([])]:
        learn = msgpack.unpackb(_requests.learn_concept("a", "b", no_vector).frame[4:])
        assert "embedding" not in learn["LearnConcept"]


def test_learn_options_are_those_of_the_earlier_clients_unless_given() -> None:
    frame = _requests.learn_concept_v2("text", {"strength": 0.5, "confidence": None}).frame
    options = msgpack.unpackb(frame[4:])["LearnConceptV2"]["options"]
    assert (
        options["strength"] == 0.5
        and options["confidence"] == 1.0
        and options["generate_embedding"] is True
    )


def test_frames_are_cut_wherever_their_bytes_are_split() -> None:
    payloads = [b"a", b"", b"x" * 70_000, b"b" * 65_532, b"c"] * 3
    stream = b"".join(struct.pack(">I", len(payload)) + payload for payload in payloads)
    for step in [1, 3, 4, 5, 1000, 65_536, len(stream)]:
        reader = _frames.FrameReader()
        cut: list[bytes] = []
        sent = 0
        while sent < len(stream):
            room = reader.room()
            count = min(step, len(room), len(stream) - sent)
            assert count > 0
            room[:count] = stream[sent : sent + count]
            reader.advance(count)
            sent += count
            while (payload := reader.next()) is not None:
                cut.append(bytes(payload))
        assert cut == payloads and reader.is_empty


def test_a_claimed_length_costs_no_memory_before_its_bytes_come() -> None:
    reader = _frames.FrameReader()
    prefix = struct.pack(">I", _frames.MAX_MESSAGE)
    reader.room()[: len(prefix)] = prefix
    reader.advance(len(prefix))
    assert reader.next() is None
    assert len(reader.room()) < 1_000_000


def test_a_request_that_the_server_would_refuse_for_its_size_is_not_sent() -> None:
    with pytest.raises(ValueError, match="at most 16,777,216"):
        _requests.learn_concept("a", "x" * (16 * 1024 * 1024))


@pytest.mark.parametrize(
    "vector",
    [
        [0.5, -1, 2],
        (0.5, -1.0, 2.0),
        array("d", [0.5, -1.0, 2.0]),
        np.array([0.5, -1.0, 2.0]),
        np.array([0.5, -1.0, 2.0], dtype=">f4"),
        np.array([0.5, -1.0, 2.0], dtype=np.float16),
        np.array([0.5, 9.0, -1.0, 9.0, 2.0, 9.0], dtype=np.float32)[::2],
        (value for value in [0.5, np.float32(-1.0), 2]),
    ],
)
def test_vectors_of_every_kind_are_the_same_little_endian_floats(vector: object) -> None:
    assert _vectors.pack(vector) == struct.pack("<3f", 0.5, -1.0, 2.0)


@pytest.mark.parametrize(
    "vector",
    [
        *[["a"], "abcd", b"abcd", 5, [[0.1], [0.2]], None, {0.1: 1}, {0.1, 0.2}, [1j]],
        *[
            np.array([1j]),
            np.array([1j], dtype=object),
            np.array(["1"]),
            np.ma.masked_array([0.1, 0.2], [False, True]),
        ],
    ],
)
def test_what_is_no_vector_is_a_type_error(vector: object) -> None:
    with pytest.raises(TypeError):
        _vectors.pack(vector)


def test_a_vector_of_two_dimensions_is_refused_with_its_shape() -> None:
    with pytest.raises(ValueError, match=r"\(1, 3\)"):
        _vectors.pack(np.zeros((1, 3)))


@pytest.mark.parametrize(
    ("text", "host", "port", "path", "shown"),
    [
        ("localhost:50051", "localhost", 50051, None, "localhost:50051"),
        ("storage", "storage", 50051, None, "storage:50051"),
        ("[::1]:7000", "::1", 7000, None, "[::1]:7000"),
        ("[::1]", "::1", 50051, None, "[::1]:50051"),
        ("unix:/run/sutra.sock", "", 0, "/run/sutra.sock", "unix:/run/sutra.sock"),
        ("unix:///run/sutra.sock", "", 0, "/run/sutra.sock", "unix:/run/sutra.sock"),
    ],
)
def test_addresses_are_read(text: str, host: str, port: int, path: str | None, shown: str) -> None:
    address = _address.parse(text)
    assert (address, str(address)) == (_address.Address(host, port, path), shown)


@pytest.mark.parametrize(
    "text",
    [
        *[
            "",
            ":50051",
            "::1",
            "host:",
            "host:0",
            "host:65536",
            "host:x",
            "host:²",
            "[::1",
            "[::1]50051",
            "unix:",
        ],
        *["http://host:50051", "dns:///host:50051", "host:50051/path"],
    ],
)
def test_what_is_no_address_is_refused_with_the_form_wanted(text: str) -> None:
    with pytest.raises(ValueError, match="write "):
        StorageClient(text)


@pytest.mark.parametrize(
    "options",
    [{"timeout": 0}, {"timeout": -1}, {"timeout": float("inf")}, {"pool_size": 0}, {"retries": -1}],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        StorageClient("localhost:1", **options)  # type: ignore[arg-type]


def test_a_length_that_is_text_is_said_to_be_another_protocol() -> None:
    reader = _frames.FrameReader()
    reader.room()[:8] = b"HTTP/1.1"
    reader.advance(8)
    with pytest.raises(ProtocolError, match="HTTP"):
        reader.next()
