"""What the runtime needs from the store. `boreas.store` and the in-memory double both fit it.

All of it happens inside one transaction: `async with store.transaction() as tx`. Leaving the block
without an error commits; an error rolls everything back. Locks are taken in one order: the server's
own row, deployments by id, locks of applications, agents, outbox.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from boreas.domain.builds import BuiltImage
from boreas.domain.deployments import Deployment
from boreas.domain.events import Notice
from boreas.domain.ids import AgentId, DeploymentId, OrderId, ReleaseId, ServerId
from boreas.domain.orders import ReleaseBody
from boreas.domain.outbox import OutboxKind as OutboxKind
from boreas.domain.outbox import OutboxRow as OutboxRow
from boreas.engine.loaded import Loaded as Loaded
from boreas.engine.snapshot import Admission, Built, LiveChange


class DeploymentWork(Protocol):
    """The deployments' side of a transaction."""

    async def claim_due(self, now: datetime, *, limit: int) -> Sequence[DeploymentId]:
        """Lock deployments whose time has come, skipping those that another server works on."""
        ...

    async def claim(self, ids: Collection[DeploymentId]) -> Sequence[DeploymentId]:
        """Lock these, in order of id, waiting for others; unknown ids are left out."""
        ...

    async def load(
        self, ids: Collection[DeploymentId], now: datetime
    ) -> Mapping[DeploymentId, Loaded]:
        """Snapshots of deployments locked by this transaction, read in a fixed number of queries.

        `admission` is as it stands: granted if this deployment holds its locks, else who does.
        """
        ...

    async def try_admit(self, deployment: Deployment, now: datetime) -> Admission:
        """Take the locks of every (application, environment) of this deployment, or none of them.

        Granted only if no other holds one and no deployment with a lower number is queued for one.
        """
        ...

    async def save(
        self,
        before: Deployment,
        after: Deployment,
        *,
        wake_at: datetime | None,
        now: datetime,
    ) -> None:
        """Write what differs (by identity of tasks, executions), with `revision` one higher.

        Refuses with `Conflict` if the stored revision is not `before.revision`. Outbox rows of
        executions that became final are removed.
        """
        ...

    async def release_locks(self, deployment: Deployment, now: datetime) -> None:
        """Give its locks back and make the deployments queued for them due."""
        ...

    async def change_live(
        self, deployment: Deployment, changes: Sequence[LiveChange], now: datetime
    ) -> None:
        """Write what is now known to be live."""
        ...

    async def add_events(
        self, deployment_id: DeploymentId, notices: Sequence[Notice], now: datetime
    ) -> None:
        """Append to the deployment's history."""
        ...

    async def next_fence(self) -> int:
        """Draw the next fencing number of the whole database."""
        ...

    async def release_bodies(self, ids: Collection[ReleaseId]) -> Mapping[ReleaseId, ReleaseBody]:
        """The frozen documents of these releases."""
        ...

    async def add_images(
        self, deployment: Deployment, built: Sequence[Built], now: datetime
    ) -> None:
        """Keep what builds made."""
        ...

    async def images_of(self, ids: Collection[ReleaseId]) -> Mapping[ReleaseId, BuiltImage]:
        """The newest image that was built for each of these releases, if one was."""
        ...

    async def wake(self, ids: Collection[DeploymentId], now: datetime) -> None:
        """Make these due."""
        ...

    async def wake_for_agents(self, ids: Collection[AgentId], now: datetime) -> None:
        """Make due every active deployment that has unfinished executions on these agents."""
        ...

    async def earliest_wake(self) -> datetime | None:
        """When the next deployment becomes due."""
        ...


class Outbox(Protocol):
    """The promises to agents."""

    async def put(self, rows: Sequence[OutboxRow]) -> Sequence[OutboxRow]:
        """Store them; the answer carries their ids."""
        ...

    async def for_agent(self, agent_id: AgentId) -> Sequence[OutboxRow]:
        """Everything this agent has not acknowledged, oldest first."""
        ...

    async def agents(self) -> Collection[AgentId]:
        """Whoever has not acknowledged something."""
        ...

    async def taken(self, ids: Collection[int]) -> None:
        """The agents have these in their journals."""
        ...


class Servers(Protocol):
    """Who is alive, by the database's clock."""

    async def register(self, server_id: ServerId, *, address: str, lease_seconds: float) -> int:
        """Become (again) a server; the answer is the epoch that fences this life's writes.

        On SQLite, `Conflict` if another live server holds the file.
        """
        ...

    async def renew(self, server_id: ServerId, epoch: int, *, lease_seconds: float) -> None:
        """Extend the lease; `Conflict` if it ended, or was lost to a later epoch."""
        ...

    async def check(self, server_id: ServerId, epoch: int) -> None:
        """`Conflict` unless this life of the server still holds its lease (share-locks the row)."""
        ...

    async def bury_dead(self, now: datetime) -> Sequence[AgentId]:
        """Forget servers whose lease ended; agents that hung on them, now offline."""
        ...

    async def retire(self, server_id: ServerId, epoch: int) -> None:
        """Leave on purpose."""
        ...

    async def addresses(self) -> Sequence[str]:
        """Agent-facing addresses of all live servers."""
        ...

    async def agents(self) -> Mapping[ServerId, int]:
        """How many agents hang on each server that lives, also where there are none."""
        ...


class AgentLinks(Protocol):
    """Which agent hangs on which server."""

    async def connected(
        self, agent_id: AgentId, *, server_id: ServerId, address: str, transport: str, now: datetime
    ) -> None: ...

    async def disconnected(
        self, agent_ids: Collection[AgentId], *, server_id: ServerId, now: datetime
    ) -> None:
        """Gone from this server; no change if another server has the agent meanwhile."""
        ...

    async def seen(
        self, facts: Mapping[AgentId, Mapping[str, object] | None], now: datetime
    ) -> None:
        """Heartbeats since the last call; facts where they changed."""
        ...

    async def on_server(self, server_id: ServerId) -> Sequence[AgentId]:
        """Agents that hang on this server, whether it lives or not."""
        ...

    async def revoked_at(self, server_id: ServerId) -> Sequence[AgentId]:
        """Agents that hang on this server although they were revoked."""
        ...

    async def unfinished_orders(self, agent_id: AgentId) -> Sequence[OrderId]:
        """Orders the agent acknowledged and has not finished, as far as the database knows."""
        ...


class Transaction(Protocol):
    """One all-or-nothing unit of work."""

    @property
    def work(self) -> DeploymentWork: ...
    @property
    def outbox(self) -> Outbox: ...
    @property
    def servers(self) -> Servers: ...
    @property
    def links(self) -> AgentLinks: ...

    async def announce(self, channel: str, payload: str) -> None:
        """Tell every server (this one too) after the commit: NOTIFY, or in-process."""
        ...


class Store(Protocol):
    """Opens transactions, and listens to what others announced."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]: ...

    def listen(self, *channels: str) -> AsyncIterator[tuple[str, str]]:
        """(channel, payload) as they come; ends never. A lost announcement is only a delay."""
        ...


CHANNEL_DUE = "boreas_due"
"""Some deployment is due; payload empty."""
CHANNEL_OUTBOX = "boreas_outbox"
"""An agent has something to fetch; payload is the agent's id."""
CHANNEL_CHANGED = "boreas_changed"
"""A deployment changed; payload of `domain.events.Changed`."""
CHANNEL_AGENTS = "boreas_agents"
"""An agent changed (on, off, revoked, facts); payload is its id."""
