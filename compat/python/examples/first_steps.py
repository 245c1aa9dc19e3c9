"""Learn two concepts, associate them, and ask.

    python first_steps.py [HOST:PORT]

Needs a server; without an argument the one whose compat port is 127.0.0.1:50051.
"""

import sys

from sutra_storage_client import StorageClient


def main(address: str) -> None:
    with StorageClient(address) as client:
        client.learn_concept("steps/dog", "a domesticated carnivore")
        client.learn_concept("steps/animal", "a living organism")
        client.learn_association("steps/dog", "steps/animal", 3)  # hierarchical
        dog = client.query_concept("steps/dog")
        assert dog is not None
        print(dog["content"])
        for neighbor in client.get_neighbors("steps/dog"):
            concept = client.query_concept(neighbor)
            assert concept is not None
            print(" ", concept["content"])


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051")
