"""One asyncio client in several event loops: a connection belongs to the loop that made it, and
ends with it."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
from typing import Any

from peers import PATIENCE_S, answer_queries, asked, exactly, peer

from sutra_storage_client import AsyncStorageClient


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


async def ask(client: AsyncStorageClient, name: str) -> None:
    found = await client.query_concept(name)
    assert found is not None and found["content"] == name


def run(make_loop: Any, work: Any) -> None:
    """As `asyncio.run` does it, on a loop of either kind."""
    loop = make_loop()
    try:
        loop.run_until_complete(work)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


class Counting:
    """Answers, and counts the connections that are open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.open = 0
        self.ended = threading.Condition(self._lock)

    def __call__(self, connection: socket.socket, number: int) -> None:
        with self._lock:
            self.open += 1
        answer_queries(connection)
        with self._lock:
            self.open -= 1
            self.ended.notify_all()

    def becomes(self, count: int) -> bool:
        with self._lock:
            return self.ended.wait_for(lambda: self.open == count, PATIENCE_S)


def test_a_loop_that_ends_takes_its_connections_with_it(make_loop: Any) -> None:
    script = Counting()
    with peer(script) as server:
        # What a loop itself keeps for good.
        run(make_loop, asyncio.sleep(0))
        client = AsyncStorageClient(server.address, timeout=PATIENCE_S)

        async def several(turn: int) -> None:
            await asyncio.gather(*(ask(client, f"{turn}-{number}") for number in range(5)))

        before = descriptors()
        for turn in range(4):
            run(make_loop, several(turn))
            assert script.becomes(0), "all are closed as the loop ends"
            assert descriptors() == before
        run(make_loop, client.close())


def test_a_loop_that_is_only_closed_is_noticed_by_the_next_call(make_loop: Any) -> None:
    script = Counting()
    with peer(script) as server:
        client = AsyncStorageClient(server.address, timeout=PATIENCE_S)
        for turn in range(4):
            loop = make_loop()
            loop.run_until_complete(ask(client, f"turn-{turn}"))
            loop.close()
        assert script.becomes(1)
        del client, loop
        gc.collect()
        assert script.becomes(0)


def test_a_stopped_loop_goes_on_with_the_connection_that_it_had(make_loop: Any) -> None:
    with peer(lambda connection, _: answer_queries(connection)) as server:
        client = AsyncStorageClient(server.address, timeout=PATIENCE_S)
        one, other = make_loop(), make_loop()
        for turn in range(3):
            one.run_until_complete(ask(client, f"one-{turn}"))
            other.run_until_complete(ask(client, f"other-{turn}"))
        assert server.connections == 2
        one.run_until_complete(client.close())
        other.run_until_complete(asyncio.sleep(0))
        one.close()
        other.close()


def test_loops_in_several_threads_use_one_client_at_the_same_time(make_loop: Any) -> None:
    problems: list[BaseException] = []
    with peer(lambda connection, _: answer_queries(connection)) as server:
        client = AsyncStorageClient(server.address, timeout=PATIENCE_S, pool_size=2)

        async def many(thread: int) -> None:
            await asyncio.gather(*(ask(client, f"{thread}-{number}") for number in range(40)))

        def work(thread: int) -> None:
            try:
                for _ in range(3):
                    run(make_loop, many(thread))
            except BaseException as error:
                problems.append(error)

        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        assert problems == []
        run(make_loop, client.close())


def test_a_loop_that_ends_in_the_middle_of_a_call_ends_the_call(make_loop: Any) -> None:
    async def leave(client: AsyncStorageClient) -> None:
        call = asyncio.ensure_future(client.query_concept("dog"))
        await asyncio.get_running_loop().run_in_executor(None, is_asked.wait, PATIENCE_S)
        call.cancel()

    def script(connection: socket.socket, number: int) -> None:
        if number > 0:
            answer_queries(connection)
            return
        asked(connection)
        is_asked.set()
        assert exactly(connection, 1) is None

    is_asked = threading.Event()
    with peer(script) as server:
        client = AsyncStorageClient(server.address, timeout=PATIENCE_S, pool_size=1)
        run(make_loop, leave(client))
        run(make_loop, ask(client, "cat"))


def test_a_client_thrown_away_beside_its_loop_closes_its_connections(make_loop: Any) -> None:
    script = Counting()
    with peer(script) as server:
        loop = make_loop()
        client = AsyncStorageClient(server.address, timeout=PATIENCE_S)
        loop.run_until_complete(ask(client, "dog"))
        # From another thread, as a garbage collection may be.
        box = [client]
        del client
        dropper = threading.Thread(target=box.clear)
        dropper.start()
        dropper.join(PATIENCE_S)
        loop.run_until_complete(asyncio.sleep(0))
        assert script.becomes(0)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
