"""Work that both clients do alike, written once: a generator that says what it waits for and does
no waiting itself.

It is sent True when that has happened, and False when the time for it is over. What interrupts a
wait (a signal handler's exception, a cancelled task) ends the generator, which lets go of what it
has. Times are in `monotonic()`.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Generator
from concurrent import futures
from time import monotonic
from typing import Any, NamedTuple, TypeVar, Union

from . import _polling

T = TypeVar("T")


class Ready(NamedTuple):
    """Until the socket can be read, or written."""

    socket: socket.socket
    wanted: int
    until: float


class Done(NamedTuple):
    """Until another thread has done something."""

    work: futures.Future[Any]
    until: float


class Pause(NamedTuple):
    """For this time, whatever happens."""

    until: float


Step = Union[Ready, Done, Pause]
Steps = Generator[Step, bool, T]


def _left(step: Step) -> float:
    return max(0.0, step.until - monotonic())


class _End(NamedTuple):
    """All steps are done."""

    result: Any


def _next(steps: Steps[T], happened: bool | None) -> Step | _End:
    """The next step, or the end with its result. Only the generator's own end is caught here."""
    try:
        return next(steps) if happened is None else steps.send(happened)
    except StopIteration as end:
        return _End(end.value)


def run(steps: Steps[T]) -> T:
    """Does all steps and waits where they say so."""
    try:
        step = _next(steps, None)
        while not isinstance(step, _End):
            step = _next(steps, _wait(step))
        result: T = step.result
        return result
    finally:
        steps.close()


def _wait(step: Step) -> bool:
    if isinstance(step, Ready):
        return bool(_polling.poller(step.socket, step.wanted).poll(_left(step) * 1000))
    if isinstance(step, Done):
        return bool(futures.wait([step.work], _left(step)).done)
    time.sleep(_left(step))
    return False


async def run_async(steps: Steps[T]) -> T:
    """The same in an event loop, whose other tasks go on."""
    loop = asyncio.get_running_loop()
    try:
        step = _next(steps, None)
        while not isinstance(step, _End):
            step = _next(steps, await _wait_async(loop, step))
        result: T = step.result
        return result
    finally:
        steps.close()


async def _wait_async(loop: asyncio.AbstractEventLoop, step: Step) -> bool:
    if isinstance(step, Pause):
        await asyncio.sleep(_left(step))
        return False
    happened: asyncio.Future[bool] = loop.create_future()
    timer = loop.call_later(_left(step), _settle, happened, False)
    try:
        if isinstance(step, Done):
            step.work.add_done_callback(lambda _: _settle_from_elsewhere(loop, happened))
            return await happened
        # A number, since a loop may keep a socket from being closed for as long as it is watched.
        number = step.socket.fileno()
        watch, forget = (
            (loop.add_writer, loop.remove_writer)
            if step.wanted == _polling.WRITE
            else (loop.add_reader, loop.remove_reader)
        )
        watch(number, _settle, happened, True)
        try:
            return await happened
        finally:
            forget(number)
    finally:
        timer.cancel()


def _settle(happened: asyncio.Future[bool], value: bool) -> None:
    if not happened.done():
        happened.set_result(value)


def _settle_from_elsewhere(loop: asyncio.AbstractEventLoop, happened: asyncio.Future[bool]) -> None:
    if not loop.is_closed():
        try:
            loop.call_soon_threadsafe(_settle, happened, True)
        except RuntimeError:  # closed just now: nobody waits
            pass
