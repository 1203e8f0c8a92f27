"""The same run on two databases at once: the simulator's own tables and the in-memory store.

The in-memory store passes the same contract suite as SQLite and PostgreSQL. Whatever the round asks
is asked of both, and a different answer is a breach: the simulator's tables are held to what the
real stores promise, and kills to what they survive. Slower, so only some seeds go so.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from boreas.domain.deployments import Deployment
from boreas.domain.events import Notice
from boreas.domain.fleet import Agent
from boreas.domain.ids import AgentId, DeploymentId, OrderId, ReleaseId, ServerId, VersionId
from boreas.domain.orders import DriverKind
from boreas.domain.outbox import OutboxRow
from boreas.domain.projects import (
    Application,
    Environment,
    EnvironmentKind,
    Project,
)
from boreas.domain.projects import Version as VersionNoun
from boreas.engine.loaded import Loaded
from boreas.engine.snapshot import Admission, LiveChange, Snapshot
from boreas.testing.memory_store import MemoryStore, MemoryTransaction
from boreas.testing.memory_tables import StoredRelease
from boreas.testing.simulate.drive import BEGINNING, Killed, run_now
from boreas.testing.simulate.ledger import Ledger, Release, Version
from boreas.testing.simulate.transaction import SimTransaction
from boreas.testing.simulate.world import PROJECT, World

FOR_EVER = datetime(9999, 1, 1, tzinfo=UTC)


class Disagreement(AssertionError):
    """The two databases answered differently."""


def agree(what: str, ours: object, theirs: object) -> None:
    """Raise `Disagreement` unless both are the same."""
    if ours != theirs:
        raise Disagreement(f"{what}: {ours} here, {theirs} in the in-memory store")


@dataclass(slots=True)
class ShadowedLedger(Ledger):
    """The simulator's tables, with the in-memory store beside them."""

    store: MemoryStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = MemoryStore(clock=self.clock)

    def transaction(self) -> "ShadowedTransaction":
        """One on each side."""
        return ShadowedTransaction(self)

    def furnish(self, world: World) -> None:
        """The same nouns, by the store's own doors."""
        run_now(self._furnish(world))

    async def _furnish(self, world: World) -> None:
        async with self.store.transaction() as tx:
            await tx.projects.add(Project(id=PROJECT, name="shop", created_at=BEGINNING))
            for app in world.apps:
                await tx.applications.add(
                    Application(
                        id=app.id,
                        project_id=PROJECT,
                        name=app.id,
                        driver=DriverKind.SCRIPT,
                        spec={},
                        created_at=BEGINNING,
                        updated_at=BEGINNING,
                    )
                )
            for agent_id in world.agents:
                agent = Agent(
                    id=agent_id, name=agent_id, key_sha256=agent_id, enrolled_at=BEGINNING
                )
                await tx.agents.add(agent)
            for place in world.environments:
                await tx.environments.add(
                    Environment(
                        id=place.id,
                        project_id=PROJECT,
                        name=place.id,
                        kind=EnvironmentKind.TEST,
                        queue_policy=place.policy,
                        created_at=BEGINNING,
                    )
                )
                for target in place.targets:
                    await tx.targets.add(target)
            for record in self.live.values():
                tables = tx.work._draft
                tables.write("live")[record.application_id, record.target_id] = record
            for release_id, (body, view) in self.releases.items():
                tables = tx.work._draft
                tables.write("releases")[release_id] = StoredRelease(
                    deployment_id=DeploymentId("d0"), body=body, view=view
                )

    def create(
        self, deployment: Deployment, version: Version, releases: Mapping[ReleaseId, Release]
    ) -> None:
        """On both sides."""
        super(ShadowedLedger, self).create(deployment, version, releases)
        run_now(self._create(deployment, version, releases))

    async def _create(
        self, deployment: Deployment, version: Version, releases: Mapping[ReleaseId, Release]
    ) -> None:
        bodies, views = [it[0] for it in releases.values()], [it[1] for it in releases.values()]
        async with self.store.transaction() as tx:
            if await tx.versions.find(version.name) is None:
                noun = VersionNoun(
                    id=VersionId(version.name),
                    project_id=PROJECT,
                    name=version.name,
                    sequence=version.sequence,
                    created_at=BEGINNING,
                )
                tx.versions._draft.write_shelf("versions")[noun.id] = noun
            made = await tx.deployments.create(deployment, bodies, views, wake_at=self.clock.now())
        agree("number", deployment.number, made.number)

    def revoke(self, agent_id: AgentId) -> None:
        """On both sides."""
        super(ShadowedLedger, self).revoke(agent_id)
        run_now(self._revoke(agent_id))

    async def _revoke(self, agent_id: AgentId) -> None:
        async with self.store.transaction() as tx:
            agents = tx.agents._draft.write_shelf("agents")
            agents[agent_id] = replace(agents[agent_id], revoked_at=self.clock.now())
            waking = [it for it, at in self.wakes.items() if at == self.clock.now()]
            await tx.work.wake(waking, self.clock.now())

    def end_lease(self, server_id: ServerId, at: datetime) -> None:
        """On both sides."""
        super(ShadowedLedger, self).end_lease(server_id, at)
        run_now(self._set_lease(server_id, at))

    async def _set_lease(self, server_id: ServerId, at: datetime) -> None:
        async with self.store.transaction() as tx:
            servers = tx.servers._draft.write("servers")
            servers[server_id] = replace(servers[server_id], lease_until=at)


