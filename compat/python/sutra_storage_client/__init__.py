"""Client of the Sutra storage server.

    from sutra_storage_client import StorageClient

    with StorageClient("localhost:50051") as client:
        client.learn_concept("dog", "a domesticated carnivore")
        print(client.query_concept("dog"))

`StorageClient` blocks, `AsyncStorageClient` is awaited; both have the same methods. Both may be
shared: the one by threads, the other by tasks, and both survive a fork and a restart of the server.
What goes wrong is a `SutraError`, which is also the built-in exception that code written for the
earlier clients catches.
"""

from __future__ import annotations

from ._async_client import AsyncStorageClient
from ._client import StorageClient
from ._errors import (
    ClientClosed,
    ConnectionLost,
    ProtocolError,
    RequestTimeout,
    ServerError,
    SutraError,
)

__version__ = "1.0.0"

__all__ = [
    "AsyncStorageClient",
    "ClientClosed",
    "ConnectionLost",
    "ProtocolError",
    "RequestTimeout",
    "ServerError",
    "StorageClient",
    "SutraError",
    "__version__",
]
