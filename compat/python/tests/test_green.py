"""The blocking client in programs that eventlet or gevent have patched: what would block lets
the others go on."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from peers import PATIENCE_S, answer_queries, asked, concept, exactly, frame, peer, reset
from servers import Server

PATCHES = {
    "gevent": """
from gevent import monkey; monkey.patch_all()
import gevent
def spawn(work, *arguments): return gevent.spawn(work, *arguments)
def wait(task): return task.get()
Timeout, pause = gevent.Timeout.start_new, gevent.sleep
""",
    "eventlet": """
import warnings; warnings.simplefilter("ignore")
import eventlet; eventlet.monkey_patch()
def spawn(work, *arguments): return eventlet.spawn(work, *arguments)
def wait(task): return task.wait()
Timeout, pause = eventlet.Timeout, eventlet.sleep
""",
}
# A program may import the client before it is patched.
ORDERS = {"patched first": "{patch}\n{load}", "patched last": "{load}\n{patch}"}
LOAD = "import sys, time\nfrom sutra_storage_client import *\n"


def run(kind: str, program: str, *arguments: str, order: str = "patched first") -> None:
    text = ORDERS[order].format(patch=PATCHES[kind], load=LOAD) + program
    command = [sys.executable, "-c", text, *arguments]
    folder = str(Path(__file__).parent)
    path = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": path},
        timeout=2 * PATIENCE_S,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "good\n"), done.stdout + done.stderr


@pytest.mark.parametrize("order", list(ORDERS))
@pytest.mark.parametrize("kind", list(PATCHES))
def test_greenlets_share_a_client_over_few_connections(
    kind: str, order: str, shared_server: Server
) -> None:
    program = """
def work(number):
    for turn in range(20):
        name = f"{sys.argv[2]}-{number}-{turn}"
        client.learn_concept(name, name)
        assert client.query_concept(name)["content"] == name
    return number
with StorageClient(sys.argv[1], pool_size=3) as client:
    tasks = [spawn(work, number) for number in range(30)]
    assert [wait(task) for task in tasks] == list(range(30))
    names = [f"{sys.argv[2]}-many-{number}" for number in range(3000)]
    writer = spawn(client.learn_many, ((name, name * 20) for name in names))
    assert wait(spawn(work, 31)) == 31
    assert len(wait(writer)) == 3000
    assert [found["content"] for found in client.query_many(names)] == [name * 20 for name in names]
print("good")
"""
    run(kind, program, shared_server.address, f"{kind}-{order}", order=order)


@pytest.mark.parametrize("kind", list(PATCHES))
def test_a_greenlet_that_waits_lets_others_go_on_and_ends_in_time(kind: str) -> None:
    def script(connection: socket.socket, number: int) -> None:
        while (request := asked(connection)) is not None:
            if request["QueryConcept"]["concept_id"] == "slow":
                exactly(connection, 1_000)
                return
            connection.sendall(concept("quick"))

    program = """
with StorageClient(sys.argv[1], timeout=1.0, pool_size=2) as client:
    slow = spawn(client.query_concept, "slow")
    pause(0.05)
    quick = 0
    for _ in range(50):
        quick += client.query_concept("quick")["content"] == "quick"
    assert quick == 50
    try:
        wait(slow)
    except RequestTimeout:
        print("good")
"""
    with peer(script) as server:
        run(kind, program, server.address)


@pytest.mark.parametrize(
    "error",
    ["TimeoutError('mine')", "BrokenPipeError(32, 'mine')", "ConnectionLost('mine')", "None"],
)
@pytest.mark.parametrize("kind", list(PATCHES))
def test_a_timeout_of_the_programs_own_comes_out_as_it_is(kind: str, error: str) -> None:
    def script(connection: socket.socket, number: int) -> None:
        if number == 0:
            exactly(connection, 1_000)
        else:
            answer_queries(connection)

    program = f"""
with StorageClient(sys.argv[1], timeout={PATIENCE_S}, pool_size=1) as client:
    mine = {error}
    limit = Timeout(0.05, mine)
    try:
        client.query_concept("dog")
    except BaseException as raised:
        assert raised is (mine or limit), raised
        assert client.query_concept("cat")["content"] == "cat"
        print("good")
"""
    with peer(script) as server:
        run(kind, program, server.address)
        assert server.connections == 2


@pytest.mark.parametrize("kind", list(PATCHES))
def test_a_connection_that_the_server_ended_is_replaced(kind: str) -> None:
    def once(connection: socket.socket, number: int) -> None:
        connection.sendall(concept(asked(connection)["QueryConcept"]["concept_id"]))

    program = """
with StorageClient(sys.argv[1], retries=0) as client:
    for name in ("dog", "cat", "wolf"):
        assert client.query_concept(name)["content"] == name
        pause(0.2)
print("good")
"""
    with peer(once) as server:
        run(kind, program, server.address)


@pytest.mark.parametrize("kind", list(PATCHES))
def test_names_and_grids_are_found(kind: str) -> None:
    with peer(lambda connection, _: answer_queries(connection)) as server:
        port = server.address.split(":")[1]
        program = """
with StorageClient("localhost:" + sys.argv[1]) as client:
    assert client.query_concept("dog")["content"] == "dog"
try:
    StorageClient("grid://127.0.0.1:1/node", timeout=0.3)
except ConnectionLost:
    print("good")
"""
        run(kind, program, port)


def test_a_program_that_takes_sigpipe_is_not_ended_by_a_server_that_goes_away() -> None:
    def script(connection: socket.socket, number: int) -> None:
        connection.sendall(frame({"LearnConceptOk": [1]}) if asked(connection) else b"")
        reset(connection)

    program = """
import signal, sys
from sutra_storage_client import *
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
with StorageClient(sys.argv[1], retries=0) as client:
    try:
        client.learn_many((str(number), "x" * 1_000_000) for number in range(100))
    except ConnectionLost:
        print("good")
"""
    with peer(script) as server:
        done = subprocess.run(
            [sys.executable, "-c", program, server.address],
            timeout=PATIENCE_S,
            capture_output=True,
            text=True,
        )
    assert (done.returncode, done.stdout) == (0, "good\n"), done.stderr
