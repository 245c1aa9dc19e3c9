"""Forked workers, dropped clients, the end of the interpreter."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from typing import Any

import pytest
from peers import PATIENCE_S
from servers import Server

from sutra_storage_client import AsyncStorageClient, ClientClosed, StorageClient

# Newer interpreters warn of a fork beside threads: which is what is tested.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")

inherited: StorageClient


def use(client: StorageClient, who: str, calls: int = 200) -> bool:
    """Whether every answer is this caller's own."""
    for number in range(calls):
        name = f"{who}-{number}"
        client.learn_concept(name, f"content of {name}")
        found = client.query_concept(name)
        if found is None or found["content"] != f"content of {name}":
            return False
    return True


def in_child(work: Any) -> int:
    """Forks, and returns the child's process id; its exit code is 0 where the work returned
    True."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if work() else 1
        finally:
            os._exit(code)
    return child


def ended_well(child: int) -> bool:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_parent_and_forked_children_use_one_client_at_the_same_time(shared_server: Server) -> None:
    with StorageClient(shared_server.address, retries=0) as client:
        assert use(client, "before", 1)
        children = [in_child(lambda who=who: use(client, f"child-{who}")) for who in range(4)]
        assert use(client, "parent")
        assert all([ended_well(child) for child in children])
        assert use(client, "after", 1), "the children's ends did not end the parent's connections"


def test_a_fork_in_the_middle_of_other_threads_calls_harms_nobody(shared_server: Server) -> None:
    with StorageClient(shared_server.address, retries=0, pool_size=3) as client:
        stop = threading.Event()
        results: list[bool] = []

        def work(number: int) -> None:
            while not stop.is_set():
                results.append(use(client, f"thread-{number}", 5))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        # One after the other: every child takes over a pool in another state, waiting threads and
        # held locks included.
        children = [
            ended_well(in_child(lambda who=who: use(client, f"forked-{who}", 3)))
            for who in range(20)
        ]
        stop.set()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert all(children) and len(results) >= 6 and all(results)


def work_in_pool(number: int) -> bool:
    return use(inherited, f"pool-{number}", 50)


def test_multiprocessing_workers_use_the_client_that_they_inherit(shared_server: Server) -> None:
    global inherited
    with StorageClient(shared_server.address, retries=0) as inherited:
        assert use(inherited, "main", 1)
        with multiprocessing.get_context("fork").Pool(4) as pool:
            assert pool.map(work_in_pool, range(8)) == [True] * 8
        assert use(inherited, "main", 1)


def test_a_pickled_client_is_a_new_one_of_the_same_options(shared_server: Server) -> None:
    with StorageClient(shared_server.address, timeout=7.0, pool_size=2, retries=0) as client:
        with pickle.loads(pickle.dumps(client)) as other:
            assert other is not client and other._options == client._options
            assert use(client, "pickled") and use(other, "unpickled")
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            assert pool.apply(use, (client, "spawned", 10))
    awaited = AsyncStorageClient(shared_server.address, timeout=7.0)
    again = pickle.loads(pickle.dumps(awaited))
    assert repr(again) == repr(awaited) and again._options == awaited._options


def test_clients_thrown_away_without_close_leave_no_socket(shared_server: Server) -> None:
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for number in range(100):
        assert use(StorageClient(shared_server.address), f"dropped-{number}", 1)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    "ending", ["", "raise SystemExit(0)", "import os; os.kill(os.getpid(), 15)"]
)
def test_an_interpreter_ends_while_clients_are_in_use(shared_server: Server, ending: str) -> None:
    script = f"""
import threading, time
from sutra_storage_client import StorageClient
client = StorageClient({shared_server.address!r})
called = threading.Event()
def work():
    while True:
        client.health_check()
        called.set()
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
called.wait()
{ending}
"""
    ended = subprocess.run([sys.executable, "-c", script], timeout=PATIENCE_S, capture_output=True)
    assert (ended.returncode, ended.stderr) == (-15 if "kill" in ending else 0, b"")


def test_a_child_forked_by_the_records_of_a_call_leaves_its_parents_call_alone(
    shared_server: Server,
) -> None:
    children: list[int] = []

    def records() -> Any:
        for number in range(3000):
            if number in (0, 1500):
                children.append(in_child(lambda who=number: use(client, f"in-records-{who}", 3)))
            yield f"records-{number}", "text"

    with StorageClient(shared_server.address, retries=0) as client:
        assert len(client.learn_many(records())) == 3000
        assert len(children) == 2 and all([ended_well(child) for child in children])
        assert use(client, "after-records", 1)


def test_the_last_thing_that_an_interpreter_does_may_be_a_call(shared_server: Server) -> None:
    port = shared_server.address.split(":")[1]
    script = f"""
import atexit
from sutra_storage_client import StorageClient
@atexit.register
def last():
    with StorageClient("localhost:{port}") as client:
        client.flush()
    print("good")
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], timeout=PATIENCE_S, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "good\n", "")


def test_a_client_closed_in_the_middle_of_a_call_lets_it_end(shared_server: Server) -> None:
    def records() -> Any:
        for number in range(3000):
            if number == 1500:
                client.close()
            yield f"closed-{number}", "text"

    with StorageClient(shared_server.address, retries=0) as other:
        client = StorageClient(shared_server.address, retries=0)
        assert len(client.learn_many(records())) == 3000
        with pytest.raises(ClientClosed):
            client.health_check()
        assert other.contains("closed-2999")
