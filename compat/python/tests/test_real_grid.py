"""WordNet in a storage node of a real grid, by the node's name: through the loss of the node,
and of the master."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import wordnet
from grids import Grid, until
from peers import PATIENCE_S

from sutra_storage_client import ConnectionLost


@pytest.fixture
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    running = Grid(tmp_path_factory.mktemp("grid"))
    yield running
    running.end()


def test_a_node_is_used_by_its_name_through_its_loss_and_its_masters(
    grid: Grid, make_client: Any
) -> None:
    grid.ask("spawn", "a", "--name", "words")
    concepts = {concept["id"]: concept["content"] for concept in wordnet.concepts()}
    with make_client(f"grid://{grid.address}/words", timeout=PATIENCE_S) as client:
        for name, content in list(concepts.items())[:500]:
            client.learn_concept(name, content)

        # Killed under load. What is lost is a call, which is told and can be made again; nothing
        # that was answered.
        learned: list[str] = []
        is_over = threading.Event()

        def learn() -> None:
            number = 0
            while not is_over.is_set():
                try:
                    client.learn_concept(f"late-{number}", "learned under fire")
                    learned.append(f"late-{number}")
                except ConnectionLost:
                    pass
                number += 1

        learner = threading.Thread(target=learn)
        learner.start()
        until("it learns", lambda: len(learned) > 20)
        grid.kill_node("words")
        until("it is started again", lambda: grid.node("words")["restarts"] == 1)
        until("it is running", lambda: grid.node("words")["state"] == "running")
        so_far = len(learned)
        until("it goes on", lambda: len(learned) > so_far + 20)
        is_over.set()
        learner.join(PATIENCE_S)
        assert all(client.query_concept(name) is not None for name in learned)

        grid.kill_master()
        for name, content in list(concepts.items())[:500:25]:
            assert client.query_concept(name)["content"] == content
        grid.restart_master()
        assert grid.node("words")["name"] == "words"


def test_a_node_that_is_stopped_and_started_on_another_port_is_found(
    grid: Grid, make_client: Any
) -> None:
    grid.ask("spawn", "a", "--name", "words")
    before = grid.node("words")["compat_endpoint"]
    with make_client(f"grid://{grid.address}/words", timeout=PATIENCE_S) as client:
        client.learn_concept("dog", "a carnivore")
        grid.ask("stop", "words")
        # Another than before, which is free now.
        with socket.create_server(("127.0.0.1", 0)) as free:
            other = str(free.getsockname()[1])
        assert not before.endswith(f":{other}")
        grid.ask("spawn", "a", "--name", "words", "--compat-port", other)
        assert grid.node("words")["compat_endpoint"].endswith(f":{other}")
        assert client.query_concept("dog")["content"] == "a carnivore"


def test_nine_nodes_on_three_agents_hold_a_ninth_of_wordnet_each(
    tmp_path_factory: pytest.TempPathFactory, make_client: Any
) -> None:
    grid = Grid(tmp_path_factory.mktemp("grid"), ["rack-1", "rack-2", "rack-3"])
    try:
        names = [f"words-{number}" for number in range(9)]
        for number, name in enumerate(names):
            grid.ask("spawn", f"rack-{number % 3 + 1}", "--name", name)
        concepts = wordnet.concepts()
        parts = [concepts[number :: len(names)] for number in range(len(names))]
        for name, part in zip(names, parts, strict=True):
            with make_client(f"grid://{grid.address}/{name}", timeout=PATIENCE_S) as client:
                client.learn_many((concept["id"], concept["content"]) for concept in part)
        for name, part in zip(names, parts, strict=True):
            with make_client(f"grid://{grid.address}/{name}", timeout=PATIENCE_S) as client:
                assert client.stats()["concepts"] == len(part)
                for concept in part[::29]:
                    assert client.query_concept(concept["id"])["content"] == concept["content"]
    finally:
        grid.end()
