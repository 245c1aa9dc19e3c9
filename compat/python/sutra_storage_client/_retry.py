"""When to try again: exponential backoff with full jitter, within the time that the call has."""

from __future__ import annotations

import random

# Five tries (the default) span up to 1.55 s, a server's usual restart; the first comes soon, for a connection that a
# restarted server has closed.
_BASE_S = 0.05
_CAP_S = 2.0


def pause(attempt: int, retries: int, remaining: float) -> float | None:
    """Seconds to wait before retry number `attempt` (from 0), or None where there is none left to make.

    The jitter is full (anywhere from zero), so that the clients of a server that comes back don't come back together.
    """
    if attempt >= retries:
        return None
    delay = random.uniform(0.0, min(_CAP_S, _BASE_S * 2.0 ** min(attempt, 16)))
    return delay if delay < remaining else None
