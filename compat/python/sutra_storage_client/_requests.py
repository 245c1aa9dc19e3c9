"""Every operation as a request and the reader of its reply, shared by both clients.

A request is an externally tagged msgpack map, `{"QueryConcept": {"concept_id": …}}`, or a bare
string where it has no fields. Replies are read in the shapes that the server sends to such
requests: learns as `[sequence]`, everything else as maps with field names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Callable, Generic, TypeVar, Union

from . import _frames, _vectors
from ._errors import ProtocolError, ServerError
from ._signals import is_a_handlers

T = TypeVar("T")

# What the earlier clients sent with every learn that has the server compute the embedding.
_LEARN_OPTIONS: dict[str, Any] = {
    "generate_embedding": True,
    "embedding_model": None,
    "extract_associations": True,
    "min_association_confidence": 0.5,
    "max_associations_per_concept": 10,
    "strength": 1.0,
    "confidence": 1.0,
}


class Call(Generic[T]):
    """One request, ready to be sent, and how its reply is read."""

    __slots__ = ("_read", "_reply", "frame", "repeatable")

    def __init__(
        self, request: Any, reply: str, read: Callable[[Any], T], repeatable: bool = True
    ) -> None:
        self.frame = _frames.encode(request)
        self._reply = reply
        self._read = read
        # Whether doing it twice is the same as doing it once.
        self.repeatable = repeatable

    def decode(self, payload: bytes | memoryview) -> T:
        """The reply's value. Raises ServerError where the server refused, ProtocolError where it
        isn't this reply."""
        reply = _frames.decode(payload)
        expected = self._reply
        try:
            if type(reply) is dict:
                if expected in reply:
                    return self._read(reply[expected])
                if "Error" in reply:
                    raise ServerError(str(reply["Error"]["message"]))
            elif reply == expected:
                return self._read(None)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            if is_a_handlers(error):
                raise
            raise ProtocolError(
                f"a {expected} reply without what belongs into it: {_short(reply)}"
            ) from None
        raise ProtocolError(f"expected {expected} and got {_short(reply)}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _sequence(body: Any) -> int:
    return int(body[0])


def _concept(body: Any) -> dict[str, Any] | None:
    if not body["found"]:
        return None
    return {
        "id": body["concept_id"],
        "content": body["content"],
        "strength": body["strength"],
        "confidence": body["confidence"],
    }


def _association(body: Any) -> dict[str, Any] | None:
    if not body["found"]:
        return None
    return {
        "source_id": body["source_id"],
        "target_id": body["target_id"],
        "type": body["assoc_type"],
        "confidence": body["confidence"],
    }


def _path(body: Any) -> list[str] | None:
    return list(body["path"]) if body["found"] else None


def _matches(body: Any) -> list[tuple[str, float]]:
    return [(concept_id, similarity) for concept_id, similarity in body["results"]]


def _nothing(body: Any) -> None:
    return None


def _map(body: Any) -> dict[str, Any]:
    if type(body) is not dict:
        raise TypeError("not a map")
    return body


def learn_concept(
    concept_id: str,
    content: str,
    embedding: Any = None,
    strength: float = 1.0,
    confidence: float = 1.0,
) -> Call[int]:
    fields = {
        "concept_id": concept_id,
        "content": content,
        "strength": float(strength),
        "confidence": float(confidence),
    }
    vector = b"" if embedding is None else _vectors.pack(embedding)
    if vector:
        fields["embedding"] = vector
    return Call({"LearnConcept": fields}, "LearnConceptOk", _sequence)


def learn_association(
    source_id: str, target_id: str, assoc_type: int = 0, confidence: float = 1.0
) -> Call[int]:
    fields = {
        "source_id": source_id,
        "target_id": target_id,
        "assoc_type": int(assoc_type),
        "confidence": float(confidence),
    }
    return Call({"LearnAssociation": fields}, "LearnAssociationOk", _sequence)


def query_concept(concept_id: str) -> Call[dict[str, Any] | None]:
    return Call({"QueryConcept": {"concept_id": concept_id}}, "QueryConceptOk", _concept)


def get_neighbors(concept_id: str) -> Call[list[str]]:
    return Call(
        {"GetNeighbors": {"concept_id": concept_id}},
        "GetNeighborsOk",
        lambda body: list(body["neighbor_ids"]),
    )


def find_path(start_id: str, end_id: str, max_depth: int) -> Call[list[str] | None]:
    fields = {"start_id": start_id, "end_id": end_id, "max_depth": int(max_depth)}
    return Call({"FindPath": fields}, "FindPathOk", _path)


def vector_search(query_vector: Any, k: int, ef_search: int) -> Call[list[tuple[str, float]]]:
    fields = {"query_vector": _vectors.pack(query_vector), "k": int(k), "ef_search": int(ef_search)}
    return Call({"VectorSearch": fields}, "VectorSearchOk", _matches)


def stats() -> Call[dict[str, Any]]:
    return Call("GetStats", "StatsOk", _map)


def flush() -> Call[None]:
    return Call("Flush", "FlushOk", _nothing)


def health_check() -> Call[dict[str, Any]]:
    return Call("HealthCheck", "HealthCheckOk", _map)


def get_association(source_id: str, target_id: str) -> Call[dict[str, Any] | None]:
    fields = {"source_id": source_id, "target_id": target_id}
    return Call({"GetAssociation": fields}, "GetAssociationOk", _association)


def get_all_concept_ids() -> Call[list[str]]:
    return Call("GetAllConceptIds", "GetAllConceptIdsOk", lambda body: list(body["concept_ids"]))


def delete_concept(concept_id: str) -> Call[bool]:
    # The empty namespace is the one that everything of this protocol lives in.
    fields = {"namespace": "", "id": concept_id}
    return Call({"DeleteConcept": fields}, "DeleteConceptOk", lambda body: bool(body["deleted"]))


def delete_association(source_id: str, target_id: str, assoc_type: int) -> Call[bool]:
    fields = {"source_id": source_id, "target_id": target_id, "assoc_type": assoc_type}
    request = {"DeleteAssociation": fields}
    return Call(request, "DeleteAssociationOk", lambda body: bool(body["deleted"]))


def _options(options: Mapping[str, Any] | None) -> dict[str, Any]:
    given = {name: value for name, value in (options or {}).items() if value is not None}
    return {**_LEARN_OPTIONS, **given}


def learn_concept_v2(content: str, options: Mapping[str, Any] | None) -> Call[str]:
    # The server gives the id: a second time could be a second concept.
    request = {"LearnConceptV2": {"content": content, "options": _options(options)}}
    return Call(request, "LearnConceptV2Ok", lambda body: str(body["concept_id"]), repeatable=False)


def learn_batch_v2(contents: Iterable[str], options: Mapping[str, Any] | None) -> Call[list[str]]:
    request = {"LearnBatch": {"contents": list(contents), "options": _options(options)}}
    return Call(request, "LearnBatchOk", lambda body: list(body["concept_ids"]), repeatable=False)


def query_many(concept_ids: Iterable[str]) -> Iterator[Call[dict[str, Any] | None]]:
    """A query for each id."""
    if isinstance(concept_ids, (str, bytes)):
        raise TypeError(
            f"several ids are asked for, not one {type(concept_ids).__name__}: put it into a list"
        )
    return map(query_concept, concept_ids)


Record = Union[Mapping[str, Any], tuple[Any, ...], list[Any]]


def many(build: Callable[..., Call[T]], records: Iterable[Record]) -> Iterator[Call[T]]:
    """A call for each record: a mapping of `build`'s parameters by name, or a tuple or list of
    them in order."""
    for record in records:
        if isinstance(record, (str, bytes)):
            raise TypeError(f"a record is a dict, a tuple or a list, not {type(record).__name__}")
        yield build(**record) if isinstance(record, Mapping) else build(*record)
