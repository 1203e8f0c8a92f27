"""Who may deploy where, as a pure question over the locks and the queue.

Both stores ask it: SQL reads the facts in a fixed number of queries, the double from its tables.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from boreas.domain.deployments import TERMINAL, Deployment, Origin
from boreas.domain.ids import ApplicationId, DeploymentId, EnvironmentId
from boreas.domain.projects import QueuePolicy
from boreas.engine.snapshot import Admission, Holder

Place = tuple[EnvironmentId, ApplicationId]
"""What at most one active deployment may hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """A deployment that holds, or is queued for, some place."""

    deployment_id: DeploymentId
    number: int
    automatic: bool
    places: frozenset[Place]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """Everybody who matters at some places: holders, and the queue in order of number."""

    holders: Mapping[Place, Rival] = field(default_factory=dict)
    queue: Sequence[Rival] = ()


def places_of(deployment: Deployment) -> tuple[Place, ...]:
    """In the order in which locks are taken."""
    return tuple((deployment.environment_id, app) for app in sorted(deployment.application_ids))


def is_queued(deployment: Deployment) -> bool:
    """It asked for its locks and has them not."""
    return (
        deployment.queued_at is not None
        and deployment.admitted_at is None
        and deployment.state not in TERMINAL
    )


def is_waiting_automatic(deployment: Deployment) -> bool:
    """Only such a deployment ever gives way to a newer one."""
    return (
        deployment.origin is Origin.AUTOMATIC
        and deployment.admitted_at is None
        and deployment.state not in TERMINAL
    )


def is_free_for(me: Deployment, around: Field) -> bool:
    """No other holds one of its places, and nobody with a lower number waits for one."""
    return not _others_holding(me, around) and not _queued_before(me, around)


def with_holder(around: Field, me: Deployment) -> Field:
    """The same field once `me` holds its places."""
    mine = rival_of(me)
    queue = [rival for rival in around.queue if rival.deployment_id != me.id]
    return Field(holders={**around.holders, **dict.fromkeys(mine.places, mine)}, queue=queue)


def with_queued(around: Field, me: Deployment) -> Field:
    """The same field with `me` in its queue, or out of it, as `me` now says."""
    queue = [rival for rival in around.queue if rival.deployment_id != me.id]
    if is_queued(me):
        queue.append(rival_of(me))
        queue.sort(key=lambda rival: rival.number)
    return replace(around, queue=queue)


def rival_of(deployment: Deployment) -> Rival:
    """How others see it."""
    return Rival(
        deployment_id=deployment.id,
        number=deployment.number,
        automatic=deployment.origin is Origin.AUTOMATIC,
        places=frozenset(places_of(deployment)),
    )


def admission(
    me: Deployment, around: Field, *, policy: QueuePolicy, newer_version: str | None
) -> Admission:
    """How `me` stands: granted, or who is before it and why it may have to give way."""
    places = places_of(me)
    holders = [around.holders.get(place) for place in places]
    if places and all(rival is not None and rival.deployment_id == me.id for rival in holders):
        return Admission(granted=True, policy=policy)
    before = _queued_before(me, around)
    waiting = is_waiting_automatic(me)
    successor = _successor(me, around) if waiting and policy is QueuePolicy.COALESCE else None
    return Admission(
        granted=False,
        place=len(before) + 1,
        holders=(
            *_others_holding(me, around),
            *(_holder(rival, _shared(rival, places), active=False) for rival in before),
        ),
        newer_version_deployed=newer_version if waiting else None,
        superseded_by=successor.deployment_id if successor else None,
        superseded_by_number=successor.number if successor else None,
        policy=policy,
    )


def _others_holding(me: Deployment, around: Field) -> list[Holder]:
    return [
        _holder(rival, place[1], active=True)
        for place in places_of(me)
        if (rival := around.holders.get(place)) is not None and rival.deployment_id != me.id
    ]


def _queued_before(me: Deployment, around: Field) -> list[Rival]:
    places = frozenset(places_of(me))
    return [r for r in around.queue if r.number < me.number and not places.isdisjoint(r.places)]


def _successor(me: Deployment, around: Field) -> Rival | None:
    """The newest automatic one that brings all that `me` would bring."""
    places = frozenset(places_of(me))
    newer = [
        rival
        for rival in around.queue
        if rival.automatic and rival.number > me.number and places <= rival.places
    ]
    return newer[-1] if newer else None


def _shared(rival: Rival, places: tuple[Place, ...]) -> ApplicationId:
    return next(place[1] for place in places if place in rival.places)


def _holder(rival: Rival, application_id: ApplicationId, *, active: bool) -> Holder:
    return Holder(
        deployment_id=rival.deployment_id,
        number=rival.number,
        application_id=application_id,
        active=active,
    )
