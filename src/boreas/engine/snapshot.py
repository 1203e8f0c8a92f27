"""What the engine sees and what it answers: the types of `decide(snapshot, now) -> Decision`.

The runtime loads a `Snapshot` under the deployment's row lock and saves a `Decision` in the same
transaction; nothing here knows how.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from boreas.domain.builds import BuiltImage
from boreas.domain.deployments import Deployment, Reason
from boreas.domain.events import Notice
from boreas.domain.fleet import AgentView, LiveRecord
from boreas.domain.ids import (
    AgentId,
    ApplicationId,
    DeploymentId,
    ExecutionId,
    OrderId,
    ReleaseId,
    TargetId,
)
from boreas.domain.orders import HealthCheck
from boreas.domain.projects import Environment, EnvironmentLock, QueuePolicy
from boreas.domain.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who stands before a deployment that wants its locks."""

    deployment_id: DeploymentId
    number: int
    application_id: ApplicationId
    active: bool
    """True: it holds the lock. False: it is queued before us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Whether the locks of every (application, environment) are ours; if not, who is before."""

    granted: bool
    place: int = 0
    """1 = next in the queue."""
    holders: tuple[Holder, ...] = ()
    newer_version_deployed: str | None = None
    """Name of a newer version that already succeeded here; an automatic deployment gives way."""
    superseded_by: DeploymentId | None = None
    superseded_by_number: int | None = None
    policy: QueuePolicy = QueuePolicy.QUEUE
    """With `reject`, a deployment that finds a holder gives up at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseView:
    """What the engine may know of a release."""

    id: ReleaseId
    application_id: ApplicationId
    version: str
    can_stage: bool
    cannot_stage_because: str = ""
    """Why not, in words for the plan ("it binds host port 8080 and has no proxy")."""
    health_check: HealthCheck | None = None
    interrupts: bool = True
    """Making it live without staging interrupts service; of a script nobody can know that."""
    builds: str | None = None
    """The image that a `build` task makes; empty if it is there already, None without a build."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the environment says at this moment about when deployments may begin."""

    windows: tuple[Window, ...] = ()
    lock: EnvironmentLock | None = None


FREE: Final = Rules()
"""Any time, by anybody."""


def rules_of(environment: Environment) -> Rules:
    """The part of an environment that deployments which exist already obey, too."""
    if not environment.windows and environment.lock is None:
        return FREE
    return Rules(windows=environment.windows, lock=environment.lock)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One deployment and all of the world that matters to it, read at one moment."""

    deployment: Deployment
    admission: Admission
    agents: Mapping[AgentId, AgentView]
    live: Mapping[tuple[ApplicationId, TargetId], LiveRecord]
    releases: Mapping[ReleaseId, ReleaseView]
    """This deployment's own releases, and every one that is live on its targets or was before."""
    application_names: Mapping[ApplicationId, str] = field(default_factory=dict)
    target_names: Mapping[TargetId, str] = field(default_factory=dict)
    rules: Rules = FREE


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderIntent:
    """Send this execution's order to its agent."""

    execution_id: ExecutionId


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelIntent:
    """Ask the agent to stop this order."""

    order_id: OrderId
    agent_id: AgentId
    grace_seconds: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveChange:
    """What is now known to be live: proven (`release_id`), or begun and uncertain.

    Both None: nothing of the application is known to be live there any more.
    """

    application_id: ApplicationId
    target_id: TargetId
    release_id: ReleaseId | None
    uncertain_release_id: ReleaseId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A build made the image of a release: whoever deploys it from now on uses its digest."""

    execution_id: ExecutionId
    release_id: ReleaseId
    application_id: ApplicationId
    image: BuiltImage


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What happens next.

    `next` is the deployment after this moment; unchanged tasks and executions are the same
    objects, so that saving writes only what changed. `take_fence`: the runtime draws the next
    fencing number into `next.fence` before it builds the orders. `wants_admission`: try to take
    the locks, then ask again. `release_locks`: this deployment needs them no more. `wake_at`: look
    again at this time even if nothing happens.
    """

    next: Deployment
    orders: tuple[OrderIntent, ...] = ()
    cancels: tuple[CancelIntent, ...] = ()
    live: tuple[LiveChange, ...] = ()
    built: tuple[Built, ...] = ()
    notices: tuple[Notice, ...] = ()
    because: tuple[Reason, ...] = ()
    wake_at: datetime | None = None
    take_fence: bool = False
    wants_admission: bool = False
    release_locks: bool = False
