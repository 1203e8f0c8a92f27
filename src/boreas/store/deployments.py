"""The deployments' side of a transaction, as the loop needs it.

Locks are taken in one order: deployments by id, then the one turn of admission. A wake is an
inserted row and never a change of the deployment's own, so that waking never waits for whoever is
just working on that deployment, and no wake is lost to a save that runs at the same time.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import delete, func, select, union

from boreas.domain.builds import BuiltImage
from boreas.domain.deployments import TERMINAL, Deployment
from boreas.domain.errors import Conflict
from boreas.domain.events import Notice
from boreas.domain.ids import AgentId, DeploymentId, EnvironmentId, ReleaseId
from boreas.domain.orders import ReleaseBody
from boreas.domain.projects import QueuePolicy
from boreas.engine.admission import Field, contender_of, is_queued, judge, overtaken_by
from boreas.engine.loaded import Loaded
from boreas.engine.snapshot import Admission, Built, LiveChange
from boreas.kit.values import replace
from boreas.store import dialects, images, loading, tables
from boreas.store.mapping import document_of
from boreas.store.saving import wake_found
from boreas.store.unit import Unit

_FENCES_AT_ONCE: Final = 64


class SqlDeploymentWork:
    """Implements `boreas.runtime.ports.DeploymentWork`."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    async def claim_due(self, now: datetime, *, limit: int) -> Sequence[DeploymentId]:
        await self._unit.pending.flush()
        connection = self._unit.connection
        table, wakes = tables.deployments, tables.wakes
        due = union(
            select(table.c.id).where(table.c.due_at <= now),
            select(wakes.c.deployment_id).where(wakes.c.at <= now),
        )
        query = (
            select(table.c.id, table.c.revision)
            .where(table.c.id.in_(due))
            .order_by(table.c.due_at.nulls_first(), table.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True, key_share=True)
        )
        rows = (await connection.execute(query)).all()
        if rows:
            ids = [row.id for row in rows]
            await connection.execute(
                delete(wakes).where(wakes.c.deployment_id.in_(ids), wakes.c.at <= now)
            )
        self._unit.locked.update({row.id: row.revision for row in rows})
        return [row.id for row in rows]

    async def claim(self, ids: Collection[DeploymentId]) -> Sequence[DeploymentId]:
        await self._unit.pending.flush()
        table = tables.deployments
        query = (
            select(table.c.id, table.c.revision)
            .where(table.c.id.in_(ids))
            .order_by(table.c.id)
            .with_for_update(key_share=True)
        )
        rows = (await self._unit.connection.execute(query)).all()
        self._unit.locked.update({row.id: row.revision for row in rows})
        return [row.id for row in rows]

    async def load(
        self, ids: Collection[DeploymentId], now: datetime
    ) -> Mapping[DeploymentId, Loaded]:
        unit = self._unit
        if ids and unit.loaded.keys() >= set(ids):
            return {id_: unit.loaded[id_] for id_ in ids}
        await unit.pending.flush()
        deployments = await self._whole(ids)
        if not deployments:
            return {}
        world = await loading.read_world(unit.connection, unit.recall, list(deployments.values()))
        unit.policies.update(loading.policies_of(world.names))
        found = {id_: loading.snapshot_of(each, world) for id_, each in deployments.items()}
        if unit.connection.dialect.name == dialects.SQLITE:
            # Nobody else writes now: until this transaction does, nothing can be read anew.
            unit.loaded.update(found)
        return found

    async def _whole(self, ids: Collection[DeploymentId]) -> Mapping[DeploymentId, Deployment]:
        """From memory where the locked row says that memory is right."""
        found = {id_: known for id_ in ids if (known := self._remembered(id_)) is not None}
        missing = [id_ for id_ in ids if id_ not in found]
        if missing:
            found |= await loading.read_deployments(self._unit.connection, missing)
            self._unit.read.update({id_: found[id_] for id_ in missing if id_ in found})
        return found

    def _remembered(self, deployment_id: DeploymentId) -> Deployment | None:
        unit = self._unit
        known = (
            unit.saved.get(deployment_id)
            or unit.read.get(deployment_id)
            or unit.recall.deployments.get(deployment_id)
        )
        fresh = known is not None and known.revision == unit.locked.get(deployment_id)
        return known if fresh else None

    async def try_admit(self, deployment: Deployment, now: datetime) -> Admission:
        me = contender_of(deployment, active=False)
        field = await self._field()
        policy = await self._policy(deployment)
        newer = await loading.read_newer_versions(self._unit.connection, [deployment])
        rivals = field.around(me)
        admission = judge(me, rivals, policy=policy, newer_version=newer.get(deployment.id))
        if admission.granted:
            self._unit.pending.taken(deployment)
            self._unit.around = field.with_contender(contender_of(deployment, active=True))
        elif overtaken := overtaken_by(me, rivals, policy=policy):
            await self.wake(overtaken, now)
        return admission

    async def _policy(self, deployment: Deployment) -> QueuePolicy:
        """Of its environment; known from the load that mostly went before."""
        known = self._unit.policies
        if deployment.environment_id not in known:
            known.update(await loading.read_policies(self._unit.connection, [deployment]))
        return known.get(deployment.environment_id, QueuePolicy.QUEUE)

    async def _field(self) -> Field:
        """Locks and queue of the installation; read once, since this transaction has the turn."""
        unit = self._unit
        if unit.around is None:
            await unit.pending.flush_queue()
            await dialects.take_turn(unit.connection, dialects.ADMISSION)
            unit.around = await loading.read_field(unit.connection)
        return unit.around

    async def save(
        self,
        before: Deployment,
        after: Deployment,
        *,
        wake_at: datetime | None,
        now: datetime,
    ) -> None:
        await self._check_revision(before)
        self._unit.loaded.pop(before.id, None)
        if after is before or after == before:
            self._unit.pending.due(before.id, wake_at)
            return
        after = replace(after, revision=before.revision + 1)
        self._unit.pending.deployment(before, after, wake_at)
        self._unit.locked[after.id] = after.revision
        self._unit.saved[after.id] = after
        if self._unit.around is not None and is_queued(before) is not is_queued(after):
            me = contender_of(after, active=after.admitted_at is not None)
            self._unit.around = self._unit.around.with_contender(me)
        if after.state in TERMINAL and is_queued(before):
            await self.release_locks(after, now)

    async def _check_revision(self, before: Deployment) -> None:
        if before.id not in self._unit.locked:
            await self.claim([before.id])
        stored = self._unit.locked.get(before.id)
        if stored != before.revision:
            raise stale(stored, before.revision)

    async def release_locks(self, deployment: Deployment, now: datetime) -> None:
        self._unit.around = None
        self._unit.loaded.clear()
        self._unit.pending.left(deployment, now)

    async def change_live(
        self, deployment: Deployment, changes: Sequence[LiveChange], now: datetime
    ) -> None:
        self._unit.loaded.clear()
        for change in changes:
            row = {
                "application_id": change.application_id,
                "target_id": change.target_id,
                "release_id": change.release_id,
                "uncertain_release_id": change.uncertain_release_id,
                "deployment_id": deployment.id,
                "since": now,
            }
            gone = change.release_id is None and change.uncertain_release_id is None
            place = (change.application_id, change.target_id)
            self._unit.pending.live(place, None if gone else row)

    async def add_events(
        self, deployment_id: DeploymentId, notices: Sequence[Notice], now: datetime
    ) -> None:
        self._unit.pending.events(
            {"deployment_id": deployment_id, "at": now, "document": document_of(notice)}
            for notice in notices
        )

    async def next_fence(self) -> int:
        # Never a block ahead of what others may draw: a number drawn early and used late could be
        # lower than one that an agent has seen meanwhile. On SQLite this transaction is alone.
        unit = self._unit
        if not unit.fences:
            block = _FENCES_AT_ONCE if unit.connection.dialect.name == dialects.SQLITE else 1
            unit.fences.extend(await dialects.draw(unit.connection, tables.FENCE, block))
        return unit.fences.popleft()

    async def release_bodies(self, ids: Collection[ReleaseId]) -> Mapping[ReleaseId, ReleaseBody]:
        unit = self._unit
        found = await loading.read_releases(unit.connection, unit.recall, ids)
        return {id_: body for id_, (body, _) in found.items()}

    async def add_images(
        self, deployment: Deployment, built: Sequence[Built], now: datetime
    ) -> None:
        await images.add(self._unit.connection, deployment, built, now)

    async def images_of(self, ids: Collection[ReleaseId]) -> Mapping[ReleaseId, BuiltImage]:
        return await images.of_releases(self._unit.connection, ids)

    async def wake(self, ids: Collection[DeploymentId], now: datetime) -> None:
        await self._unit.pending.flush()
        connection, table = self._unit.connection, tables.deployments
        await wake_found(connection, select(table.c.id).where(table.c.id.in_(ids)), now)

    async def wake_for_agents(self, ids: Collection[AgentId], now: datetime) -> None:
        await self._unit.pending.flush()
        connection = self._unit.connection
        deployments, executions = tables.deployments, tables.executions
        concerned = (
            select(deployments.c.id)
            .join_from(executions, deployments)
            .where(executions.c.agent_id.in_(ids), ~executions.c.final, ~deployments.c.final)
            .distinct()
        )
        await wake_found(connection, concerned, now)

    async def wake_in_environment(self, environment_id: EnvironmentId, now: datetime) -> None:
        """Make due what has not ended there: the environment's rules were changed."""
        await self._unit.pending.flush()
        table = tables.deployments
        open_ = select(table.c.id).where(table.c.environment_id == environment_id, ~table.c.final)
        await wake_found(self._unit.connection, open_, now)

    async def earliest_wake(self) -> datetime | None:
        await self._unit.pending.flush()
        due = select(func.min(tables.deployments.c.due_at)).where(
            tables.deployments.c.due_at.is_not(None)
        )
        woken = select(func.min(tables.wakes.c.at))
        rows = await self._unit.connection.execute(
            select(due.scalar_subquery(), woken.scalar_subquery())
        )
        return min((at for at in rows.one() if at is not None), default=None)


def stale(stored: int | None, expected: int) -> Conflict:
    """Somebody saved this deployment since it was loaded."""
    return Conflict(
        "This deployment was changed meanwhile; look at it again.",
        parameters={"revision": stored, "expected": expected},
    )
