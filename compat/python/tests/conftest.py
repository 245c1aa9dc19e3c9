from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from peers import KINDS
from servers import Server


@pytest.fixture(params=list(KINDS))
def make_client(request: pytest.FixtureRequest) -> Any:
    """Both kinds of client, called alike."""
    return KINDS[request.param]


@pytest.fixture(params=["asyncio", "uvloop"])
def make_loop(request: pytest.FixtureRequest) -> Any:
    """Event loops of both kinds."""
    return KINDS[request.param].new_loop  # type: ignore[attr-defined]


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real server with an empty store."""
    running = Server(tmp_path_factory.mktemp("store") / "data")
    yield running
    running.kill()


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real server that the tests of a file share, each with ids of its own."""
    running = Server(tmp_path_factory.mktemp("store") / "data")
    yield running
    running.kill()
