"""Who may begin: one deployment at a time for each application in an environment.

The stores ask `judge` inside the transaction that takes the locks, and `standing` for every
snapshot; SQL reads the contenders in a fixed number of queries, the doubles from their tables. All
locks of a deployment are taken together, so nobody holds one while waiting for another. The order
is the order of creation, never of readiness.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from boreas.domain.deployments import TERMINAL, Deployment, Origin
from boreas.domain.ids import ApplicationId, DeploymentId, EnvironmentId
from boreas.domain.projects import QueuePolicy
from boreas.engine.snapshot import Admission, Holder

Place = tuple[EnvironmentId, ApplicationId]
"""What at most one active deployment may hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """Who holds places (`active`) or wants them (`ready`: nothing else is awaited)."""

    deployment_id: DeploymentId
    number: int
    places: frozenset[Place]
    automatic: bool
    active: bool
    ready: bool = True


def contender_of(deployment: Deployment, *, active: bool) -> Contender:
    """A deployment as a contender; `active` is what the locks say."""
    return Contender(
        deployment_id=deployment.id,
        number=deployment.number,
        places=frozenset(places_of(deployment)),
        automatic=deployment.origin is Origin.AUTOMATIC,
        active=active,
        ready=is_queued(deployment),
    )


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


@dataclass(frozen=True, slots=True)
class Field:
    """Everybody who holds or wants places, found by place."""

    at: Mapping[Place, Sequence[Contender]]

    def around(self, me: Contender) -> tuple[Contender, ...]:
        """All who hold or want one of its places; itself too, if it is known."""
        near = {it.deployment_id: it for place in me.places for it in self.at.get(place, ())}
        return tuple(near.values())

    def with_contender(self, me: Contender) -> "Field":
        """The same field once this is how `me` stands."""
        changed: dict[Place, Sequence[Contender]] = {}
        for place in me.places:
            others = [it for it in self.at.get(place, ()) if it.deployment_id != me.deployment_id]
            changed[place] = [*others, me] if me.active or me.ready else others
        return Field({**self.at, **changed})


def field_of(contenders: Iterable[Contender]) -> Field:
    """These, sorted by place."""
    at: dict[Place, list[Contender]] = {}
    for contender in contenders:
        for place in contender.places:
            at.setdefault(place, []).append(contender)
    return Field(at)


def judge(
    me: Contender,
    others: Iterable[Contender],
    *,
    policy: QueuePolicy = QueuePolicy.QUEUE,
    newer_version: str | None = None,
) -> Admission:
    """Whether `me` may take all its locks now; if not, its place and who stands before it.

    `newer_version` succeeded at one of its places: an older one never deploys *itself* after it.
    """
    everybody = list(others)
    if _holds(me, everybody):
        return Admission(granted=True, policy=policy)
    rivals = [it for it in everybody if _rivals(me, it)]
    outdated_by = newer_version if me.automatic else None
    successor = superseder(me, rivals) if policy is QueuePolicy.COALESCE else None
    before = [it for it in rivals if _stands_before(me, it, rivals, policy)]
    before.sort(key=lambda it: (not it.active, it.number))
    return Admission(
        granted=not before and outdated_by is None and successor is None,
        place=1 + sum(1 for it in before if not it.active),
        holders=tuple(_as_holder(me, it) for it in before),
        newer_version_deployed=outdated_by,
        superseded_by=successor.deployment_id if successor else None,
        superseded_by_number=successor.number if successor else None,
        policy=policy,
    )


def standing(
    me: Contender,
    others: Iterable[Contender],
    *,
    policy: QueuePolicy,
    newer_version: str | None,
) -> Admission:
    """How `me` stands, as `judge` says it; granted only if it holds its locks already."""
    everybody = list(others)
    verdict = judge(me, everybody, policy=policy, newer_version=newer_version)
    return replace(verdict, granted=_holds(me, everybody))


def _holds(me: Contender, others: Iterable[Contender]) -> bool:
    return me.active or any(it.active and it.deployment_id == me.deployment_id for it in others)


def _rivals(me: Contender, other: Contender) -> bool:
    return (
        other.deployment_id != me.deployment_id
        and not me.places.isdisjoint(other.places)
        and (other.active or other.ready)
    )


def _stands_before(
    me: Contender, other: Contender, rivals: Sequence[Contender], policy: QueuePolicy
) -> bool:
    if other.active:
        return True
    if other.number > me.number:
        return False
    # One that is about to be superseded keeps nobody waiting; `me` may be the one who does it.
    gives_way = policy is QueuePolicy.COALESCE and superseder(other, [*rivals, me]) is not None
    return not gives_way


def superseder(me: Contender, others: Iterable[Contender]) -> Contender | None:
    """The newest waiting automatic deployment that covers everything `me` would have deployed.

    Only automatic ones give way, only to automatic ones, and never one that is under way.
    """
    if not me.automatic or me.active:
        return None
    newer = [
        it
        for it in others
        if it.automatic
        and it.ready
        and not it.active
        and it.number > me.number
        and it.places >= me.places
    ]
    return max(newer, key=lambda it: it.number, default=None)


def overtaken_by(
    me: Contender, others: Iterable[Contender], *, policy: QueuePolicy
) -> tuple[DeploymentId, ...]:
    """Those whose wait is over because `me` waits now too: they are superseded."""
    if policy is not QueuePolicy.COALESCE:
        return ()
    return tuple(it.deployment_id for it in others if it.ready and superseder(it, [me]) is not None)


def _as_holder(me: Contender, other: Contender) -> Holder:
    return Holder(
        deployment_id=other.deployment_id,
        number=other.number,
        application_id=min(app for _, app in me.places & other.places),
        active=other.active,
    )
