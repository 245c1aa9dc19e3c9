"""Whether an exception is a signal handler's, which may raise between any two steps of the code
that it interrupts."""

from __future__ import annotations

import functools
import signal
from types import CodeType
from typing import Any


def is_a_handlers(error: BaseException) -> bool:
    """Whether a signal handler raised this: what is told apart from the errors of the code that
    it interrupted."""
    handlers = {_code(signal.getsignal(number)) for number in signal.valid_signals()} - {None}
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code in handlers:
            return True
        traceback = traceback.tb_next
    return False


def _code(handler: Any) -> CodeType | None:
    """What a handler runs: that of a function, of a method, or of an object that can be called."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    handler = getattr(handler, "__func__", handler)
    code = getattr(handler, "__code__", None)
    if code is None and callable(handler):
        code = getattr(type(handler).__call__, "__code__", None)
    return code if isinstance(code, CodeType) else None
