"""What a forked child does first: it lets go of its parent's connections.

A child never uses a connection of its parent's: both would read the same replies. It closes its
copies of the sockets, which ends nothing for the parent (close, never shutdown), and starts with an
empty pool and locks of its own, since a thread that held one is not there any more. Python's own
forks (`os.fork`, `multiprocessing`, pre-forking servers) are told here; pools compare process ids
as well, for hosts that fork without telling Python.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """Something that holds connections."""

    def after_fork(self) -> None:
        """Called in a new child, while no other thread runs."""

    def __hash__(self) -> int: ...


_forkable: WeakSet[Forkable] = WeakSet()


def register(forkable: Forkable) -> None:
    """Has `after_fork` called in every child, for as long as the object lives."""
    _forkable.add(forkable)


def _after_fork() -> None:
    for forkable in list(_forkable):
        forkable.after_fork()


os.register_at_fork(after_in_child=_after_fork)
