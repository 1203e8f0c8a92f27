"""The tables of the in-memory store: copied when first written to, put in place at the commit."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from boreas.domain.builds import BuiltImage
from boreas.domain.deployments import Deployment
from boreas.domain.events import Event
from boreas.domain.fleet import LiveRecord
from boreas.domain.ids import ApplicationId, DeploymentId, ServerId, TargetId
from boreas.domain.orders import ReleaseBody
from boreas.domain.outbox import OutboxRow
from boreas.engine.admission import Place
from boreas.engine.snapshot import ReleaseView
from boreas.store.access import Attempts
from boreas.store.idempotency import StoredAnswer

Moment = Literal["write", "commit", "committed"]
CrashHook = Callable[[Moment], None]
"""Called before every write, before the commit and right after it; raises to crash there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDeployment:
    """A deployment and what only the store knows of it."""

    deployment: Deployment
    due_at: datetime | None
    version_name: str
    version_sequence: int
    search: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRelease:
    """A frozen release."""

    deployment_id: DeploymentId
    body: ReleaseBody
    view: ReleaseView


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLife:
    """A server's lease."""

    server_id: ServerId
    epoch: int
    address: str
    lease_until: datetime


@dataclass(slots=True, kw_only=True)
class Tables:
    """Everything there is. Values are frozen, so a copy of the dict is a copy of the table."""

    nouns: dict[str, dict[str, Any]] = field(default_factory=dict)
    gone_offline: dict[str, datetime] = field(default_factory=dict)
    deployments: dict[DeploymentId, StoredDeployment] = field(default_factory=dict)
    wakes: dict[DeploymentId, datetime] = field(default_factory=dict)
    releases: dict[str, StoredRelease] = field(default_factory=dict)
    images: dict[str, BuiltImage] = field(default_factory=dict)
    locks: dict[Place, DeploymentId] = field(default_factory=dict)
    live: dict[tuple[ApplicationId, TargetId], LiveRecord] = field(default_factory=dict)
    events: dict[DeploymentId, tuple[Event, ...]] = field(default_factory=dict)
    outbox: dict[int, OutboxRow] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    servers: dict[ServerId, ServerLife] = field(default_factory=dict)
    attempts: dict[str, Attempts] = field(default_factory=dict)
    answers: dict[tuple[str, str], tuple[str, StoredAnswer, datetime]] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)


class Draft:
    """One transaction's view: reads see its own writes, nobody else does before the commit."""

    def __init__(self, committed: Tables, crash: CrashHook, *, read_only: bool = False) -> None:
        self._committed = committed
        self._crash = crash
        self._read_only = read_only
        self._changed: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        """A table, to be read."""
        if name in self._changed:
            return self._changed[name]
        return getattr(self._committed, name)

    def write(self, name: str) -> Any:
        """A table, to be written to."""
        if self._read_only:
            raise RuntimeError("this transaction only reads")
        self._crash("write")
        if name not in self._changed:
            self._changed[name] = dict(getattr(self._committed, name))
        return self._changed[name]

    def shelf(self, name: str) -> dict[str, Any]:
        """The values of a noun, to be read."""
        values: dict[str, Any] = self.nouns.get(name, {})
        return values

    def write_shelf(self, name: str) -> dict[str, Any]:
        """The values of a noun, to be written to."""
        nouns = self.write("nouns")
        values = dict[str, Any](nouns.get(name, {}))
        nouns[name] = values
        return values

    def count_up(self, name: str) -> int:
        """The next number of a counter."""
        counters = self.write("counters")
        counters[name] = counters.get(name, 0) + 1
        return int(counters[name])

    def commit(self) -> None:
        """Put what changed in place, at once."""
        self._crash("commit")
        for name, changed in self._changed.items():
            setattr(self._committed, name, changed)
        self._crash("committed")
