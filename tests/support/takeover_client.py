"""A client of the compat port that never reconnects: it asks until standard input ends.

    python takeover_client.py HOST:PORT NAME PAUSE_S

Prints, as JSON, its calls, those that took longer than a millisecond (their end and how long, in ns
of the monotonic clock), and the last content of each concept that was acknowledged.
"""

import json
import sys
import threading
import time

from sutra_storage_client import StorageClient


def main(address: str, name: str, pause: float) -> None:
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    calls, slow, last = 0, [], {}

    def timed(call, *arguments):
        nonlocal calls
        before = time.monotonic_ns()
        answer = call(*arguments)
        after = time.monotonic_ns()
        calls += 1
        if after - before > 1_000_000:
            slow.append([after, after - before])
        return answer

    with StorageClient(address, pool_size=1, retries=0, timeout=60) as client:
        while not over.is_set():
            concept, content = f"{name}-{calls % 20}", f"{name} {calls}"
            timed(client.learn_concept, concept, content)
            last[concept] = content
            found = timed(client.query_concept, concept)
            assert found is not None and found["content"] == content, (found, content)
            time.sleep(pause)
    print(json.dumps({"calls": calls, "slow": slow, "last": last}))


main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
