"""The runtime's side of the in-memory store: deployments, promises, servers, links."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from boreas.domain.builds import BuiltImage
from boreas.domain.deployments import (
    TERMINAL,
    TERMINAL_EXECUTIONS,
    Deployment,
    DeploymentState,
)
from boreas.domain.events import Event, Notice
from boreas.domain.fleet import AgentView, LiveRecord
from boreas.domain.ids import (
    AgentId,
    ApplicationId,
    DeploymentId,
    ReleaseId,
    TargetId,
)
from boreas.domain.orders import ReleaseBody
from boreas.domain.projects import QueuePolicy
from boreas.engine.admission import (
    Field,
    contender_of,
    field_of,
    is_queued,
    is_waiting_automatic,
    judge,
    overtaken_by,
    places_of,
    standing,
)
from boreas.engine.loaded import Loaded
from boreas.engine.snapshot import Admission, Built, LiveChange, ReleaseView, Snapshot, rules_of
from boreas.kit.clock import Clock
from boreas.store.deployments import stale
from boreas.testing.memory_nouns import has_unfinished_on, is_alive
from boreas.testing.memory_tables import Draft, StoredDeployment

Live = dict[tuple[ApplicationId, TargetId], LiveRecord]


class MemoryWork:
    """See `boreas.runtime.ports.DeploymentWork`. Transactions run one by one: locking is free."""

    def __init__(self, draft: Draft, clock: Clock) -> None:
        self._draft = draft
        self._clock = clock

    async def claim_due(self, now: datetime, *, limit: int) -> Sequence[DeploymentId]:
        rows: dict[DeploymentId, StoredDeployment] = self._draft.deployments
        wakes: dict[DeploymentId, datetime] = self._draft.wakes
        woken = sorted(id_ for id_, at in wakes.items() if at <= now and id_ in rows)
        timed = [(row.due_at, id_) for id_, row in rows.items() if row.due_at and row.due_at <= now]
        chosen = list(dict.fromkeys([*woken, *(id_ for _, id_ in sorted(timed))]))[:limit]
        if consumed := [id_ for id_ in chosen if id_ in woken]:
            left = self._draft.write("wakes")
            for id_ in consumed:
                del left[id_]
        return chosen

    async def claim(self, ids: Collection[DeploymentId]) -> Sequence[DeploymentId]:
        return sorted(id_ for id_ in ids if id_ in self._draft.deployments)

    async def load(
        self, ids: Collection[DeploymentId], now: datetime
    ) -> Mapping[DeploymentId, Loaded]:
        rows = self._draft.deployments
        return {id_: self._loaded(rows[id_].deployment) for id_ in ids if id_ in rows}

    def _loaded(self, deployment: Deployment) -> Loaded:
        shelf = self._draft.shelf
        targets = {execution.target_id for execution in deployment.executions}
        return Loaded(
            snapshot=Snapshot(
                deployment=deployment,
                admission=admission_in(self._draft, deployment),
                agents=self._agents(deployment),
                live=self._live(deployment, targets),
                releases=self._releases(deployment, targets),
                application_names=_names(shelf("applications"), deployment.application_ids),
                target_names=_names(shelf("targets"), targets),
                rules=rules_of(shelf("environments")[deployment.environment_id]),
            ),
            project=shelf("projects")[deployment.project_id].name,
            environment=shelf("environments")[deployment.environment_id].name,
        )

    def _agents(self, deployment: Deployment) -> Mapping[AgentId, AgentView]:
        known = self._draft.shelf("agents")
        wanted = {execution.agent_id for execution in deployment.executions}
        return {id_: self._agent_view(known[id_]) for id_ in wanted if id_ in known}

    def _agent_view(self, agent: Any) -> AgentView:
        online = is_alive(self._draft, agent.server_id, self._clock.now())
        gone = self._draft.gone_offline.get(agent.id)
        return AgentView(
            id=agent.id,
            name=agent.name,
            online=online,
            since=agent.connected_at if online else gone or agent.connected_at,
            revoked=agent.revoked_at is not None,
        )

    def _live(self, deployment: Deployment, targets: set[TargetId]) -> Live:
        return {
            place: record
            for place, record in self._draft.live.items()
            if place[0] in deployment.application_ids and place[1] in targets
        }

    def _releases(
        self, deployment: Deployment, targets: set[TargetId]
    ) -> Mapping[ReleaseId, ReleaseView]:
        releases = self._draft.releases
        wanted = {id_ for id_, row in releases.items() if row.deployment_id == deployment.id}
        for record in self._live(deployment, targets).values():
            wanted |= {record.release_id, record.uncertain_release_id}
        for execution in deployment.executions:
            # A retry or a rollback points at the releases of another deployment.
            wanted |= {execution.release_id, execution.previous_release_id}
        return {id_: releases[id_].view for id_ in wanted if id_ in releases}

    async def try_admit(self, deployment: Deployment, now: datetime) -> Admission:
        me = contender_of(deployment, active=False)
        rivals = field_in(self._draft).around(me)
        policy = _policy(self._draft, deployment)
        newer = _newer_version(self._draft, deployment)
        admission = judge(me, rivals, policy=policy, newer_version=newer)
        if admission.granted:
            locks = self._draft.write("locks")
            for place in places_of(deployment):
                locks[place] = deployment.id
        else:
            self._wake(overtaken_by(me, rivals, policy=policy), now)
        return admission

    async def save(
        self,
        before: Deployment,
        after: Deployment,
        *,
        wake_at: datetime | None,
        now: datetime,
    ) -> None:
        row = self._draft.deployments.get(before.id)
        if row is None or row.deployment.revision != before.revision:
            raise stale(row and row.deployment.revision, before.revision)
        if after is before or after == before:
            self._draft.write("deployments")[before.id] = replace(row, due_at=wake_at)
            return
        after = replace(after, revision=before.revision + 1)
        saved = replace(row, deployment=after, due_at=wake_at)
        self._draft.write("deployments")[after.id] = saved
        self._forget_finished(before, after)
        if after.state in TERMINAL and is_queued(before):
            self._wake_queue(after, now)

    def _forget_finished(self, before: Deployment, after: Deployment) -> None:
        present = {execution.id: execution for execution in after.executions}
        finished = {
            execution.order_id
            for execution in before.executions
            if execution.id not in present and execution.order_id
        }
        known = {execution.id: execution for execution in before.executions}
        finished |= {
            execution.order_id
            for execution in after.executions
            if execution.state in TERMINAL_EXECUTIONS and known.get(execution.id) is not execution
        }
        gone = [id_ for id_, row in self._draft.outbox.items() if row.order_id in finished]
        if gone:
            outbox = self._draft.write("outbox")
            for id_ in gone:
                del outbox[id_]

    async def release_locks(self, deployment: Deployment, now: datetime) -> None:
        held = [place for place, id_ in self._draft.locks.items() if id_ == deployment.id]
        if held:
            locks = self._draft.write("locks")
            for place in held:
                del locks[place]
        self._wake_queue(deployment, now)

    def _wake_queue(self, deployment: Deployment, now: datetime) -> None:
        near = field_in(self._draft).around(contender_of(deployment, active=False))
        queued = [it.deployment_id for it in near if it.ready]
        self._wake([id_ for id_ in queued if id_ != deployment.id], now)

    async def change_live(
        self, deployment: Deployment, changes: Sequence[LiveChange], now: datetime
    ) -> None:
        for change in changes:
            live = self._draft.write("live")
            place = (change.application_id, change.target_id)
            if change.release_id is None and change.uncertain_release_id is None:
                live.pop(place, None)
                continue
            known = live.get(place)
            same = known is not None and known.release_id == change.release_id
            live[place] = LiveRecord(
                application_id=change.application_id,
                target_id=change.target_id,
                release_id=change.release_id,
                deployment_id=deployment.id,
                since=known.since if known is not None and same else now,
                uncertain_release_id=change.uncertain_release_id,
            )

    async def add_events(
        self, deployment_id: DeploymentId, notices: Sequence[Notice], now: datetime
    ) -> None:
        for notice in notices:
            sequence = self._draft.count_up("events")
            event = Event(deployment_id=deployment_id, sequence=sequence, at=now, notice=notice)
            events = self._draft.write("events")
            events[deployment_id] = (*events.get(deployment_id, ()), event)

    async def next_fence(self) -> int:
        return self._draft.count_up("fence")

    async def release_bodies(self, ids: Collection[ReleaseId]) -> Mapping[ReleaseId, ReleaseBody]:
        releases = self._draft.releases
        return {id_: releases[id_].body for id_ in ids if id_ in releases}

    async def add_images(
        self, deployment: Deployment, built: Sequence[Built], now: datetime
    ) -> None:
        images = self._draft.write("images")
        for one in built:
            images[one.release_id] = one.image

    async def images_of(self, ids: Collection[ReleaseId]) -> Mapping[ReleaseId, BuiltImage]:
        images = self._draft.images
        return {id_: images[id_] for id_ in ids if id_ in images}

    async def wake(self, ids: Collection[DeploymentId], now: datetime) -> None:
        self._wake([id_ for id_ in ids if id_ in self._draft.deployments], now)

    async def wake_for_agents(self, ids: Collection[AgentId], now: datetime) -> None:
        agents: set[str] = set(ids)
        active = [
            row.deployment
            for row in self._draft.deployments.values()
            if row.deployment.state not in TERMINAL
        ]
        self._wake([d.id for d in active if has_unfinished_on(d, agents)], now)

    def _wake(self, ids: Sequence[DeploymentId], now: datetime) -> None:
        if ids:
            wakes = self._draft.write("wakes")
            for id_ in ids:
                wakes[id_] = min(now, wakes.get(id_, now))

    async def earliest_wake(self) -> datetime | None:
        due = [row.due_at for row in self._draft.deployments.values() if row.due_at is not None]
        return min([*due, *self._draft.wakes.values()], default=None)


def _names(known: Mapping[str, Any], ids: Collection[Any]) -> dict[Any, str]:
    return {id_: known[id_].name for id_ in ids if id_ in known}


def field_in(draft: Draft) -> Field:
    """Everybody who holds or waits for anything."""
    holding = set(draft.locks.values())
    return field_of(
        contender_of(row.deployment, active=id_ in holding)
        for id_, row in draft.deployments.items()
        if id_ in holding or is_queued(row.deployment)
    )


def admission_in(draft: Draft, deployment: Deployment) -> Admission:
    """How it stands in its queue."""
    me = contender_of(deployment, active=False)
    return standing(
        me,
        field_in(draft).around(me),
        policy=_policy(draft, deployment),
        newer_version=_newer_version(draft, deployment),
    )


def _policy(draft: Draft, deployment: Deployment) -> QueuePolicy:
    policy: QueuePolicy = draft.shelf("environments")[deployment.environment_id].queue_policy
    return policy


def _newer_version(draft: Draft, me: Deployment) -> str | None:
    mine = draft.deployments.get(me.id)
    if mine is None or not is_waiting_automatic(me):
        return None
    places = frozenset(places_of(me))
    newer = [
        (row.version_sequence, row.version_name)
        for row in draft.deployments.values()
        if row.deployment.state is DeploymentState.SUCCESS
        and row.version_sequence > mine.version_sequence
        and not places.isdisjoint(places_of(row.deployment))
    ]
    return max(newer)[1] if newer else None
