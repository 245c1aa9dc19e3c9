"""The options that both clients take."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

TIMEOUT_S = 10.0
# More than the threads that the usual web worker runs (40 in the widest-used one), so that no
# thread of it waits.
POOL_SIZE = 64
# As many as there is time for.
RETRIES = None
# Some 23 days: what every way to wait can count.
_LONGEST_S = 2_000_000.0


class Options(NamedTuple):
    """Checked options: `timeout` in seconds, for a call with all its retries; counts of
    connections and of retries."""

    timeout: float
    pool_size: int
    retries: int | None


def check(timeout: float, pool_size: int, retries: int | None) -> Options:
    """Raises ValueError for what makes no sense, TypeError for what is no number."""
    wanted = "a positive number of seconds (every call has an end)"
    if isinstance(timeout, (str, bytes, bytearray, bool, complex)) or not hasattr(
        timeout, "__float__"
    ):
        raise TypeError(f"timeout must be {wanted}, not {timeout!r}")
    seconds = float(timeout)
    # NaN fails both comparisons.
    if not 0 < seconds < float("inf"):
        raise ValueError(f"timeout must be {wanted}, not {timeout!r}")
    size = _count("pool_size", pool_size, 1)
    return Options(
        min(seconds, _LONGEST_S), size, None if retries is None else _count("retries", retries, 0)
    )


def _count(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    count = operator.index(value)
    if count < least:
        raise ValueError(f"{name} must be at least {least}, not {value!r}")
    return count
