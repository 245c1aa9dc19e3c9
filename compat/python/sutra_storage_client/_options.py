"""The options that both clients take."""

from __future__ import annotations

import math
from typing import NamedTuple

TIMEOUT_S = 10.0
# More than the threads that the usual web worker runs (40 in the widest-used one), so that no thread of it waits.
POOL_SIZE = 64
RETRIES = 5


class Options(NamedTuple):
    """Checked options: `timeout` in seconds, for a call with all its retries; counts of connections and of retries."""

    timeout: float
    pool_size: int
    retries: int


def check(timeout: float, pool_size: int, retries: int) -> Options:
    """Raises ValueError for what makes no sense, TypeError for what is no number."""
    seconds = float(timeout)
    if not (seconds > 0 and math.isfinite(seconds)):
        raise ValueError(f"timeout must be a positive number of seconds, not {timeout!r}: every call has an end")
    if pool_size < 1:
        raise ValueError(f"pool_size must be at least 1, not {pool_size!r}")
    if retries < 0:
        raise ValueError(f"retries must be 0 or more, not {retries!r}")
    return Options(seconds, int(pool_size), int(retries))
