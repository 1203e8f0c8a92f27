"""Waiting for a state, never for a while."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(look: Callable[[], T], *, at_most: float = 30.0, why: Callable[[], object] = str) -> T:
    """The first truthy answer of `look`; fails with `why()` when none comes in time."""
    end = time.monotonic() + at_most
    while True:
        answer = look()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {at_most} s: {why()}")
        time.sleep(0.02)
