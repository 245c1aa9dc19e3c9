"""Vectors as they are sent: little-endian `f32`, packed, as one msgpack `bin`."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping, Set
from typing import Any

# numpy's kinds of types that are numbers of one dimension, or Python objects, which are asked for a
# float each.
_NUMBERS = "biufO"


def pack(vector: Any) -> bytes:
    """The bytes of a vector: a numpy array of any number type, or any iterable of numbers.

    Raises TypeError for what isn't numbers in an order (text, dicts, sets, complex numbers, masked
    arrays), ValueError for an array that isn't one-dimensional. Values are rounded to `f32`; what
    that can't hold becomes infinite, which the server refuses with a message of its own.
    """
    if hasattr(vector, "astype") and hasattr(vector, "tobytes"):
        if hasattr(vector, "mask"):
            raise TypeError("a masked array has numbers missing: fill it before it is sent")
        if vector.dtype.kind not in _NUMBERS:
            raise TypeError(f"a vector is an array of real numbers, not of {vector.dtype}")
        if vector.ndim != 1:
            raise ValueError(f"a vector has one dimension, this array has the shape {vector.shape}")
        packed: bytes = vector.astype("<f4", copy=False).tobytes()
        return packed
    if isinstance(vector, (str, bytes, bytearray, Mapping, Set)):
        # `array` would take bytes for something else than numbers; keys and sets have numbers, but
        # in no order.
        raise TypeError(
            f"a vector is an array or a sequence of numbers, not {type(vector).__name__}"
        )
    try:
        numbers = array("f", vector)
    except OverflowError:  # an integer that no float can hold
        raise ValueError("a number of the vector is too large for an f32") from None
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()
