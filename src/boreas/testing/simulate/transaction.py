"""Transactions of the simulated database: all or nothing, and a kill can end them at any write."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

from boreas.domain.builds import BuiltImage
from boreas.domain.deployments import IN_FLIGHT, TERMINAL, TERMINAL_EXECUTIONS, Deployment
from boreas.domain.errors import Conflict
from boreas.domain.events import Notice
from boreas.domain.fleet import LiveRecord
from boreas.domain.ids import AgentId, DeploymentId, OrderId, ReleaseId, ServerId
from boreas.domain.orders import ReleaseBody
from boreas.domain.outbox import OutboxKind, OutboxRow
from boreas.engine.admission import is_queued, places_of
from boreas.engine.loaded import Loaded
from boreas.engine.snapshot import Admission, Built, LiveChange
from boreas.testing.simulate.drive import Killed

if TYPE_CHECKING:
    from boreas.testing.simulate.ledger import Ledger


class _Absent:
    """Marks a key that was not there."""


_ABSENT = _Absent()


class SimTransaction:
    """One transaction; its four sides are itself."""

    def __init__(self, ledger: "Ledger") -> None:
        self.tables = ledger
        self.is_committed = False
        self._undo: list[tuple[dict[Any, Any], Any, Any]] = []
        self._put: list[OutboxRow] = []
        self._saved: dict[DeploymentId, None] = {}

    async def __aenter__(self) -> "SimTransaction":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._roll_back()
            return
        try:
            self.tables.maybe_die()
        except Killed:
            self._roll_back()
            raise
        self.is_committed = True
        self.tables.put.extend(self._put)
        self.tables.saved |= self._saved
        self.tables.maybe_die()

    def _roll_back(self) -> None:
        for table, key, old in reversed(self._undo):
            if old is _ABSENT:
                table.pop(key, None)
            else:
                table[key] = old

    def write(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        """One write that a rollback undoes."""
        self.tables.maybe_die()
        self._undo.append((table, key, table.get(key, _ABSENT)))
        table[key] = value

    def remove(self, table: dict[Any, Any], key: Any) -> None:
        """One removal that a rollback undoes."""
        if key in table:
            self.tables.maybe_die()
            self._undo.append((table, key, table[key]))
            del table[key]

    def count_up(self, counter: str) -> int:
        """The next number."""
        number = self.tables.counters.get(counter, 0) + 1
        self.write(self.tables.counters, counter, number)
        return number

    @property
    def work(self) -> "SimTransaction":
        return self

    @property
    def outbox(self) -> "SimTransaction":
        return self

    @property
    def servers(self) -> "SimTransaction":
        return self

    @property
    def links(self) -> "SimTransaction":
        return self

    async def announce(self, channel: str, payload: str) -> None:
        """Nobody listens here."""

    # --- work --------------------------------------------------------------------------------

    async def claim_due(self, now: datetime, *, limit: int) -> Sequence[DeploymentId]:
        due = [it for it in self.tables.deployments if self.tables.is_due(it, now)][:limit]
        for deployment_id in due:
            self.remove(self.tables.wakes, deployment_id)
        return due

    async def claim(self, ids: Collection[DeploymentId]) -> Sequence[DeploymentId]:
        return [it for it in sorted(ids) if it in self.tables.deployments]

    async def load(
        self, ids: Collection[DeploymentId], now: datetime
    ) -> Mapping[DeploymentId, Loaded]:
        tables = self.tables
        return {
            it: Loaded(
                snapshot=tables.snapshot(tables.deployments[it]),
                project="shop",
                environment=tables.deployments[it].environment_id,
            )
            for it in ids
        }

    async def try_admit(self, deployment: Deployment, now: datetime) -> Admission:
        admission, overtaken = self.tables.verdict(deployment)
        if admission.granted:
            for place in places_of(deployment):
                self.write(self.tables.locks, place, deployment.id)
        else:
            await self.wake(overtaken, now)
        return admission

    async def save(
        self, before: Deployment, after: Deployment, *, wake_at: datetime | None, now: datetime
    ) -> None:
        stored = self.tables.deployments[before.id]
        if stored.revision != before.revision:
            raise Conflict("This deployment was changed meanwhile; look at it again.")
        self.write(self.tables.due, before.id, wake_at)
        self._saved[before.id] = None
        if after is before:
            return
        after = replace(after, revision=before.revision + 1)
        self.write(self.tables.deployments, after.id, after)
        self._forget_promises(before, after)
        if after.state in TERMINAL and is_queued(before):
            self._wake_queue(after, now)

    def _forget_promises(self, before: Deployment, after: Deployment) -> None:
        kept = {it.order_id for it in after.executions if it.state not in TERMINAL_EXECUTIONS}
        over = {it.order_id for it in before.executions} | {it.order_id for it in after.executions}
        for row_id, row in list(self.tables.outbox.items()):
            if row.order_id in over and row.order_id not in kept:
                self.remove(self.tables.outbox, row_id)

    async def release_locks(self, deployment: Deployment, now: datetime) -> None:
        for place in places_of(deployment):
            if self.tables.locks.get(place) == deployment.id:
                self.remove(self.tables.locks, place)
        self._wake_queue(deployment, now)

    def _wake_queue(self, deployment: Deployment, now: datetime) -> None:
        places = set(places_of(deployment))
        for other in self.tables.open_deployments():
            shares = not places.isdisjoint(places_of(other))
            if shares and other.id != deployment.id and is_queued(other):
                self.write(self.tables.wakes, other.id, now)

    async def change_live(
        self, deployment: Deployment, changes: Sequence[LiveChange], now: datetime
    ) -> None:
        for change in changes:
            place = (change.application_id, change.target_id)
            record = LiveRecord(
                application_id=change.application_id,
                target_id=change.target_id,
                release_id=change.release_id,
                uncertain_release_id=change.uncertain_release_id,
                deployment_id=deployment.id,
                since=now,
            )
            if change.release_id is None and change.uncertain_release_id is None:
                self.remove(self.tables.live, place)
            else:
                self.write(self.tables.live, place, record)

    async def add_events(
        self, deployment_id: DeploymentId, notices: Sequence[Notice], now: datetime
    ) -> None:
        self.count_up("events")

    async def next_fence(self) -> int:
        return self.count_up("fence")

    async def release_bodies(self, ids: Collection[ReleaseId]) -> Mapping[ReleaseId, ReleaseBody]:
        return {it: self.tables.releases[it][0] for it in sorted(ids)}

    async def add_images(
        self, deployment: Deployment, built: Sequence[Built], now: datetime
    ) -> None:
        raise AssertionError("the simulated projects build nothing")

    async def images_of(self, ids: Collection[ReleaseId]) -> Mapping[ReleaseId, BuiltImage]:
        return {}

    async def wake(self, ids: Collection[DeploymentId], now: datetime) -> None:
        for deployment_id in sorted(ids):
            self.write(self.tables.wakes, deployment_id, now)

    async def wake_for_agents(self, ids: Collection[AgentId], now: datetime) -> None:
        for deployment in self.tables.open_deployments():
            if any(
                it.agent_id in ids and it.state not in TERMINAL_EXECUTIONS
                for it in deployment.executions
            ):
                self.write(self.tables.wakes, deployment.id, now)

    async def earliest_wake(self) -> datetime | None:
        return self.tables.next_wake()

    # --- outbox ------------------------------------------------------------------------------

    async def put(self, rows: Sequence[OutboxRow]) -> Sequence[OutboxRow]:
        stored = [replace(row, id=self.count_up("outbox")) for row in rows]
        for row in stored:
            self.write(self.tables.outbox, row.id, row)
        self._put.extend(stored)
        return stored

    async def for_agent(self, agent_id: AgentId) -> Sequence[OutboxRow]:
        return self.tables.promises_to(agent_id)

    async def agents(self) -> Collection[AgentId]:
        return {row.agent_id for row in self.tables.outbox.values()}

    async def taken(self, ids: Collection[int]) -> None:
        for row_id in ids:
            self.remove(self.tables.outbox, row_id)

    # --- servers -----------------------------------------------------------------------------

    async def register(self, server_id: ServerId, *, address: str, lease_seconds: float) -> int:
        self.write(self.tables.servers, server_id, None)
        return self.count_up("epoch")

    async def renew(self, server_id: ServerId, epoch: int, *, lease_seconds: float) -> None:
        """Leases of the living never end here."""

    async def check(self, server_id: ServerId, epoch: int) -> None:
        if self.tables.servers.get(server_id, self.tables.clock.now()) is not None:
            raise Conflict(f"Server {server_id} lost its lease.")

    async def bury_dead(self, now: datetime) -> Sequence[AgentId]:
        dead = [it for it, lease in self.tables.servers.items() if lease and lease <= now]
        orphans = [it for it in self.tables.agents.values() if it.server_id in dead]
        for agent in orphans:
            gone = replace(agent, server_id=None, since=now)
            self.write(self.tables.agents, agent.id, gone)
        for server_id in dead:
            self.remove(self.tables.servers, server_id)
        return [it.id for it in orphans]

    async def retire(self, server_id: ServerId, epoch: int) -> None:
        self.remove(self.tables.servers, server_id)

    async def addresses(self) -> Sequence[str]:
        return [str(it) for it in self.tables.servers]

    # --- agents' links -----------------------------------------------------------------------

    async def connected(
        self, agent_id: AgentId, *, server_id: ServerId, address: str, transport: str, now: datetime
    ) -> None:
        row = replace(self.tables.agents[agent_id], server_id=server_id, since=now)
        self.write(self.tables.agents, agent_id, row)

    async def disconnected(
        self, agent_ids: Collection[AgentId], *, server_id: ServerId, now: datetime
    ) -> None:
        for agent_id in agent_ids:
            row = self.tables.agents[agent_id]
            if row.server_id == server_id:
                self.write(self.tables.agents, agent_id, replace(row, server_id=None, since=now))

    async def seen(
        self, facts: Mapping[AgentId, Mapping[str, object] | None], now: datetime
    ) -> None:
        """Heartbeats say nothing here."""

    async def on_server(self, server_id: ServerId) -> Sequence[AgentId]:
        return [it.id for it in self.tables.agents.values() if it.server_id == server_id]

    async def revoked_at(self, server_id: ServerId) -> Sequence[AgentId]:
        agents = self.tables.agents.values()
        return [it.id for it in agents if it.server_id == server_id and it.revoked]

    async def unfinished_orders(self, agent_id: AgentId) -> Sequence[OrderId]:
        promised = {
            it.order_id for it in self.tables.outbox.values() if it.kind is OutboxKind.ORDER
        }
        return [
            it.order_id
            for deployment in self.tables.open_deployments()
            for it in deployment.executions
            if it.agent_id == agent_id and it.state in IN_FLIGHT and it.order_id not in promised
        ]
