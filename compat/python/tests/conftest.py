from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from peers import KINDS
from servers import Server


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test with every client; uvloop's against peers alone, whom a loop meets in more ways
    than real servers."""
    if "make_client" in metafunc.fixturenames:
        has_server = not {"server", "shared_server", "grid"}.isdisjoint(metafunc.fixturenames)
        kinds = [kind for kind in KINDS if not (has_server and kind == "uvloop")]
        metafunc.parametrize("make_client", kinds, indirect=True)


@pytest.fixture
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
