"""When to try again: exponential backoff with full jitter, for as long as the call may take."""

from __future__ import annotations

import random

# The first comes soon, for a connection that a restarted server has closed. The last ones are as
# frequent as a server that is away can be asked by all of its clients.
_BASE_S = 0.05
_CAP_S = 1.0


def pause(attempt: int, retries: int | None, remaining: float) -> float | None:
    """Seconds to wait before retry number `attempt` (from 0), or None where there is none left to
    make.

    The jitter is full (anywhere from zero), so that the clients of a server that comes back don't
    come back together.
    """
    if retries is not None and attempt >= retries:
        return None
    if remaining <= _BASE_S:
        return None
    return random.uniform(0.0, min(_CAP_S, _BASE_S * 2.0 ** min(attempt, 16), remaining))
