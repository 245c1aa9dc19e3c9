"""The asyncio client: the methods of `StorageClient`, awaited."""

from __future__ import annotations

import asyncio
import functools
import weakref
from collections.abc import Iterable, Mapping
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from . import _address, _options, _requests, _retry
from ._async_pool import AsyncPool
from ._errors import Lost, Trouble
from ._pipeline import Pipeline
from ._requests import Call, Record

if TYPE_CHECKING:
    from ._client import Vector

T = TypeVar("T")


class AsyncStorageClient:
    """`StorageClient` for asyncio: the same methods, arguments, results and exceptions.

    To be shared by all tasks. The constructor doesn't connect, the first call does. A cancelled
    call drops its connection, so its late reply is nobody's. Every event loop that it is used in,
    one after the other or at the same time, has connections of its own, at most `pool_size`; they
    end with their loop. The arguments are those of `StorageClient`.
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
        self._pool = pool = AsyncPool(self._address, pool_size)
        # A client that is thrown away closes its connections; at the interpreter's end the system
        # does that.
        weakref.finalize(self, pool.abandon).atexit = False

    def __repr__(self) -> str:
        return f"AsyncStorageClient({str(self._address)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Sockets and locks can't be pickled: what is unpickled is a new client of the same address
        # and options.
        return functools.partial(type(self), str(self._address), **self._options._asdict()), ()

    async def __aenter__(self) -> AsyncStorageClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes all connections. Calls that still run end first; later ones raise
        `ClientClosed`."""
        self._pool.close()

    # ---- writing

    async def learn_concept(
        self,
        concept_id: str,
        content: str,
        embedding: Vector | None = None,
        strength: float = 1.0,
        confidence: float = 1.0,
    ) -> int:
        """As `StorageClient.learn_concept`."""
        return await self._call(
            _requests.learn_concept(concept_id, content, embedding, strength, confidence)
        )

    async def learn_association(
        self, source_id: str, target_id: str, assoc_type: int = 0, confidence: float = 1.0
    ) -> int:
        """As `StorageClient.learn_association`."""
        return await self._call(
            _requests.learn_association(source_id, target_id, assoc_type, confidence)
        )

    async def delete_concept(self, concept_id: str) -> bool:
        """As `StorageClient.delete_concept`."""
        return await self._call(_requests.delete_concept(concept_id))

    async def delete_association(
        self, source_id: str, target_id: str, assoc_type: int = 0
    ) -> bool:
        """As `StorageClient.delete_association`."""
        return await self._call(_requests.delete_association(source_id, target_id, assoc_type))

    async def learn_concept_v2(self, content: str, options: Mapping[str, Any] | None = None) -> str:
        """As `StorageClient.learn_concept_v2`."""
        return await self._call(_requests.learn_concept_v2(content, options))

    async def learn_batch_v2(
        self, contents: Iterable[str], options: Mapping[str, Any] | None = None
    ) -> list[str]:
        """As `StorageClient.learn_batch_v2`."""
        return await self._call(_requests.learn_batch_v2(contents, options))

    async def flush(self) -> None:
        """As `StorageClient.flush`."""
        return await self._call(_requests.flush())

    # ---- reading

    async def query_concept(self, concept_id: str) -> dict[str, Any] | None:
        """As `StorageClient.query_concept`."""
        return await self._call(_requests.query_concept(concept_id))

    async def get_concept(self, concept_id: str) -> dict[str, Any] | None:
        """The same as `query_concept`."""
        return await self.query_concept(concept_id)

    async def contains(self, concept_id: str) -> bool:
        """As `StorageClient.contains`."""
        return await self.query_concept(concept_id) is not None

    async def get_neighbors(self, concept_id: str) -> list[str]:
        """As `StorageClient.get_neighbors`."""
        return await self._call(_requests.get_neighbors(concept_id))

    async def get_association(self, source_id: str, target_id: str) -> dict[str, Any] | None:
        """As `StorageClient.get_association`."""
        return await self._call(_requests.get_association(source_id, target_id))

    async def get_all_concept_ids(self) -> list[str]:
        """As `StorageClient.get_all_concept_ids`."""
        return await self._call(_requests.get_all_concept_ids())

    async def find_path(self, start_id: str, end_id: str, max_depth: int = 6) -> list[str] | None:
        """As `StorageClient.find_path`."""
        return await self._call(_requests.find_path(start_id, end_id, max_depth))

    async def vector_search(
        self, query_vector: Vector, k: int = 10, ef_search: int = 50
    ) -> list[tuple[str, float]]:
        """As `StorageClient.vector_search`."""
        return await self._call(_requests.vector_search(query_vector, k, ef_search))

    async def stats(self) -> dict[str, Any]:
        """As `StorageClient.stats`."""
        return await self._call(_requests.stats())

    async def health_check(self) -> dict[str, Any]:
        """As `StorageClient.health_check`."""
        return await self._call(_requests.health_check())

    # ---- many at once, pipelined over one connection

    async def learn_many(self, concepts: Iterable[Record]) -> list[int]:
        """As `StorageClient.learn_many`."""
        return await self._many(Pipeline(_requests.many(_requests.learn_concept, concepts)))

    async def associate_many(self, associations: Iterable[Record]) -> list[int]:
        """As `StorageClient.associate_many`."""
        return await self._many(Pipeline(_requests.many(_requests.learn_association, associations)))

    async def query_many(self, concept_ids: Iterable[str]) -> list[dict[str, Any] | None]:
        """As `StorageClient.query_many`."""
        return await self._many(Pipeline(_requests.query_many(concept_ids)))

    # ---- what is below all of them

    async def _call(self, call: Call[T]) -> T:
        deadline = monotonic() + self._timeout
        pool = await self._pool.here()
        attempt = 0
        while True:
            connection = None
            try:
                connection = await pool.acquire(deadline)
                result = call.decode(await connection.exchange(call.frame, deadline))
            except BaseException as error:
                if connection is not None:
                    pool.failed(connection, error)
                if not isinstance(error, Trouble):
                    raise
                # Told to the caller, or waited for, outside of this block: nothing is raised
                # "during its handling".
                trouble = error.with_traceback(None)
            else:
                pool.release(connection)
                return result
            if connection is not None and not call.repeatable:
                raise trouble.told()
            await self._pause(trouble, attempt, deadline)
            attempt += 1

    async def _many(self, pipeline: Pipeline[T]) -> list[T]:
        pool = await self._pool.here()
        attempt = 0
        deadline = monotonic() + self._timeout
        while not pipeline.is_done:
            answered = pipeline.answered
            connection = None
            try:
                connection = await pool.acquire(deadline)
                await connection.pipeline(pipeline, self._timeout)
            except BaseException as error:
                if connection is not None:
                    pool.failed(connection, error)
                if not isinstance(error, Trouble):
                    raise
                trouble = error.with_traceback(None)
            else:
                pool.release(connection)
                continue
            if pipeline.answered > answered:
                # Time and retries are counted from the last answer on: a long import may meet
                # several restarts.
                attempt, deadline = 0, monotonic() + self._timeout
            await self._pause(trouble, attempt, deadline)
            attempt += 1
        return pipeline.finish()

    async def _pause(self, trouble: Trouble, attempt: int, deadline: float) -> None:
        """Waits before the next retry, or raises what happened where there is none."""
        delay = None
        if isinstance(trouble, Lost):
            delay = _retry.pause(attempt, self._retries, deadline - monotonic())
        if delay is None:
            raise trouble.told()
        await asyncio.sleep(delay)
