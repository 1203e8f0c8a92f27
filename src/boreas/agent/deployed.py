"""Which processes and containers on this node are there because Boreas deployed them.

Every command of an order carries BOREAS_RELEASE_DIR in its environment and hands it on to what it
starts, so a daemon is recognised for ever, also after the agent was restarted. Looking costs one
directory listing; an environment is read once per process.
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

from boreas.agent.settings import docker_socket
from boreas.agent.steps import stat_fields

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
# A process may still become another program, with another environment; later it hardly does.
_YOUNG_SECONDS = 60.0
_DOCKER_SECONDS = 3.0
_SHOWN = ("APPLICATION", "TARGET", "ENVIRONMENT", "VERSION", "DEPLOYMENT_ID")

Found = dict[str, Any]


class _Belongs(NamedTuple):
    """What the environment of one process said, and when that process began."""

    started: int
    labels: dict[str, str] | None


class DeployedProcesses:
    """Looks through /proc; remembers what it has read of each process."""

    def __init__(self, data_dir: Path) -> None:
        self._mark = os.fsencode(f"BOREAS_RELEASE_DIR={data_dir.resolve()}/")
        self._known: dict[int, _Belongs] = {}
        self._cpu: dict[int, int] = {}
        self._looked_at = 0.0

    def look(self) -> list[Found]:
        """The processes of our applications, by pid."""
        uptime = _uptime()
        seconds = max(0.001, uptime - self._looked_at)
        known: dict[int, _Belongs] = {}
        cpu: dict[int, int] = {}
        found = []
        for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
            fields = stat_fields(pid)
            if fields is None:
                continue
            belongs = self._belongs(pid, int(fields[19]))
            if uptime - belongs.started / _TICKS > _YOUNG_SECONDS:
                known[pid] = belongs
            if belongs.labels is not None and fields[0] not in (b"Z", b"X"):
                cpu[pid] = int(fields[11]) + int(fields[12])
                used = (cpu[pid] - self._cpu.get(pid, cpu[pid])) / _TICKS
                found.append(_described(pid, fields, belongs.labels, 100 * used / seconds, uptime))
        self._known, self._cpu, self._looked_at = known, cpu, uptime
        return found

    def _belongs(self, pid: int, started: int) -> _Belongs:
        known = self._known.get(pid)
        if known is not None and known.started == started:
            return known
        return _Belongs(started, self._labels(pid))

    def _labels(self, pid: int) -> dict[str, str] | None:
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                variables = file.read().split(b"\0")
        except OSError:
            return None
        if not any(variable.startswith(self._mark) for variable in variables):
            return None
        pairs = (os.fsdecode(variable).partition("=") for variable in variables)
        values = {name: value for name, _, value in pairs}
        return {name.lower(): values.get(f"BOREAS_{name}", "") for name in _SHOWN}


def _described(
    pid: int, fields: list[bytes], labels: dict[str, str], cpu: float, uptime: float
) -> Found:
    return {
        "pid": pid,
        "name": _name(pid),
        "cpu_percent": round(cpu, 1),
        "rss": int(fields[21]) * _PAGE,
        "age_seconds": round(uptime - int(fields[19]) / _TICKS),
        **labels,
    }


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def _uptime() -> float:
    with open("/proc/uptime", encoding="ascii") as file:
        return float(file.read().split()[0])


async def deployed_containers() -> tuple[Found | None, list[Found]]:
    """Docker's version and our containers by label `boreas.*`; `(None, [])` without Docker."""
    socket = docker_socket()
    if not os.access(socket, os.R_OK | os.W_OK):
        return None, []
    from boreas.agent.docker_view import look  # aiohttp is only loaded where Docker is

    return await look(socket, seconds=_DOCKER_SECONDS)