class ShadowedTransaction(SimTransaction):
    """Every question is asked of both; the answers must agree."""

    def __init__(self, ledger: ShadowedLedger) -> None:
        super().__init__(ledger)
        self._context: AbstractAsyncContextManager[MemoryTransaction] = ledger.store.transaction()
        self._double: MemoryTransaction

    async def __aenter__(self) -> "ShadowedTransaction":
        self._double = await self._context.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await super().__aexit__(kind, error, trace)
        except Killed as killed:
            await self._end_double(None if self.is_committed else killed)
            raise
        await self._end_double(error)

    async def _end_double(self, error: BaseException | None) -> None:
        kind = type(error) if error is not None else None
        await self._context.__aexit__(kind, error, error.__traceback__ if error else None)

    async def claim_due(self, now: datetime, *, limit: int) -> Sequence[DeploymentId]:
        ours = await super().claim_due(now, limit=limit)
        theirs = await self._double.work.claim_due(now, limit=limit)
        agree("what is due", sorted(ours), sorted(theirs))
        return ours

    async def load(
        self, ids: Collection[DeploymentId], now: datetime
    ) -> Mapping[DeploymentId, Loaded]:
        ours = await super().load(ids, now)
        theirs = await self._double.work.load(ids, now)
        for id_ in ids:
            one, other = _facts(ours[id_].snapshot), _facts(theirs[id_].snapshot)
            for part in one:
                agree(f"{part} of {id_}", one[part], other[part])
        return ours

    async def try_admit(self, deployment: Deployment, now: datetime) -> Admission:
        ours = await super().try_admit(deployment, now)
        agree("admission", ours, await self._double.work.try_admit(deployment, now))
        return ours

    async def save(
        self, before: Deployment, after: Deployment, *, wake_at: datetime | None, now: datetime
    ) -> None:
        await super().save(before, after, wake_at=wake_at, now=now)
        await self._double.work.save(before, after, wake_at=wake_at, now=now)

    async def release_locks(self, deployment: Deployment, now: datetime) -> None:
        await super().release_locks(deployment, now)
        await self._double.work.release_locks(deployment, now)

    async def change_live(
        self, deployment: Deployment, changes: Sequence[LiveChange], now: datetime
    ) -> None:
        await super().change_live(deployment, changes, now)
        await self._double.work.change_live(deployment, changes, now)

    async def add_events(
        self, deployment_id: DeploymentId, notices: Sequence[Notice], now: datetime
    ) -> None:
        await super().add_events(deployment_id, notices, now)
        await self._double.work.add_events(deployment_id, notices, now)

    async def next_fence(self) -> int:
        ours = await super().next_fence()
        agree("fence", ours, await self._double.work.next_fence())
        return ours

    async def wake(self, ids: Collection[DeploymentId], now: datetime) -> None:
        await super().wake(ids, now)
        await self._double.work.wake(ids, now)

    async def wake_for_agents(self, ids: Collection[AgentId], now: datetime) -> None:
        await super().wake_for_agents(ids, now)
        await self._double.work.wake_for_agents(ids, now)

    async def earliest_wake(self) -> datetime | None:
        ours = await super().earliest_wake()
        agree("the next timer", ours, await self._double.work.earliest_wake())
        return ours

    async def put(self, rows: Sequence[OutboxRow]) -> Sequence[OutboxRow]:
        ours = await super().put(rows)
        agree("promises", ours, await self._double.outbox.put(rows))
        return ours

    async def taken(self, ids: Collection[int]) -> None:
        await super().taken(ids)
        await self._double.outbox.taken(ids)

    async def register(self, server_id: ServerId, *, address: str, lease_seconds: float) -> int:
        ours = await super().register(server_id, address=address, lease_seconds=lease_seconds)
        theirs = self._double.servers
        await theirs.register(server_id, address=address, lease_seconds=lease_seconds)
        # Renewals are not played: the living hold their lease until they are killed.
        servers = theirs._draft.write("servers")
        servers[server_id] = replace(servers[server_id], epoch=ours, lease_until=FOR_EVER)
        return ours

    async def check(self, server_id: ServerId, epoch: int) -> None:
        await super().check(server_id, epoch)
        await self._double.servers.check(server_id, epoch)

    async def bury_dead(self, now: datetime) -> Sequence[AgentId]:
        ours = await super().bury_dead(now)
        agree("orphans", sorted(ours), sorted(await self._double.servers.bury_dead(now)))
        return ours

    async def connected(
        self, agent_id: AgentId, *, server_id: ServerId, address: str, transport: str, now: datetime
    ) -> None:
        about: Any = {"server_id": server_id, "address": address, "transport": transport}
        await super().connected(agent_id, **about, now=now)
        await self._double.links.connected(agent_id, **about, now=now)

    async def disconnected(
        self, agent_ids: Collection[AgentId], *, server_id: ServerId, now: datetime
    ) -> None:
        await super().disconnected(agent_ids, server_id=server_id, now=now)
        await self._double.links.disconnected(agent_ids, server_id=server_id, now=now)

    async def on_server(self, server_id: ServerId) -> Sequence[AgentId]:
        ours = await super().on_server(server_id)
        theirs = await self._double.links.on_server(server_id)
        agree(f"agents on {server_id}", sorted(ours), sorted(theirs))
        return ours

    async def unfinished_orders(self, agent_id: AgentId) -> Sequence[OrderId]:
        ours = await super().unfinished_orders(agent_id)
        theirs = await self._double.links.unfinished_orders(agent_id)
        agree(f"what {agent_id} must hold", sorted(ours), sorted(theirs))
        return ours


def _facts(snapshot: Snapshot) -> dict[str, object]:
    """The parts of a snapshot, without times that only people read."""
    agents = {id_: replace(it, since=None) for id_, it in sorted(snapshot.agents.items())}
    live = {place: replace(it, since=BEGINNING) for place, it in sorted(snapshot.live.items())}
    parts = {it.name: getattr(snapshot, it.name) for it in fields(Snapshot)}
    return {**parts, "agents": agents, "live": live}
