"""The asyncio client in event loops of every kind, against the real server."""

from __future__ import annotations

import asyncio
import gc
import os
import random

from peers import PATIENCE_S
from servers import Server

from sutra_storage_client import AsyncStorageClient


async def use(client: AsyncStorageClient, name: str) -> bool:
    """Whether the answer is this caller's own."""
    await client.learn_concept(name, f"content of {name}")
    found = await client.query_concept(name)
    return found is not None and found["content"] == f"content of {name}"


def test_a_thousand_calls_at_once_get_their_own_answers(shared_server: Server) -> None:
    async def main() -> list[bool]:
        async with AsyncStorageClient(shared_server.address, timeout=10 * PATIENCE_S) as client:
            return await asyncio.gather(
                *(use(client, f"gather-{number}") for number in range(1000))
            )

    assert asyncio.run(main()) == [True] * 1000


def test_one_client_is_used_in_one_loop_after_the_other(shared_server: Server) -> None:
    client = AsyncStorageClient(shared_server.address, retries=0)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(5):
        assert asyncio.run(use(client, f"loop-{number}"))
    asyncio.run(client.close())
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_cancelled_calls_disturb_no_other(shared_server: Server) -> None:
    chance = random.Random(5)

    async def main() -> list[object]:
        async with AsyncStorageClient(
            shared_server.address, pool_size=8, timeout=10 * PATIENCE_S
        ) as client:
            calls = [
                asyncio.ensure_future(use(client, f"cancel-{number}")) for number in range(500)
            ]
            for call in chance.sample(calls, 200):
                await asyncio.sleep(0.001)
                call.cancel()
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert await use(client, "cancel-none")
            return list(results)

    results = asyncio.run(main())
    cancelled = [result for result in results if isinstance(result, asyncio.CancelledError)]
    assert cancelled and len(cancelled) + results.count(True) == 500, results


def test_a_client_thrown_away_in_a_running_loop_leaves_no_socket(shared_server: Server) -> None:
    async def main() -> tuple[int, int]:
        await asyncio.get_running_loop().getaddrinfo("localhost", 1)
        before = len(os.listdir("/proc/self/fd"))
        for number in range(20):
            assert await use(AsyncStorageClient(shared_server.address), f"dropped-{number}")
        gc.collect()
        await asyncio.sleep(0.01)
        return before, len(os.listdir("/proc/self/fd"))

    before, after = asyncio.run(main())
    assert after == before


def test_a_forked_child_runs_a_loop_of_its_own_on_the_same_client(shared_server: Server) -> None:
    client = AsyncStorageClient(shared_server.address, retries=0)

    async def main() -> bool:
        assert await use(client, "parent-1")
        child = os.fork()
        if child == 0:
            code = 1
            try:
                # A child of a running loop has to leave it before it can run one.
                asyncio.events._set_running_loop(None)
                code = 0 if asyncio.new_event_loop().run_until_complete(use(client, "child")) else 1
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        good = await use(client, "parent-2")
        await client.close()
        return good

    assert asyncio.run(main())
