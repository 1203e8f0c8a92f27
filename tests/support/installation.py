"""A whole Boreas as a user has it: real server and agent processes, spoken to over HTTP."""

import random
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support.waiting import until

PASSWORD = "correct horse battery staple"
PORTS = (12_000, 32_000)
FINAL = {"success", "failed", "cancelled", "rolled_back"}


def free_port() -> int:
    """A port that is free for UDP and TCP now, and stays so while its server is started again.

    Below those that the kernel gives to whoever asks for any: one of them may be gone by then.
    """
    while True:
        port = random.randrange(*PORTS)
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@dataclass
class Server:
    """One server process; started again it listens on the same ports with the same data."""

    data_dir: Path
    database_url: str | None = None
    http: int = field(default_factory=free_port)
    quic: int = field(default_factory=free_port)
    options: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    """Words of the command line before all others: `env` with something, say."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http}"

    def start(self) -> "Server":
        """Returns when it says that it is ready."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        argv = [
            *(*self.before, sys.executable, "-m", "boreas", "server"),
            *("--data-dir", str(self.data_dir)),
            *("--http", f"127.0.0.1:{self.http}", "--quic", f"127.0.0.1:{self.quic}"),
            *("--allow-inner", "127.0.0.0/8"),
            *(("--database-url", self.database_url) if self.database_url else ()),
            *self.options,
        ]
        with (self.data_dir / "stderr").open("ab") as stderr:
            self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=stderr)
        until(self.is_ready, at_most=90, why=self.words)
        return self

    def is_ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended: {self.words()}")
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def words(self) -> str:
        """The end of what it said."""
        return (self.data_dir / "stderr").read_text()[-4000:]

    def kill(self) -> None:
        """SIGKILL: no goodbye, no flush."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=15)


@dataclass
class AgentProcess:
    """One agent process; started again it has the same data directory."""

    name: str
    data_dir: Path
    token: str
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> "AgentProcess":
        self.data_dir.mkdir(parents=True, exist_ok=True)
        argv = [
            *("env", *(f"{name}={value}" for name, value in self.environment.items())),
            *(sys.executable, "-m", "boreas", "agent", "--token", self.token),
            *("--name", self.name, "--data-dir", str(self.data_dir), *options),
        ]
        with (self.data_dir / "stderr").open("ab") as stderr:
            self.process = subprocess.Popen(argv, stderr=stderr)
        return self

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(timeout=15)


class Installation:
    """Servers, agents, an admin with a token, and short words for what tests do."""

    def __init__(self, directory: Path, *, database_url: str | None = None) -> None:
        self.directory = directory
        self.database_url = database_url
        self.servers: list[Server] = []
        self.agents: list[AgentProcess] = []
        self.token = ""
        self.url = ""
        self.project = ""
        self.environment = ""

    # --- processes --------------------------------------------------------------------------

    def add_server(self, **wishes: Any) -> Server:
        number = len(self.servers) + 1
        server = Server(self.directory / f"server{number}", self.database_url, **wishes).start()
        self.servers.append(server)
        if not self.token:
            self.url = server.url
            self._make_admin(server)
        return server

    def add_agents(
        self,
        count: int,
        *,
        labels: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        wish = {"ttl_seconds": 600, "labels": dict(labels or {}), "uses": count}
        token = self.post("/api/release/agents/enroll-tokens", wish)["token"]
        for _ in range(count):
            name = f"n{len(self.agents) + 1}"
            agent = AgentProcess(name, self.directory / name, token, environment or {})
            self.agents.append(agent.start())
        self.until_online(*(agent.name for agent in self.agents))

    def until_online(self, *names: str) -> None:
        until(
            lambda: set(names) <= self.online(),
            at_most=60,
            why=lambda: f"online: {self.online()}",
        )

    def online(self) -> set[str]:
        return {a["name"] for a in self.get("/api/release/agents")["items"] if a["online"]}

    def stop(self) -> None:
        for agent in self.agents:
            if agent.process and agent.process.poll() is None:
                agent.kill()
        for server in self.servers:
            if server.process and server.process.poll() is None:
                server.kill()
        self._end_commands()

    def _end_commands(self) -> None:
        """Commands outlive their agents on purpose; those of a test end with it."""
        ours = f"{self.directory}/"
        for process in psutil.process_iter(["cmdline"]):
            if any(ours in word for word in process.info["cmdline"] or ()):
                with suppress(psutil.NoSuchProcess):
                    process.kill()

    # --- HTTP -------------------------------------------------------------------------------

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return httpx.request(
            method, self.url + path, json=body, headers=headers, timeout=20, **options
        )

    def get(self, path: str) -> Any:
        return self._good(self.call("GET", path))

    def post(self, path: str, body: Any = None) -> Any:
        return self._good(self.call("POST", path, {} if body is None else body))

    def _good(self, answer: httpx.Response) -> Any:
        assert answer.is_success, f"{answer.request.url}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def _make_admin(self, server: Server) -> None:
        setup = (server.data_dir / "setup-token").read_text().strip()
        me = {"username": "admin", "password": PASSWORD}
        with httpx.Client(base_url=server.url, headers={"Origin": server.url}) as client:
            self._good(client.post("/api/release/setup", json={"token": setup, **me}))
            self._good(client.post("/api/release/login", json=me))
            self.token = self._good(client.post("/api/release/tokens", json={"name": "t"}))["token"]

    # --- things -----------------------------------------------------------------------------

    def make_project(
        self, name: str = "shop", *, targets: Sequence[str] = (), kind: str = "prod", **wishes: Any
    ) -> None:
        """A project with one environment, whose targets are called like their agents."""
        self.project = self.post("/api/release/projects", {"name": name})["id"]
        place = f"/api/release/projects/{self.project}/environments"
        self.environment = self.post(place, {"name": "prod", "kind": kind, **wishes})["id"]
        for name in targets or [agent.name for agent in self.agents]:
            self.post(
                f"/api/release/environments/{self.environment}/targets",
                {"name": name, "agent": name},
            )

    def make_script(self, name: str, deploy: str, *, check: str | None = None) -> str:
        """A script application; `check` is a health command tried every 0.2 s, twice."""
        health = {"type": "command", "command": check, "interval": 0.2, "retries": 2}
        wish = {
            "name": name,
            "driver": "script",
            "spec": {"scripts": {"deploy": deploy}},
            "health_check": health if check else None,
        }
        made = self.post(f"/api/release/projects/{self.project}/applications", wish)
        application: str = made["id"]
        return application

    def make_application(self, name: str, driver: str, spec: Any, health_check: Any = None) -> str:
        wish = {"name": name, "driver": driver, "spec": spec, "health_check": health_check}
        made = self.post(f"/api/release/projects/{self.project}/applications", wish)
        application: str = made["id"]
        return application

    def make_version(self, name: str, **wishes: Any) -> str:
        place = f"/api/release/projects/{self.project}/versions"
        version: str = self.post(place, {"name": name, **wishes})["id"]
        return version

    def deploy(self, version: str, **wishes: Any) -> str:
        """Makes the version and starts its deployment; the deployment's id."""
        wish = {"versionId": self.make_version(version), "environmentId": self.environment}
        deployment: str = self.post("/api/v1/deployments", {**wish, **wishes})["id"]
        return deployment

    def act(self, deployment: str, wish: str, body: Any = None) -> Any:
        """One of the acts: `confirm`, `tasks/x/skip`, `cancel?rollback=true`; what it is then."""
        return self.post(f"/api/v1/deployments/{deployment}/{wish}", body)

    def refused(self, method: str, path: str, body: Any = None) -> Any:
        """The problem document of a call that must not succeed."""
        answer = self.call(method, path, body)
        assert answer.is_client_error, f"{path}: {answer.status_code} {answer.text}"
        assert answer.headers["content-type"] == "application/problem+json"
        return answer.json()

    def deployment(self, deployment: str) -> Any:
        return self.get(f"/api/v1/deployments/{deployment}")

    def until_status(self, deployment: str, *wanted: str, at_most: float = 40) -> Any:
        """Waits for one of these states; any final one by default."""
        states = set(wanted) or FINAL

        def look() -> Any:
            try:
                shown = self.deployment(deployment)
            except httpx.TransportError:
                return None
            if shown["status"] in FINAL - states:
                raise AssertionError(f"ended {shown['status']}: {shown['errorMessage']}")
            return shown if shown["status"] in states else None

        return until(look, at_most=at_most, why=lambda: self.deployment(deployment))

    def messages(self, deployment: str, task: str, *, stream: str = "stdout") -> list[str]:
        """What a task's commands printed, in stored order."""
        path = f"/api/v1/deployments/{deployment}/tasks/{task}/logs?tail=10000"
        return [line["message"] for line in self.get(path)["logs"] if line["stream"] == stream]
