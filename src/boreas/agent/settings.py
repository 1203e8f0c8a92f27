"""What the agent is told at its start: options first, then `BOREAS_…` of the environment.

The only reader of the environment in the agent.
"""

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from boreas.domain.errors import invalid
from boreas.transport.dial import TransportMode
from boreas.transport.tokens import EnrolToken, split_address

_DOCKER_SOCKET = "/var/run/docker.sock"
_SIZE = re.compile(r"^[0-9]{1,9}(MB|GB|TB)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """A whole and sound set of settings."""

    name: str
    data_dir: Path
    servers: tuple[str, ...]
    """Where to dial first; empty if the data directory is to know."""
    token: EnrolToken | None = field(default=None, repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    transport: TransportMode = TransportMode.AUTO
    builds_at_once: int = 1
    build_cache: str = "20GB"
    """How much of earlier builds is kept for the next ones."""


def settings_from(argv: Sequence[str]) -> AgentSettings:
    """Settings of this process. Raises `InvalidInput` with the option to mend."""
    return read_settings(argv, os.environ)


def docker_socket() -> Path:
    """Where the Docker Engine of this node is asked; the container driver asks it there too."""
    host = os.environ.get("DOCKER_HOST", "")
    return Path(host.removeprefix("unix://") if host.startswith("unix://") else _DOCKER_SOCKET)


def read_settings(argv: Sequence[str], environment: Mapping[str, str]) -> AgentSettings:
    """Options win over the environment."""
    options = _parser(environment).parse_args(argv)
    token = _token(options.token, options.token_file)
    servers = tuple(part for part in (options.server or "").split(",") if part)
    if not servers and token is not None:
        servers = (token.server,)
    for server in servers:
        split_address(server)
    return AgentSettings(
        name=options.name,
        data_dir=Path(options.data_dir).resolve(),
        servers=servers,
        token=token,
        labels=_labels(options.label or _listed(environment.get("BOREAS_LABELS", ""))),
        transport=TransportMode(options.transport),
        builds_at_once=_count(options.builds),
        build_cache=_size(options.build_cache),
    )


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="boreas agent", description="Carry out a Boreas server's orders on this node."
    )

    def option(name: str, fallback: str | None, help_text: str) -> None:
        variable = "BOREAS_" + name.upper().replace("-", "_")
        told = f"{help_text} [{variable}]"
        parser.add_argument(f"--{name}", default=environment.get(variable, fallback), help=told)

    option("server", None, "HOST:PORT of the server, or several with commas")
    option("token", None, "enrol token; only needed once")
    option("token-file", None, "file that holds the enrol token")
    option("name", os.uname().nodename, "name of this agent")
    option("data-dir", "/var/lib/boreas-agent", "where the agent keeps its state")
    option("transport", "auto", "auto, quic or tcp")
    option("builds", "1", "how many images are built at once, on a builder")
    option("build-cache", "20GB", "how much of earlier builds a builder keeps")
    parser.add_argument("--label", action="append", metavar="KEY=VALUE", help="may be repeated")
    return parser


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 100:
        raise invalid("--builds", f"{text!r} is no number from 1 to 100")
    return int(text)


def _size(text: str) -> str:
    if not _SIZE.match(text):
        raise invalid("--build-cache", f"{text!r} is no size", "write one such as 500MB or 20GB")
    return text


def _listed(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def _token(text: str | None, path: str | None) -> EnrolToken | None:
    if not text and path:
        try:
            text = Path(path).read_text()
        except OSError as error:
            raise invalid("--token-file", error.strerror or "cannot be read") from error
    return EnrolToken.parse(text) if text else None


def _labels(pairs: Sequence[str]) -> dict[str, str]:
    labels = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise invalid("--label", f"{pair!r} is not KEY=VALUE")
        labels[name] = value
    return labels
