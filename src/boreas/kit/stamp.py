"""Clock readings for the smallest processes: no asyncio, which alone would cost them megabytes.

Used by the keepers of commands (boreas.agent.shim) and by log lines; everything else takes a
`boreas.kit.clock.Clock`.
"""

import time


def now_us() -> int:
    """The wall clock in microseconds since the epoch; may jump."""
    return time.time_ns() // 1000


def monotonic() -> float:
    """Seconds from an arbitrary start; never goes back."""
    return time.monotonic()


def pause(seconds: float) -> None:
    """Block this process for so long; only for processes that have nothing else to do."""
    time.sleep(seconds)
