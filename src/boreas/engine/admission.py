"""Who may begin: one deployment at a time for each application in an environment.

The runtime asks `judge` inside the transaction that takes the locks; the answer comes back to
`decide` in the snapshot. All locks of a deployment are taken together, so nobody holds one while
waiting for another. The order is the order of creation, never of readiness.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from boreas.domain.deployments import Deployment, Origin
from boreas.domain.ids import ApplicationId, DeploymentId, EnvironmentId
from boreas.domain.projects import QueuePolicy
from boreas.engine.snapshot import Admission, Holder


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A deployment that holds locks (`active`) or wants them (`ready`: nothing else is awaited)."""

    deployment_id: DeploymentId
    number: int
    environment_id: EnvironmentId
    application_ids: frozenset[ApplicationId]
    automatic: bool
    active: bool
    ready: bool = True
    version_sequence: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """The newest version that already succeeded for an application in the environment."""

    sequence: int
    version: str


def contender_of(
    deployment: Deployment, *, version_sequence: int = 0, ready: bool = True
) -> Contender:
    """A deployment as a contender; it is active from its admission on."""
    return Contender(
        deployment_id=deployment.id,
        number=deployment.number,
        environment_id=deployment.environment_id,
        application_ids=frozenset(deployment.application_ids),
        automatic=deployment.origin is Origin.AUTOMATIC,
        active=deployment.admitted_at is not None,
        ready=ready,
        version_sequence=version_sequence,
    )


def judge(
    me: Contender,
    others: Iterable[Contender],
    *,
    policy: QueuePolicy = QueuePolicy.QUEUE,
    deployed: Mapping[ApplicationId, Deployed] | None = None,
) -> Admission:
    """Whether `me` may take all its locks now; if not, its place and who stands before it."""
    rivals = [it for it in others if _rivals(me, it)]
    newer = _newer_version(me, deployed or {})
    successor = superseder(me, rivals) if policy is QueuePolicy.COALESCE else None
    before = [it for it in rivals if _stands_before(me, it, rivals, policy)]
    before.sort(key=lambda it: (not it.active, it.number))
    return Admission(
        granted=not before and newer is None and successor is None,
        place=1 + sum(1 for it in before if not it.active),
        holders=tuple(_as_holder(me, it) for it in before),
        newer_version_deployed=newer,
        superseded_by=successor.deployment_id if successor else None,
        superseded_by_number=successor.number if successor else None,
        policy=policy,
    )


def _rivals(me: Contender, other: Contender) -> bool:
    return (
        other.deployment_id != me.deployment_id
        and other.environment_id == me.environment_id
        and not me.application_ids.isdisjoint(other.application_ids)
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
        and it.environment_id == me.environment_id
        and it.application_ids >= me.application_ids
    ]
    return max(newer, key=lambda it: it.number, default=None)


def _newer_version(me: Contender, deployed: Mapping[ApplicationId, Deployed]) -> str | None:
    """An older version never deploys *itself* after a newer one; people may."""
    if not me.automatic:
        return None
    known = [it for app in sorted(me.application_ids) if (it := deployed.get(app)) is not None]
    return next((it.version for it in known if it.sequence > me.version_sequence), None)


def _as_holder(me: Contender, other: Contender) -> Holder:
    return Holder(
        deployment_id=other.deployment_id,
        number=other.number,
        application_id=min(me.application_ids & other.application_ids),
        active=other.active,
    )
