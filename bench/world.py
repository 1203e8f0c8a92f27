"""A whole Boreas for one measurement: real processes in a directory of their own, gone after it."""

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
from tests.support.installation import FINAL, Installation
from tests.support.waiting import until

from boreas.kit.stamp import now_us

ROOT = Path(__file__).parent.parent
PATIENCE = 120.0


@contextmanager
def directory() -> Iterator[Path]:
    """Removed with all that is in it."""
    path = Path(tempfile.mkdtemp(prefix="boreas-bench-", dir="/tmp"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def boreas(*, agents: int = 0) -> Iterator["World"]:
    """One server and so many real agents, which are the targets of one project."""
    with directory() as path:
        world = World(path)
        try:
            world.add_server()
            if agents:
                world.add_agents(agents)
            world.make_project()
            world.make_script("app", "true")
            yield world
        finally:
            world.stop()


class World(Installation):
    """An installation, with what measurements ask for. One kept-open HTTP connection."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.http = httpx.Client(timeout=PATIENCE)
        self._versions = 0

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return self.http.request(method, self.url + path, json=body, headers=headers, **options)

    def online(self) -> set[str]:
        agents = self.get("/api/release/agents?limit=500")["items"]
        return {agent["name"] for agent in agents if agent["online"]}

    def until_online(self, *names: str) -> None:
        until(lambda: set(names) <= self.online(), at_most=PATIENCE)

    @property
    def server(self) -> psutil.Process:
        process = self.servers[0].process
        assert process is not None
        return psutil.Process(process.pid)

    def agent(self, index: int = 0) -> psutil.Process:
        process = self.agents[index].process
        assert process is not None
        return psutil.Process(process.pid)

    def wish(self, tasks: Sequence[Any], **more: Any) -> dict[str, Any]:
        """The body of a deployment of these tasks."""
        self._versions += 1
        version = self.make_version(f"v{self._versions}")
        wish = {"versionId": version, "environmentId": self.environment, "applicationIds": ["app"]}
        return {**wish, "tasks": list(tasks), **more}

    def start(self, wish: Any) -> str:
        """Post it; the deployment's id."""
        deployment: str = self.post("/api/v1/deployments", wish)["id"]
        return deployment

    def until_done(self, deployment: str, *, at_most: float = PATIENCE) -> None:
        """Wait for success, asking seldom and for little."""

        def look() -> bool:
            listed = self.get("/api/v1/deployments?limit=20")["items"]
            state = next((it["status"] for it in listed if it["id"] == deployment), "")
            assert state not in FINAL - {"success"}, self.deployment(deployment)["errorMessage"]
            return bool(state == "success")

        until(look, at_most=at_most, why=lambda: self.deployment(deployment)["waitingFor"])

    def until_over(self, deployment: str, *, at_most: float) -> None:
        """The same for one so large that looking at it often would be what is measured."""
        end = time.monotonic() + at_most
        path = "/api/v1/deployments?status=success&limit=5"
        while all(it["id"] != deployment for it in self.get(path)["items"]):
            assert time.monotonic() < end, "the deployment did not end"
            time.sleep(0.3)

    def light_agents(self, count: int) -> subprocess.Popen[bytes]:
        """So many connections from one process that answers orders without doing them."""
        tokens = [
            self.post("/api/release/agents/enroll-tokens", {"uses": uses})["token"]
            for uses in [1000] * (count // 1000) + ([count % 1000] if count % 1000 else [])
        ]
        argv = [sys.executable, "-m", "bench.light_agents", str(count), *tokens]
        process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"connected\n", "the light agents did not connect"
        return process

    def add_targets(self, names: Sequence[str]) -> None:
        """Each called like its agent."""
        for name in names:
            wish = {"name": name, "agent": name}
            self.post(f"/api/release/environments/{self.environment}/targets", wish)

    def stop(self) -> None:
        super().stop()
        self.http.close()


def command(id_: str, text: str, **payload: Any) -> dict[str, Any]:
    """A task that runs this on the first target, or where `payload` says."""
    return {"id": id_, "type": "custom", "payload": {"command": text, **payload}}


def moment(text: str) -> float:
    """Seconds since the epoch of a time in an answer."""
    return datetime.fromisoformat(text).timestamp()


def wall_clock() -> float:
    """The time that commands and the server stamp with, too."""
    return now_us() / 1e6


def cpu_seconds(process: psutil.Process) -> float:
    """What it has used so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def cpu_percent(process: psutil.Process, *, seconds: float) -> float:
    """Of one core, over so long a window."""
    before = cpu_seconds(process)
    time.sleep(seconds)
    return (cpu_seconds(process) - before) / seconds * 100


def pss_megabytes(process: psutil.Process) -> float:
    """Memory, shared pages divided among those who share them."""
    return float(process.memory_full_info().pss) / 1e6


def many_files() -> None:
    """Thousands of connections need as many descriptors, here and in the processes we start."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def compiled() -> None:
    """As `make setup` leaves it, also where PYTHONDONTWRITEBYTECODE is set."""
    argv = [sys.executable, "-m", "compileall", "-q", str(ROOT / "src")]
    subprocess.run(argv, check=False, stdout=subprocess.DEVNULL)
