"""What the demo is made of: directories, ports, names. Decided once, before anything starts."""

import shlex
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from boreas.kit.ids import new_secret

AGENTS: Final = 6
HOSTS: Final = tuple(f"127.0.0.{11 + place}" for place in range(AGENTS))
"""Each node gets a loopback address of its own, so that six services can use one port, as real
nodes would."""
PORTS: Final = range(15_000, 32_000)
"""Below the ports that the kernel gives to outgoing connections: one of those could be taken in the
second between our look and the server's start."""
PROJECT: Final = "shop"
ENVIRONMENT: Final = "prod"
SETTINGS: Final = "settings"
WEB: Final = "web"
CACHE: Final = "cache"
ADMIN: Final = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One demo; several can stand side by side."""

    directory: Path
    http_port: int
    quic_port: int
    web_port: int
    owner: int
    """Process id of the demo: what it deployed ends when this process is gone."""
    name: str

    @property
    def url(self) -> str:
        """Where the server answers."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def quic(self) -> str:
        """Where agents dial."""
        return f"127.0.0.1:{self.quic_port}"

    @property
    def server_dir(self) -> Path:
        """The server's data directory."""
        return self.directory / "server"

    @property
    def repository(self) -> Path:
        """The git repository of the web application."""
        return self.directory / "web.git"

    @property
    def env_file(self) -> Path:
        """What a shell reads to speak to this server."""
        return self.directory / "env"

    @property
    def state_dir(self) -> Path:
        """What the applications keep on their nodes: settings, process ids, own logs."""
        return self.directory / "state"

    def shell(self, path: Path) -> str:
        """A path as a word of a shell."""
        return shlex.quote(str(path))

    def log(self, program: str) -> Path:
        """Where a program's own words go."""
        return self.directory / "log" / f"{program}.log"


def new_world(directory: Path, *, owner: int) -> World:
    """Choose free ports and make the directories."""
    for each in ("log", "state", "sources"):
        (directory / each).mkdir(parents=True, exist_ok=True)
    return World(
        directory=directory,
        http_port=free_port(("127.0.0.1",)),
        quic_port=free_port(("127.0.0.1",), udp=True),
        web_port=free_port(HOSTS),
        owner=owner,
        name="boreas-demo-" + "".join(c for c in new_secret(6).lower() if c.isalnum()),
    )


def free_port(hosts: tuple[str, ...], *, udp: bool = False) -> int:
    """A TCP port (with `udp`, of UDP as well) that is free on all of these addresses."""
    kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM) if udp else (socket.SOCK_STREAM,)
    for _ in range(100):
        port = PORTS.start + int.from_bytes(new_secret(8).encode()) % len(PORTS)
        if all(_is_free(host, port, kind) for host in hosts for kind in kinds):
            return port
    raise OSError("no port is free")


def _is_free(host: str, port: int, kind: int) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
