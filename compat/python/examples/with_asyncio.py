"""Many requests at a time, in asyncio.

    python with_asyncio.py [HOST:PORT]

Needs a server; without an argument the one whose compat port is 127.0.0.1:50051.
"""

import asyncio
import sys

from sutra_storage_client import AsyncStorageClient


async def main(address: str) -> None:
    async with AsyncStorageClient(address) as client:
        names = [f"asyncio/{number}" for number in range(100)]
        await asyncio.gather(*(client.learn_concept(name, f"content of {name}") for name in names))
        concepts = await asyncio.gather(*(client.query_concept(name) for name in names))
        print(sum(concept is not None for concept in concepts), "concepts")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051"))
