"""The durable tables of a simulated installation, and transactions that a kill can end anywhere.

Fits `boreas.runtime.ports`: the real round runs on it. All tables are plain dicts of frozen values;
a transaction writes in place and notes how to undo it. Every write is a place where the server can
be killed. Who may deploy where is answered by the engine's rule (`engine.admission`).
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from boreas.domain.deployments import (
    TERMINAL,
    Deployment,
    DeploymentState,
)
from boreas.domain.fleet import AgentView, LiveRecord
from boreas.domain.ids import (
    AgentId,
    ApplicationId,
    DeploymentId,
    EnvironmentId,
    ReleaseId,
    ServerId,
    TargetId,
)
from boreas.domain.orders import ReleaseBody
from boreas.domain.outbox import OutboxRow
from boreas.domain.projects import QueuePolicy
from boreas.engine import admission as rules
from boreas.engine.snapshot import Admission, ReleaseView, Snapshot
from boreas.testing.simulate.drive import Killed, SimClock
from boreas.testing.simulate.transaction import SimTransaction
from boreas.testing.simulate.world import World

LivePlace = tuple[ApplicationId, TargetId]
Release = tuple[ReleaseBody, ReleaseView]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRow:
    """What the database knows of an agent."""

    id: AgentId
    name: str
    server_id: ServerId | None = None
    since: datetime | None = None
    revoked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """Enough of a version for "an older one never deploys itself after a newer one"."""

    name: str
    sequence: int


@dataclass(slots=True)
class Ledger:
    """All tables. `saved` and `put` collect what a step wrote, for the invariants."""

    clock: SimClock
    policies: dict[EnvironmentId, QueuePolicy] = field(default_factory=dict)
    application_names: dict[ApplicationId, str] = field(default_factory=dict)
    target_names: dict[TargetId, str] = field(default_factory=dict)
    versions: dict[DeploymentId, Version] = field(default_factory=dict)
    releases: dict[ReleaseId, Release] = field(default_factory=dict)
    own_releases: dict[DeploymentId, tuple[ReleaseId, ...]] = field(default_factory=dict)
    """Those that were stored with it; a retry or a rollback has none of its own."""
    deployments: dict[DeploymentId, Deployment] = field(default_factory=dict)
    due: dict[DeploymentId, datetime | None] = field(default_factory=dict)
    wakes: dict[DeploymentId, datetime] = field(default_factory=dict)
    locks: dict[rules.Place, DeploymentId] = field(default_factory=dict)
    live: dict[LivePlace, LiveRecord] = field(default_factory=dict)
    agents: dict[AgentId, AgentRow] = field(default_factory=dict)
    servers: dict[ServerId, datetime | None] = field(default_factory=dict)
    """When the lease ends; None while the server lives."""
    outbox: dict[int, OutboxRow] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    saved: dict[DeploymentId, None] = field(default_factory=dict)
    put: list[OutboxRow] = field(default_factory=list)
    die_after: int | None = None
    """The server is killed at this many more writes."""

    def transaction(self) -> SimTransaction:
        """All or nothing, even for a killed server."""
        return SimTransaction(self)

    # --- what happens beside the rounds; a shadowing ledger does it twice ---------------------

    def furnish(self, world: World) -> None:
        """Everything that exists before the first deployment is written down."""

    def create(
        self, deployment: Deployment, version: Version, releases: Mapping[ReleaseId, Release]
    ) -> None:
        """A new deployment with its releases, due now."""
        self.counters["deployments"] = deployment.number
        self.versions[deployment.id] = version
        self.releases |= releases
        self.own_releases[deployment.id] = tuple(releases)
        self.deployments[deployment.id] = deployment
        self.due[deployment.id] = self.clock.now()
        self.saved[deployment.id] = None

    def revoke(self, agent_id: AgentId) -> None:
        """This agent is never let in again; whoever waits for it looks again."""
        self.agents[agent_id] = replace(self.agents[agent_id], revoked=True)
        for it in self.open_deployments():
            if any(row.agent_id == agent_id for row in it.executions):
                self.wakes[it.id] = self.clock.now()

    def end_lease(self, server_id: ServerId, at: datetime) -> None:
        """The server is dead; the others find out then."""
        self.servers[server_id] = at

    def listen(self, *channels: str) -> AsyncIterator[tuple[str, str]]:
        """Nobody listens here: the simulation looks by itself."""
        raise NotImplementedError

    def maybe_die(self) -> None:
        """A place where the server can be killed."""
        if self.die_after is not None:
            self.die_after -= 1
            if self.die_after < 0:
                raise Killed

    def promises_to(self, agent_id: AgentId) -> list[OutboxRow]:
        """What this agent has not acknowledged, oldest first."""
        # A rollback puts removed rows back at the end of the dict: the order is that of the ids.
        mine = [it for it in self.outbox.values() if it.agent_id == agent_id]
        return sorted(mine, key=lambda it: it.id)

    def is_online(self, agent: AgentRow) -> bool:
        """On a server whose lease stands."""
        if agent.server_id is None or agent.server_id not in self.servers:
            return False
        lease = self.servers[agent.server_id]
        return lease is None or lease > self.clock.now()

    def next_wake(self) -> datetime | None:
        """When the next deployment is due."""
        times = [at for at in self.due.values() if at is not None]
        return min([*times, *self.wakes.values()], default=None)

    def is_due(self, deployment_id: DeploymentId, now: datetime) -> bool:
        """Whether the next round looks at it."""
        at, wake = self.due.get(deployment_id), self.wakes.get(deployment_id)
        return (at is not None and at <= now) or (wake is not None and wake <= now)

    def open_deployments(self) -> list[Deployment]:
        """Those that have not ended, in order of number."""
        return [it for it in self.deployments.values() if it.state not in TERMINAL]

    def snapshot(self, deployment: Deployment) -> Snapshot:
        """What the engine sees of it."""
        agents = dict.fromkeys(it.agent_id for it in deployment.executions)
        targets = dict.fromkeys(it.target_id for it in deployment.executions)
        places = [(a, t) for a in deployment.application_ids for t in targets]
        live = {it: self.live[it] for it in places if it in self.live}
        return Snapshot(
            deployment=deployment,
            admission=self.admission(deployment),
            agents={it: self._view(self.agents[it]) for it in agents if it in self.agents},
            live=live,
            releases={it: self.releases[it][1] for it in self._wanted(deployment, live)},
            application_names={it: self.application_names[it] for it in deployment.application_ids},
            target_names={it: self.target_names[it] for it in targets},
        )

    def _wanted(
        self, deployment: Deployment, live: Mapping[LivePlace, LiveRecord]
    ) -> dict[ReleaseId, None]:
        own = self.own_releases.get(deployment.id, ())
        wanted: dict[ReleaseId | None, None] = dict.fromkeys(own)
        for record in live.values():
            wanted |= {record.release_id: None, record.uncertain_release_id: None}
        for row in deployment.executions:
            wanted |= {row.release_id: None, row.previous_release_id: None}
        return {it: None for it in wanted if it is not None}

    def _view(self, row: AgentRow) -> AgentView:
        return AgentView(
            id=row.id,
            name=row.name,
            online=self.is_online(row),
            since=row.since,
            revoked=row.revoked,
        )

    def admission(self, deployment: Deployment) -> Admission:
        """How it stands in its queue."""
        me = rules.contender_of(deployment, active=False)
        return rules.standing(
            me,
            self.around(me),
            policy=self.policies[deployment.environment_id],
            newer_version=self._newer_version(deployment),
        )

    def verdict(self, deployment: Deployment) -> tuple[Admission, tuple[DeploymentId, ...]]:
        """Whether it may take its locks now; and those that give way to it."""
        me = rules.contender_of(deployment, active=False)
        rivals = self.around(me)
        policy = self.policies[deployment.environment_id]
        newer = self._newer_version(deployment)
        verdict = rules.judge(me, rivals, policy=policy, newer_version=newer)
        return verdict, rules.overtaken_by(me, rivals, policy=policy)

    def around(self, me: rules.Contender) -> tuple[rules.Contender, ...]:
        """All who hold or want one of its places."""
        holding = set(self.locks.values())
        field_now = rules.field_of(
            rules.contender_of(it, active=it.id in holding)
            for it in self.open_deployments()
            if it.id in holding or rules.is_queued(it)
        )
        return field_now.around(me)

    def _newer_version(self, deployment: Deployment) -> str | None:
        if not rules.is_waiting_automatic(deployment):
            return None
        mine, places = self.versions[deployment.id], set(rules.places_of(deployment))
        newer = [
            self.versions[it.id]
            for it in self.deployments.values()
            if it.state is DeploymentState.SUCCESS
            and self.versions[it.id].sequence > mine.sequence
            and not places.isdisjoint(rules.places_of(it))
        ]
        return max(newer, key=lambda it: it.sequence).name if newer else None
