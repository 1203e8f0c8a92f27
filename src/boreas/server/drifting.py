"""Gather what is known of an environment's places and have it judged (`domain.drift`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from boreas.domain.behind import Ahead, Wanted, newer_for
from boreas.domain.deployments import Deployment, DeploymentState
from boreas.domain.drift import DriftState, Observation, Place, Verdict, judged, worst
from boreas.domain.fleet import Agent, LiveRecord, Target
from boreas.domain.ids import AgentId, ApplicationId, EnvironmentId, ReleaseId, TargetId
from boreas.domain.orders import ReleaseBody
from boreas.domain.projects import Application, Environment, Version
from boreas.server.promotion import order_of
from boreas.store import SqlTransaction
from boreas.store import SqlTransaction as Transaction
from boreas.store.history import Wanted as Listed

_LOOKS_MISSED = 3
_AT_LEAST = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedPlace:
    """One application on one target, and what it is."""

    application: Application
    target: Target
    place: Place
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentDrift:
    """An environment, and every place in it."""

    environment: Environment
    state: DriftState
    places: tuple[JudgedPlace, ...]


def fresh_for(every_seconds: float) -> timedelta:
    """How long a look counts: some looks may be missed."""
    return max(_AT_LEAST, timedelta(seconds=_LOOKS_MISSED * every_seconds))


async def drift_of(
    tx: Transaction, environment_id: EnvironmentId, *, now: datetime, every_seconds: float
) -> EnvironmentDrift:
    """What each place is, in the order of targets and applications; `NotFound`."""
    environment = await tx.environments.get(environment_id)
    gathered = await _gather(tx, environment)
    found = [
        JudgedPlace(
            application=application,
            target=target,
            place=place,
            verdict=judged(place, now=now, fresh_for=fresh_for(every_seconds)),
        )
        for target in await tx.targets.all(within=environment_id)
        for application in await tx.applications.all(within=environment.project_id)
        if (place := gathered.place(application.id, target)) is not None
    ]
    state = worst(it.verdict.state for it in found)
    return EnvironmentDrift(environment=environment, state=state, places=tuple(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gathered:
    live: Mapping[tuple[ApplicationId, TargetId], LiveRecord]
    bodies: Mapping[ReleaseId, ReleaseBody]
    observations: Mapping[tuple[ApplicationId, TargetId], Observation]
    agents: Mapping[AgentId, Agent]
    under_way: Mapping[ApplicationId, str]
    wanted: Mapping[ApplicationId, Wanted]
    ahead: Mapping[ApplicationId, Sequence[Ahead]]
    sequences: Mapping[str, int]

    def place(self, application_id: ApplicationId, target: Target) -> Place | None:
        """None where the application never was and is not wanted: nothing is to be said of it."""
        live = self.live.get((application_id, target.id))
        release = self.bodies.get(live.release_id) if live and live.release_id else None
        wanted = self.wanted.get(application_id)
        if release is None and wanted is None:
            return None
        version_id = release.version_id if release is not None else None
        sequence = self.sequences.get(version_id, 0) if version_id else 0
        return Place(
            live=live,
            release=release,
            observation=self.observations.get((application_id, target.id)),
            agent=self.agents.get(target.agent_id),
            under_way=self.under_way.get(application_id),
            newer=newer_for(version_id, sequence, wanted, self.ahead.get(application_id, ())),
        )


async def _gather(tx: Transaction, environment: Environment) -> _Gathered:
    live = await tx.environments.live(environment.id)
    before = await _environments_before(tx, environment)
    elsewhere = {it.id: await tx.environments.live(it.id) for it in before}
    everywhere = [*live, *(it for each in elsewhere.values() for it in each)]
    bodies = await tx.releases.bodies({it.release_id for it in everywhere if it.release_id})
    versions = await _versions(tx, bodies)
    observations = await tx.observations.in_environment(environment.id)
    active = await tx.deployments.page(Listed(environment_id=environment.id, active=True))
    wishes = await tx.observations.wishes(environment.id)
    return _Gathered(
        live={(it.application_id, it.target_id): it for it in live},
        bodies=bodies,
        observations={(it.application_id, it.target_id): it for it in observations},
        agents=await _agents(tx, environment.id),
        under_way=_under_way(active.items),
        wanted={
            id_: Wanted(number=it.number, version_id=it.version_id, version=it.version, at=it.at)
            for id_, it in wishes.items()
        },
        ahead=_ahead(before, elsewhere, bodies, versions),
        sequences={id_: it.sequence for id_, it in versions.items()},
    )


async def _environments_before(tx: Transaction, environment: Environment) -> list[Environment]:
    project = await tx.projects.get(environment.project_id)
    order = await order_of(tx, project)
    ids = [it.id for it in order]
    return list(order[: ids.index(environment.id)]) if environment.id in ids else []


async def _versions(
    tx: SqlTransaction, bodies: Mapping[ReleaseId, ReleaseBody]
) -> Mapping[str, Version]:
    found = [await tx.versions.find(id_) for id_ in {it.version_id for it in bodies.values()}]
    return {it.id: it for it in found if it is not None}


async def _agents(tx: Transaction, environment_id: EnvironmentId) -> Mapping[AgentId, Agent]:
    ids = {it.agent_id for it in await tx.targets.all(within=environment_id)}
    found = [await tx.agents.find(id_) for id_ in ids]
    return {it.id: it for it in found if it is not None}


def _under_way(active: Sequence[Deployment]) -> Mapping[ApplicationId, str]:
    """Those that have begun: one that waits for its turn changes nothing."""
    return {
        application_id: f"deployment #{it.number}"
        for it in active
        if it.started_at is not None and it.state is not DeploymentState.PENDING
        for application_id in it.application_ids
    }


def _ahead(
    before: Sequence[Environment],
    live: Mapping[EnvironmentId, Sequence[LiveRecord]],
    bodies: Mapping[ReleaseId, ReleaseBody],
    versions: Mapping[str, Version],
) -> Mapping[ApplicationId, Sequence[Ahead]]:
    found: dict[ApplicationId, list[Ahead]] = {}
    for environment in before:
        for record in live[environment.id]:
            body = bodies.get(record.release_id) if record.release_id else None
            version = versions.get(body.version_id) if body is not None else None
            if version is not None:
                one = Ahead(
                    environment=environment.name,
                    version_id=version.id,
                    version=version.name,
                    sequence=version.sequence,
                    since=record.since,
                )
                found.setdefault(record.application_id, []).append(one)
    return found
