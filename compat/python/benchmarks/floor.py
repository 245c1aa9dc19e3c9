"""How far the package is from the least that Python can do: a msgpack loop on a bare socket.

    python benchmarks/floor.py 127.0.0.1:50051 [--rounds 7] [--calls 3000]

Contenders take turns in every round, each median is of all of a contender's calls or rounds, and
the ratios are what counts. The floor does nothing but pack, send, receive and unpack: no timeout,
no threads, no second read, no errors. Writes and deletes nothing but concepts named `floor-…`.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import struct
from statistics import median
from time import perf_counter_ns
from typing import Any, Callable

import msgpack
import numpy as np

from sutra_storage_client import AsyncStorageClient, StorageClient

DIMENSION = 384
RECORDS = 5000


class Floor:
    """The smallest loop that gets an answer."""

    def __init__(self, address: str) -> None:
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call(self, request: Any) -> Any:
        payload = msgpack.packb(request)
        self.socket.sendall(struct.pack(">I", len(payload)) + payload)
        return msgpack.unpackb(self.socket.recv(65536)[4:])

    def query(self, number: int) -> None:
        assert self.call({"QueryConcept": {"concept_id": "floor-0"}})["QueryConceptOk"]["found"]

    def learn(self, number: int) -> None:
        fields = {
            "concept_id": f"floor-{number}",
            "content": "content",
            "strength": 1.0,
            "confidence": 1.0,
        }
        assert self.call({"LearnConcept": fields})["LearnConceptOk"][0]


def latencies(call: Callable[[int], object], calls: int) -> list[int]:
    taken = []
    for number in range(calls):
        begin = perf_counter_ns()
        call(number)
        taken.append(perf_counter_ns() - begin)
    return taken


def compare_latency(address: str, rounds: int, calls: int) -> None:
    floor, client = Floor(address), StorageClient(address)
    client.learn_concept("floor-0", "content")
    pairs: list[tuple[str, Callable[[int], object], Callable[[int], object]]] = [
        ("query_concept", floor.query, lambda _: client.query_concept("floor-0")),
        (
            "learn_concept",
            floor.learn,
            lambda number: client.learn_concept(f"floor-{number}", "content"),
        ),
    ]
    for name, bare, ours in pairs:
        bare_ns: list[int] = []
        ours_ns: list[int] = []
        for _ in range(rounds):
            bare_ns += latencies(bare, calls)
            ours_ns += latencies(ours, calls)
        bare_us, ours_us = median(bare_ns) / 1000, median(ours_ns) / 1000
        print(
            f"{name:14} p50   floor {bare_us:7.1f} µs   package {ours_us:7.1f} µs"
            f"   ratio {ours_us / bare_us:.2f}"
        )
    client.close()


def compare_throughput(address: str, rounds: int) -> None:
    client = StorageClient(address)
    vectors = np.random.default_rng(1).standard_normal((RECORDS, DIMENSION)).astype(np.float32)
    lists = vectors[:500].tolist()

    def one_by_one() -> int:
        for number, vector in enumerate(lists):
            client.learn_concept(f"floor-{number}", "content", vector)
        return len(lists)

    def many() -> int:
        return len(
            client.learn_many(
                (f"floor-{number}", "content", vector) for number, vector in enumerate(vectors)
            )
        )

    def many_async() -> int:
        async def run() -> int:
            async with AsyncStorageClient(address) as other:
                records = (
                    (f"floor-{number}", "content", vector) for number, vector in enumerate(vectors)
                )
                return len(await other.learn_many(records))

        return asyncio.run(run())

    contenders = {
        "one by one, lists": one_by_one,
        "learn_many, numpy": many,
        "the same, asyncio": many_async,
    }
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            begin = perf_counter_ns()
            count = run()
            rates[name].append(count * 1e9 / (perf_counter_ns() - begin))
    base = median(rates["one by one, lists"])
    for name, measured in rates.items():
        print(
            f"{name:20} {median(measured):10,.0f} records/s   {median(measured) / base:.1f} times"
        )
    client.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("address", help="the server's compat port, host:port")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--calls", type=int, default=3000, help="calls of each contender in a round"
    )
    options = parser.parse_args()
    compare_latency(options.address, options.rounds, options.calls)
    compare_throughput(options.address, options.rounds)


if __name__ == "__main__":
    main()
