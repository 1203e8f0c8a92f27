"""Run the real coroutines without an event loop: here nothing ever has to wait.

The store, the clock and the gateway of a simulation answer at once, so a coroutine runs to its end
in one go. That is what makes thousands of rounds a second possible.
"""

from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


class Killed(BaseException):
    """The server's process ended at this very point. No handler of the server may catch it."""


class WouldWait(AssertionError):
    """A coroutine waited for something; in a simulation nobody would ever wake it."""


def run_now(coroutine: Coroutine[Any, Any, T]) -> T:
    """The coroutine's result; raises what it raises."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise WouldWait("a coroutine of the simulation waited")


class SimClock:
    """Time as a value; moves only when the simulation says so."""

    def __init__(self) -> None:
        self._now = BEGINNING

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return (self._now - BEGINNING).total_seconds()

    async def sleep(self, seconds: float) -> None:
        """Nobody sleeps in a simulation: time passes between steps."""

    def advance(self, seconds: float) -> None:
        """Time goes on."""
        self._now += timedelta(seconds=seconds)

    def advance_to(self, at: datetime) -> None:
        """Time jumps forward, never back."""
        self._now = max(self._now, at)
