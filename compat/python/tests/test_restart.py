"""A server that is killed and started again under running clients."""

from __future__ import annotations

import random
import threading
from typing import Any

from peers import PATIENCE_S
from servers import Server

from sutra_storage_client import ConnectionLost, RequestTimeout, StorageClient

THREADS = 8
CALLS = 100_000
KNOWN = 2_000
RESTARTS = 5


class Caller(threading.Thread):
    """Asks and learns, and knows what every answer must be."""

    def __init__(self, client: StorageClient, number: int) -> None:
        super().__init__()
        self._client = client
        self._number = number
        self.calls = 0
        self.lost = 0
        self.learned: list[str] = []
        self.problems: list[str] = []

    def run(self) -> None:
        chance = random.Random(self._number)
        while self.calls < CALLS // THREADS and not self.problems:
            try:
                if self.calls % 20 == 0:
                    name = f"learned-{self._number}-{self.calls}"
                    self._client.learn_concept(name, f"content of {name}")
                    self.learned.append(name)
                else:
                    name = f"known-{chance.randrange(KNOWN)}"
                    found = self._client.query_concept(name)
                    if found is None or found["content"] != f"content of {name}":
                        self.problems.append(f"{name}: {found}")
            except RequestTimeout as timeout:
                self.problems.append(f"a call took all of its time: {timeout}")
            except ConnectionLost:
                self.lost += 1
            except Exception as error:
                self.problems.append(repr(error))
            self.calls += 1


def test_restarts_under_eight_threads_lose_calls_at_most_and_mix_up_none(server: Server) -> None:
    with StorageClient(server.address, timeout=PATIENCE_S) as client:
        client.learn_many((f"known-{index}", f"content of known-{index}") for index in range(KNOWN))
        callers = [Caller(client, number) for number in range(THREADS)]
        for caller in callers:
            caller.start()
        for restart in range(1, RESTARTS + 1):
            # Spread over the calls, not over time.
            while any(caller.is_alive() for caller in callers) and (
                sum(caller.calls for caller in callers) < restart * CALLS // (RESTARTS + 1)
            ):
                callers[0].join(0.01)
            server.restart()
        for caller in callers:
            caller.join(2 * PATIENCE_S)
            assert not caller.is_alive(), "a call hangs"
        assert [caller.problems for caller in callers] == [[]] * THREADS
        assert sum(caller.calls for caller in callers) == CALLS
        lost = sum(caller.lost for caller in callers)
        assert lost < CALLS // 100, "the retries span a restart, mostly"
        learned = [name for caller in callers for name in caller.learned]
        found = client.query_many(learned)
        missing = [name for name, concept in zip(learned, found) if concept is None]
        assert missing == [], "what was acknowledged survives kill -9"


def test_a_long_import_goes_on_over_a_restart(make_client: Any, server: Server) -> None:
    count = 20_000
    is_half_sent = threading.Event()

    def records() -> Any:
        for index in range(count):
            if index == count // 2:
                is_half_sent.set()
            yield f"import-{index}", f"content {index}"

    def restart() -> None:
        assert is_half_sent.wait(PATIENCE_S)
        server.restart()

    restarter = threading.Thread(target=restart)
    restarter.start()
    with make_client(server.address, timeout=PATIENCE_S, retries=20) as client:
        assert len(client.learn_many(records())) == count
        restarter.join(PATIENCE_S)
        found = client.query_many(f"import-{index}" for index in range(count))
        assert [concept and concept["content"] for concept in found] == [
            f"content {index}" for index in range(count)
        ]
