"""Numpy vectors, sent as the bytes that they are, and a search among them.

    python with_numpy.py [HOST:PORT]

Needs a server whose default namespace has vectors of 8 numbers or none yet; without an argument the
one whose compat port is 127.0.0.1:50051.
"""

import sys

import numpy
from sutra_storage_client import StorageClient


def main(address: str) -> None:
    vectors = numpy.random.default_rng(7).standard_normal((1000, 8), dtype=numpy.float32)
    with StorageClient(address) as client:
        client.learn_many(
            {"concept_id": f"numpy/{row}", "content": f"row {row}", "embedding": vector}
            for row, vector in enumerate(vectors)
        )
        best, similarity = client.vector_search(vectors[42], k=1)[0]
        concept = client.query_concept(best)
        assert concept is not None
        print(concept["content"], round(similarity, 3))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051")
