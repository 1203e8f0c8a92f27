"""The reverse proxy that an application may name, so that its container is replaced unnoticed.

HAProxy's runtime API was chosen: it moves new requests at once without a reload, tells how many old
ones are still open, and Debian keeps it well. The backend needs two servers that Boreas fills in
turn; see docs/reference/drivers.md for the four lines of haproxy.cfg.
"""

import re
from dataclasses import dataclass

from boreas.domain.reading import Reader, has_control_characters

_NAME = re.compile(r"^[A-Za-z0-9_.:-]{1,100}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class HaproxySpec:
    """Two server slots of one backend; traffic goes to one while the other is filled."""

    socket: str
    backend: str
    servers: tuple[str, ...]
    port: int | None = None
    """The container's port to send requests to; without it, the first of `ports`."""
    drain_seconds: float = 30.0
    state_file: str | None = None
    """HAProxy's `server-state-file`: written after a switch, so that a restart remembers it."""


def read_proxy(reader: Reader) -> HaproxySpec | None:
    """`{"type": "haproxy", "socket", "backend", "servers": [a, b], "port"?, ...}`"""
    kind = reader.text("type", required=True, mend="write `haproxy`")
    if kind not in (None, "haproxy"):
        reader.wrong("type", f"`{kind}` is not known", "write `haproxy`")
    socket = reader.text(
        "socket", required=True, mend="write the path of its `stats socket ... level admin`",
        check=_path_problem,
    )  # fmt: skip
    backend = reader.text("backend", required=True, mend="name the backend", check=_name_problem)
    servers = reader.texts("servers", _name_problem)
    if len(set(servers)) != 2:
        reader.wrong("servers", f"names {len(set(servers))}", "name the backend's two servers")
    port = reader.whole("port", 0, least=1, most=65535) if reader.has("port") else None
    reader.raw("port")
    drain = reader.number("drain_seconds", 30.0, most=86_400)
    state_file = reader.text("state_file", check=_path_problem)
    reader.refuse_the_rest()
    return HaproxySpec(
        socket=socket or "",
        backend=backend or "",
        servers=servers,
        port=port,
        drain_seconds=drain,
        state_file=state_file,
    )


def _path_problem(path: str) -> str | None:
    if has_control_characters(path) or not path.startswith("/"):
        return "is not an absolute path"
    return None


def _name_problem(name: str) -> str | None:
    return None if _NAME.match(name) else "is not a name that HAProxy allows"
