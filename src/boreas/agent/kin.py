"""All processes that descend from this one, and signals to them.

Part of the keeper (`shim.py`), which is the reaper of its command's orphans: also those who left
the command's session and group are found here. Imports little.
"""

import contextlib
import os
import signal
from collections.abc import Iterator

from boreas.agent import steps
from boreas.kit.stamp import pause


def descendants() -> Iterator[int]:
    """Everything that still lives below this keeper; orphans fall to it, as it is their reaper."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = steps.stat_fields(int(name))
            if fields is not None and fields[0] not in (b"Z", b"X"):
                children.setdefault(int(fields[1]), []).append(int(name))
    waiting = list(children.get(os.getpid(), ()))
    while waiting:
        pid = waiting.pop()
        waiting += children.get(pid, ())
        yield pid


def signal_all(number: int) -> None:
    """Once for TERM; KILL goes round until nobody is left who could have forked meanwhile."""
    for _ in range(100):
        found = list(descendants())
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        if number == signal.SIGTERM or not found:
            return
        pause(0.01)
