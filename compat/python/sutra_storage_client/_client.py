"""The blocking client."""

from __future__ import annotations

import functools
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, Union

from . import _address, _options, _requests, _retry
from ._errors import Lost, Trouble
from ._pipeline import Pipeline
from ._pool import Pool
from ._requests import Call, Record

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vector = Union[Sequence[float], npt.NDArray[np.number[Any]]]

T = TypeVar("T")


class StorageClient:
    """A client of one server, to be shared by all threads of a process.

    A pickled client is a new one when it is unpickled, with connections of its own.

    The constructor connects, as that of the earlier clients did, and raises what any call raises
    when there is no server. A forked child may go on using the client: it gets connections of its
    own.

    Args:
        server_address: `"host:port"`, `"[::1]:port"`, `"host"` (port 50051) or `"unix:/path"`, on
            which this version of the server does not listen yet.
        timeout: seconds that a whole call takes at most, with all its retries, the lookup of a name
            and the wait for a free connection. The `…_many` calls take as long as there is
            progress: for them it bounds the wait for the next answer.
        pool_size: how many connections there are at most; one more thread than that waits for a
            free one.
        retries: how often a call whose connection was lost is sent again, after an exponentially
            growing random pause of at most a second; None: as often as there is time for. Every
            operation is repeatable but `learn_concept_v2` and `learn_batch_v2`, which are sent
            again only if they were not sent at all. A repeated write may overwrite a newer one of
            somebody else, and a repeated delete may find nothing left to delete.

    Every call raises `ServerError` (a `RuntimeError`) for what the server refuses, `ConnectionLost`
    (a `ConnectionError`) when it is gone, and `RequestTimeout` (that and a `TimeoutError`) when it
    takes too long. An exception that the caller's own signal handler raises comes out of a call as
    it is, and at once. Ids are strings of the caller's choice; ids in answers are 32 hexadecimal
    digits, which every call takes as well.
    """

    def __init__(
        self,
        server_address: str = "localhost:50051",
        *,
        timeout: float = _options.TIMEOUT_S,
        pool_size: int = _options.POOL_SIZE,
        retries: int | None = _options.RETRIES,
    ) -> None:
        self._options = _options.check(timeout, pool_size, retries)
        self._timeout, pool_size, self._retries = self._options
        self._address = _address.parse(server_address)
        self._pool = pool = Pool(self._address, pool_size)
        # A client that is thrown away closes its connections; at the interpreter's end the system
        # does that.
        weakref.finalize(self, pool.close).atexit = False
        self._connect()

    def __repr__(self) -> str:
        return f"StorageClient({str(self._address)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Sockets and locks can't be pickled: what is unpickled is a new client of the same address
        # and options.
        return functools.partial(type(self), str(self._address), **self._options._asdict()), ()

    def __enter__(self) -> StorageClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes all connections. Calls that still run in other threads end first; later ones
        raise `ClientClosed`."""
        self._pool.close()

    # ---- writing

    def learn_concept(
        self,
        concept_id: str,
        content: str,
        embedding: Vector | None = None,
        strength: float = 1.0,
        confidence: float = 1.0,
    ) -> int:
        """Stores a concept: the whole record, over the one that has this id. Returns the write's
        sequence.

        Content, embedding, strength and confidence are all replaced: an embedding that is not given
        again is gone. Only the associations stay.

        When it returns, the concept is stored as durably as the server is set to, and every query
        sees it.
        """
        return self._call(
            _requests.learn_concept(concept_id, content, embedding, strength, confidence)
        )

    def learn_association(
        self, source_id: str, target_id: str, assoc_type: int = 0, confidence: float = 1.0
    ) -> int:
        """Stores an association, over the one of the same ends and type, whose confidence it
        replaces.

        Returns the write's sequence.

        Types: 0 semantic, 1 causal, 2 temporal, 3 hierarchical, 4 compositional; others are kept as
        numbers.
        """
        return self._call(_requests.learn_association(source_id, target_id, assoc_type, confidence))

    def delete_concept(self, concept_id: str) -> bool:
        """Deletes a concept with its associations; whether there was anything, learned or only
        associated."""
        return self._call(_requests.delete_concept(concept_id))

    def delete_association(self, source_id: str, target_id: str, assoc_type: int = 0) -> bool:
        """Removes the association of these ends and type; whether there was one.

        Others between the two stay, and so do both concepts.
        """
        return self._call(_requests.delete_association(source_id, target_id, assoc_type))

    def learn_concept_v2(self, content: str, options: Mapping[str, Any] | None = None) -> str:
        """Stores text whose embedding and id the server makes, and returns the id.

        Raises `ServerError` while the server has no embedder.
        """
        return self._call(_requests.learn_concept_v2(content, options))

    def learn_batch_v2(
        self, contents: Iterable[str], options: Mapping[str, Any] | None = None
    ) -> list[str]:
        """`learn_concept_v2` of several texts in one request."""
        return self._call(_requests.learn_batch_v2(contents, options))

    def flush(self) -> None:
        """Returns when everything that was answered before is on stable storage."""
        return self._call(_requests.flush())

    # ---- reading

    def query_concept(self, concept_id: str) -> dict[str, Any] | None:
        """The concept as a dict of `id`, `content`, `strength` and `confidence`, or None."""
        return self._call(_requests.query_concept(concept_id))

    def get_concept(self, concept_id: str) -> dict[str, Any] | None:
        """The same as `query_concept`."""
        return self.query_concept(concept_id)

    def contains(self, concept_id: str) -> bool:
        """Whether there is a concept of this id."""
        return self.query_concept(concept_id) is not None

    def get_neighbors(self, concept_id: str) -> list[str]:
        """The ids at the other ends of a concept's associations, both directions, each once."""
        return self._call(_requests.get_neighbors(concept_id))

    def get_association(self, source_id: str, target_id: str) -> dict[str, Any] | None:
        """The association as a dict of `source_id`, `target_id`, `type` and `confidence`, or
        None."""
        return self._call(_requests.get_association(source_id, target_id))

    def get_all_concept_ids(self) -> list[str]:
        """The ids of all concepts. An answer holds 16 MiB, some 493,000 ids; above that it is a
        `ServerError`."""
        return self._call(_requests.get_all_concept_ids())

    def find_path(self, start_id: str, end_id: str, max_depth: int = 6) -> list[str] | None:
        """The ids on a shortest path of at most `max_depth` associations, both ends included, or
        None.

        From an id to itself that is the id alone, or None where nothing is known of it.
        """
        return self._call(_requests.find_path(start_id, end_id, max_depth))

    def vector_search(
        self, query_vector: Vector, k: int = 10, ef_search: int = 50
    ) -> list[tuple[str, float]]:
        """The `k` concepts most similar to a vector, best first, as pairs of id and cosine
        similarity."""
        return self._call(_requests.vector_search(query_vector, k, ef_search))

    def stats(self) -> dict[str, Any]:
        """The server's counters: `concepts`, `edges`, `written`, `dropped`, `pending`,
        `uptime_seconds` and more."""
        return self._call(_requests.stats())

    def health_check(self) -> dict[str, Any]:
        """A dict of `healthy`, `status` and `uptime_seconds`."""
        return self._call(_requests.health_check())

    # ---- many at once, pipelined over one connection

    def learn_many(self, concepts: Iterable[Record]) -> list[int]:
        """`learn_concept` of each record, many in flight at a time. Returns their sequences in the
        same order.

        Records are dicts of `learn_concept`'s parameters, or tuples or lists of them in their
        order; embeddings as numpy arrays cost least. The iterable is read as the records are sent,
        never as a whole: one that itself calls this client needs a second connection, and with
        `pool_size=1` waits for the first until it times out. The first record that can't be sent or
        that the server refuses stops the call: what came before it is stored, what came shortly
        after it may be, and the exception is raised once everything in flight is answered (a
        `ServerError` with its `index`).
        """
        return self._many(Pipeline(_requests.many(_requests.learn_concept, concepts)))

    def associate_many(self, associations: Iterable[Record]) -> list[int]:
        """`learn_association` of each record, in the way of `learn_many`."""
        return self._many(Pipeline(_requests.many(_requests.learn_association, associations)))

    def query_many(self, concept_ids: Iterable[str]) -> list[dict[str, Any] | None]:
        """`query_concept` of each id, in the way of `learn_many`."""
        return self._many(Pipeline(_requests.query_many(concept_ids)))

    # ---- what is below all of them

    def _call(self, call: Call[T]) -> T:
        deadline = monotonic() + self._timeout
        pool = self._pool
        attempt = 0
        while True:
            connection = None
            try:
                connection = pool.acquire(call, deadline)
                result = call.decode(connection.exchange(call.frame, deadline))
                pool.release(connection)
                return result
            except BaseException as error:
                pool.failed(call, error)
                if not isinstance(error, Trouble):
                    raise
                # Told to the caller, or waited for, outside of this block: nothing is raised
                # "during its handling".
                trouble = error.with_traceback(None)
            if connection is not None and not call.repeatable:
                raise trouble.told()
            self._pause(trouble, attempt, deadline)
            attempt += 1

    def _many(self, pipeline: Pipeline[T]) -> list[T]:
        attempt = 0
        deadline = monotonic() + self._timeout
        while not pipeline.is_done:
            answered = pipeline.answered
            try:
                connection = self._pool.acquire(pipeline, deadline)
                connection.pipeline(pipeline, self._timeout)
                self._pool.release(connection)
                continue
            except BaseException as error:
                self._pool.failed(pipeline, error)
                if not isinstance(error, Trouble):
                    raise
                trouble = error.with_traceback(None)
            if pipeline.answered > answered:
                # Time and retries are counted from the last answer on: a long import may meet
                # several restarts.
                attempt, deadline = 0, monotonic() + self._timeout
            self._pause(trouble, attempt, deadline)
            attempt += 1
        return pipeline.finish()

    def _connect(self) -> None:
        deadline = monotonic() + self._timeout
        attempt = 0
        while True:
            try:
                return self._pool.release(self._pool.acquire(self, deadline))
            except BaseException as error:
                self._pool.failed(self, error)
                if not isinstance(error, Trouble):
                    raise
                trouble = error.with_traceback(None)
            self._pause(trouble, attempt, deadline)
            attempt += 1

    def _pause(self, trouble: Trouble, attempt: int, deadline: float) -> None:
        """Waits before the next retry, or raises what happened where there is none."""
        delay = None
        if isinstance(trouble, Lost):
            delay = _retry.pause(attempt, self._retries, deadline - monotonic())
        if delay is None:
            raise trouble.told()
        time.sleep(delay)
