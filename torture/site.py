"""A whole installation to be tortured: made for one fault, gone after it."""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from tests.support.installation import Installation, Server
from tests.support.postgres import PrivatePostgres, postgres_binaries

from torture.api import Api
from torture.tally import Tally

BUSY_BACK_WITHIN_SECONDS = 5.0
IDLE_BACK_WITHIN_SECONDS = 30.0
READY_WITHIN_SECONDS = 3.0


@contextmanager
def temporary_directory(*, keep: bool = False) -> Iterator[Path]:
    """A directory that goes with everything in it, unless somebody wants to look at it."""
    path = Path(tempfile.mkdtemp(prefix="boreas-torture-"))
    try:
        yield path
    finally:
        if keep:
            print(f"see {path}", file=sys.stderr)
        else:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def installation(
    directory: Path, *, agents: int, database_url: str | None = None, servers: int = 1
) -> Iterator[Installation]:
    """Servers, agents n1, n2, ... and a project whose environment has them all as targets."""
    whole = Installation(directory, database_url=database_url)
    try:
        for _ in range(servers):
            whole.add_server()
        whole.add_agents(agents)
        whole.make_project()
        yield whole
    finally:
        whole.stop()


@contextmanager
def postgres() -> Iterator[PrivatePostgres]:
    """A cluster of our own."""
    binaries = postgres_binaries()
    assert binaries is not None, "no PostgreSQL binaries in /usr/lib/postgresql"
    cluster = PrivatePostgres(binaries)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


class Returns:
    """Measures how long agents take to be back after a server became ready."""

    def __init__(self, api: Api, tally: Tally) -> None:
        self._api = api
        self._tally = tally

    def await_all(self, names: Set[str], *, since: float, ready: float, kind: str) -> None:
        """Wait until these agents have connected since a moment; note the slowest, from `ready`."""
        connected = self._await(names, since, at_most=60)
        missing = names - connected.keys()
        if missing:
            self._tally.add(stuck=len(missing), problem=f"{kind} agents never back: {missing}")
        for moment in connected.values():
            self._tally.slowest(f"{kind}_agent", max(0.0, moment - ready))

    def all_online(self, names: Set[str], *, at_most: float) -> bool:
        """Do all of these count as online in time?"""

        def look() -> bool:
            agents = self._api.get("/api/release/agents?limit=500")["items"]
            return names <= {agent["name"] for agent in agents if agent["online"]}

        return holds_within(at_most, look)

    def _await(self, names: Set[str], since: float, *, at_most: float) -> dict[str, float]:
        end = time.monotonic() + at_most
        connected: dict[str, float] = {}
        while names - connected.keys() and time.monotonic() < end:
            time.sleep(0.05)
            for agent in self._api.get("/api/release/agents?limit=500")["items"]:
                moment = _moment(agent["connected_at"])
                if agent["online"] and agent["name"] in names and moment >= since:
                    connected[agent["name"]] = moment
        return connected


def _moment(text: str | None) -> float:
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def restart(server: Server, tally: Tally, *, away: float = 0.0) -> tuple[float, float]:
    """SIGKILL, some time without, start; when it was killed, and when it was ready."""
    killed = time.time()  # noqa: TID251 - compared with what the server says
    server.kill()
    time.sleep(away)
    started = time.monotonic()
    server.start()
    tally.slowest("ready", time.monotonic() - started)
    return killed, time.time()  # noqa: TID251


def holds_within(seconds: float, look: Callable[[], bool]) -> bool:
    """Did it become true in time?"""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if look():
            return True
        time.sleep(0.01)
    return False
