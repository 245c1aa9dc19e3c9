"""One Python client's calls, one after the other. `sutra-bench compare` starts it once for each
measurement.

    python clients.py CLIENT OPERATION ADDRESS --seconds 1 [--warm-up 0.2] [--cpu 1]
        [--stubs FOLDER] [--value-bytes N]

Every answer is checked. A wrong one ends the run with its reason. Prints one line of JSON: how many
calls were made in all, and of the measured ones the seconds that they took, the CPU seconds that
this process used, and the latencies in ns.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import struct
import sys
from hashlib import md5
from time import perf_counter_ns, process_time
from typing import Any, Callable

CONCEPTS = 10_000
LEARNED = 20_000
QUERIED_CONTENT = ("sutra " * 34)[:200]
LEARNED_CONTENT = ("sutra " * 17)[:100]
DIMENSION = 384

Call = Callable[[int], None]


def queried(number: int) -> str:
    return f"bench-{number:010}"


def learned(number: int) -> str:
    return f"learned-{number:010}"


def id_of(name: str) -> str:
    """The id that a server gives a concept of this name."""
    return md5(name.encode()).hexdigest()


def check(is_right: bool, what: object) -> None:
    if not is_right:
        raise SystemExit(f"a wrong answer: {what!r}")


def package(address: str, options: argparse.Namespace) -> dict[str, Call]:
    """The package that Sutra's users import. It sends vectors as they are, as numpy arrays."""
    import numpy as np
    from sutra_storage_client import StorageClient

    client = StorageClient(address)
    vector = np.arange(DIMENSION, dtype=np.float32) / DIMENSION

    def query(number: int) -> None:
        found = client.query_concept(queried(number))
        check(found is not None and found["content"] == QUERIED_CONTENT, found)
        check(found is not None and found["id"] == id_of(queried(number)), found)

    def learn(number: int) -> None:
        check(client.learn_concept(learned(number), LEARNED_CONTENT, vector) > 0, "no sequence")

    return {"query": query, "learn": learn}


def floor(address: str, options: argparse.Namespace) -> dict[str, Call]:
    """The least that gets an answer: no timeout, no threads, one read, no handling of errors."""
    import msgpack
    import numpy as np

    host, port = address.rsplit(":", 1)
    connection = socket.create_connection((host, int(port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    vector = np.arange(DIMENSION, dtype=np.float32) / DIMENSION

    def ask(request: Any) -> Any:
        payload = msgpack.packb(request)
        connection.sendall(struct.pack(">I", len(payload)) + payload)
        return msgpack.unpackb(connection.recv(65536)[4:])

    def query(number: int) -> None:
        found = ask({"QueryConcept": {"concept_id": queried(number)}})["QueryConceptOk"]
        is_right = found["concept_id"] == id_of(queried(number))
        check(is_right and found["content"] == QUERIED_CONTENT, found)

    def learn(number: int) -> None:
        fields = {
            "concept_id": learned(number),
            "content": LEARNED_CONTENT,
            "embedding": vector.tobytes(),
        }
        answer = ask({"LearnConcept": {**fields, "strength": 1.0, "confidence": 1.0}})
        check(answer["LearnConceptOk"][0] > 0, answer)

    return {"query": query, "learn": learn}


def grpcio(address: str, options: argparse.Namespace) -> dict[str, Call]:
    """gRPC's own client, with the code that its compiler makes for the calls."""
    sys.path.insert(0, options.stubs)
    import grpc
    import numpy as np
    import storage_pb2 as messages
    import storage_pb2_grpc as calls

    stub = calls.StorageStub(grpc.insecure_channel(address))
    vector = np.arange(DIMENSION, dtype=np.float32) / DIMENSION

    def query(number: int) -> None:
        found = stub.QueryConcept(messages.QueryConceptRequest(concept_id=queried(number)))
        is_right = found.found and found.concept_id == id_of(queried(number))
        check(is_right and found.content == QUERIED_CONTENT, found)

    def learn(number: int) -> None:
        request = messages.LearnConceptRequest(
            concept_id=learned(number),
            content=LEARNED_CONTENT,
            # Several times quicker than passing the array itself.
            embedding=vector.tolist(),
            strength=1.0,
            confidence=1.0,
        )
        check(stub.LearnConcept(request).sequence > 0, "no sequence")

    return {"query": query, "learn": learn}


def redis(address: str, options: argparse.Namespace) -> dict[str, Call]:
    """redis-py with hiredis, as its documentation recommends; values begin with their keys."""
    import redis as redis_py

    host, port = address.rsplit(":", 1)
    client = redis_py.Redis(host, int(port))
    filler = ("sutra " * 400).encode()

    def query(number: int) -> None:
        value = client.get(queried(number))
        check(isinstance(value, bytes) and len(value) == options.value_bytes, value)
        check(isinstance(value, bytes) and value.startswith(queried(number).encode()), value)

    def learn(number: int) -> None:
        key = learned(number)
        value = (key.encode() + filler)[: options.value_bytes]
        check(client.set(key, value) is True, "not stored")

    return {"query": query, "learn": learn}


CLIENTS: dict[str, Callable[[str, argparse.Namespace], dict[str, Call]]] = {
    "package": package,
    "floor": floor,
    "grpcio": grpcio,
    "redis": redis,
}


def main() -> None:
    as_it_is = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_it_is)
    parser.add_argument("client", choices=CLIENTS)
    parser.add_argument("operation", choices=["query", "learn"])
    parser.add_argument("address")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--warm-up", type=float, default=0.2)
    parser.add_argument("--cpu", type=int)
    parser.add_argument("--stubs", default=".", help="where the code made of storage.proto lies")
    parser.add_argument("--value-bytes", type=int, default=0, help="bytes of Redis's values")
    options = parser.parse_args()
    # Ends this run if a server accepts and says nothing: the comparison would wait for ever.
    signal.alarm(int(options.seconds + options.warm_up) + 30)
    if options.cpu is not None:
        os.sched_setaffinity(0, {options.cpu})
    call = CLIENTS[options.client](options.address, options)[options.operation]
    pick: Callable[[], int]
    if options.operation == "query":
        pick = lambda: random.randrange(CONCEPTS)  # noqa: E731
    else:
        numbers = iter(range(sys.maxsize))
        pick = lambda: next(numbers) % LEARNED  # noqa: E731

    calls = 0
    begin = perf_counter_ns()
    since = begin + int(options.warm_up * 1e9)
    until = since + int(options.seconds * 1e9)
    while perf_counter_ns() < since:
        call(pick())
        calls += 1
    latencies: list[int] = []
    cpu_before, measured_since = process_time(), perf_counter_ns()
    before = measured_since
    while before < until:
        call(pick())
        after = perf_counter_ns()
        latencies.append(after - before)
        before = after
    cpu, measured = process_time() - cpu_before, before - measured_since
    calls += len(latencies)
    found = {
        "calls": calls,
        "seconds": measured / 1e9,
        "client_cpu_seconds": cpu,
        "latencies_ns": latencies,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
