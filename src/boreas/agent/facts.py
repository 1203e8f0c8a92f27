"""What the server should know of this node; gathered now and then, in a thread, off the hot path.

Sent with a heartbeat only when something changed enough to be worth a message. Arguments of
processes are never read: they may hold secrets.
"""

import asyncio
import os
import platform
import pwd
import socket
from pathlib import Path
from typing import Any

import structlog

from boreas import __version__
from boreas.agent.deployed import DeployedProcesses, deployed_containers
from boreas.kit.clock import Clock
from boreas.kit.ids import jittered
from boreas.kit.until import Hint

logger = structlog.get_logger(__name__)

REFRESH_SECONDS = 20.0
# After an order has ended people look at what it left behind; a burst of orders is one look.
LOOK_SOON_SECONDS = 2.0

# A change below these is noise: a load that breathes, memory that a cache takes and gives.
_LOAD_STEP = 0.5
_SHARE_STEP = 0.05
_CPU_STEP = 10.0

Facts = dict[str, Any]


class FactsBoard:
    """The latest facts, and whether the server has them."""

    def __init__(self) -> None:
        self._latest: Facts | None = None
        self._sent: Facts | None = None
        self.look_soon = Hint()
        """Raised when something has changed on the node by our own doing."""
        self.news_came = Hint()
        """Raised when there is something to send; the link waits for it."""

    def send_again(self) -> None:
        """A new link: the server may be another one."""
        self._sent = None

    def put(self, facts: Facts) -> None:
        """Newly gathered ones."""
        self._latest = facts
        if self._has_news():
            self.news_came.raise_()

    def news(self) -> Facts | None:
        """What to send with the next beat, if anything; counts as sent."""
        if not self._has_news():
            return None
        self._sent = self._latest
        return self._latest

    def _has_news(self) -> bool:
        if self._latest is None:
            return False
        return self._sent is None or changed_enough(self._sent, self._latest)


class FactsGatherer:
    """Fills the board for as long as it runs."""

    def __init__(self, board: FactsBoard, data_dir: Path, clock: Clock) -> None:
        self._board = board
        self._data_dir = data_dir
        self._clock = clock
        self._processes = DeployedProcesses(data_dir)
        self._fixed = fixed_facts()

    async def run(self) -> None:
        """Gather, wait, gather again."""
        while True:
            facts = await asyncio.to_thread(self._gather)
            facts["docker"], facts["containers"] = await deployed_containers()
            self._board.put(facts)
            if await self._board.look_soon.wait(at_most=jittered(REFRESH_SECONDS, by=0.25)):
                await self._clock.sleep(LOOK_SOON_SECONDS)

    def _gather(self) -> Facts:
        changing = changing_facts(self._data_dir)
        return {**self._fixed, **changing, "processes": self._processes.look()}


def fixed_facts() -> Facts:
    """What does not change while the agent runs."""
    release = platform.freedesktop_os_release() if os.path.exists("/etc/os-release") else {}
    return {
        "host": socket.gethostname(),
        "os": release.get("PRETTY_NAME", platform.system()),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "agent_version": __version__,
        "cpu_count": os.cpu_count() or 1,
        "boot_time": _boot_time(),
        "pid": os.getpid(),
        "user": pwd.getpwuid(os.geteuid()).pw_name,
    }


def changing_facts(data_dir: Path) -> Facts:
    """Load, memory and the disk that the data directory lies on."""
    memory = _meminfo()
    disk = os.statvfs(data_dir)
    return {
        "load": [round(value, 2) for value in os.getloadavg()],
        "memory_total": memory.get("MemTotal", 0),
        "memory_available": memory.get("MemAvailable", 0),
        "disk_total": disk.f_blocks * disk.f_frsize,
        "disk_free": disk.f_bavail * disk.f_frsize,
    }


def changed_enough(old: Facts, new: Facts) -> bool:
    """Would a person looking at the node want to see the difference?"""
    if old.keys() != new.keys():
        return True
    return any(_differs(name, old[name], new[name], new) for name in new)


def _differs(name: str, old: Any, new: Any, facts: Facts) -> bool:
    match name:
        case "load":
            return bool(abs(old[0] - new[0]) >= _LOAD_STEP)
        case "memory_available":
            return bool(abs(old - new) >= _SHARE_STEP * max(1, facts["memory_total"]))
        case "disk_free":
            return bool(abs(old - new) >= _SHARE_STEP * max(1, facts["disk_total"]))
        case "processes":
            return _processes_differ(old, new)
        case _:
            return bool(old != new)


def _processes_differ(old: list[Facts], new: list[Facts]) -> bool:
    if [one["pid"] for one in old] != [one["pid"] for one in new]:
        return True
    pairs = zip(old, new, strict=True)
    return any(
        abs(before["cpu_percent"] - after["cpu_percent"]) >= _CPU_STEP
        or abs(before["rss"] - after["rss"]) >= 0.2 * max(1, before["rss"])
        for before, after in pairs
    )


def _meminfo() -> dict[str, int]:
    found = {}
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            name, _, rest = line.partition(":")
            if name in ("MemTotal", "MemAvailable"):
                found[name] = int(rest.split()[0]) * 1024
    return found


def _boot_time() -> int:
    with open("/proc/stat", encoding="ascii") as file:
        for line in file:
            if line.startswith("btime "):
                return int(line.split()[1])
    return 0
