"""What an agent is asked to do, and what it may answer.

An `OrderBody` is complete: an agent needs nothing else to put an application on a target, to check
it, or to bring the previous version back. It travels as msgpack and is journalled before acting.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from boreas.domain.builds import BuildPlan
from boreas.domain.delivery import CredentialUse
from boreas.domain.ids import (
    AgentId,
    ApplicationId,
    DeploymentId,
    EnvironmentId,
    ExecutionId,
    OrderId,
    ProjectId,
    ReleaseId,
    TargetId,
    TaskId,
    VersionId,
)
from boreas.domain.secrets import SecretRef
from boreas.domain.variables import NO_VARIABLES, VariableSnapshot


class Verb(StrEnum):
    """One convergent act of a driver; an order is a tuple of them, done in turn."""

    STAGE = "stage"
    """Bring the new version beside the live one."""
    CHECK_STAGED = "check_staged"
    """Is the staged copy healthy?"""
    ACTIVATE = "activate"
    """Make the new version live."""
    CHECK = "check"
    """Is the live version healthy, for `min_healthy_seconds` in a row?"""
    REVERT = "revert"
    """The previous version is live again."""
    RETIRE = "retire"
    """Remove what nothing needs any more; never what a rollback needs."""
    OBSERVE = "observe"
    """Say what is live now."""
    BUILD = "build"
    """Build an image and push it."""
    RUN = "run"
    """Run the task's own command."""


CHANGING_VERBS = frozenset({Verb.ACTIVATE, Verb.REVERT})
"""After one of these began, the target may no longer run what it ran before."""


class DriverKind(StrEnum):
    """How an application is put on a target."""

    SCRIPT = "script"
    GIT_PULL = "git_pull"
    CONTAINER = "container"


class ProbeKind(StrEnum):
    """How health is asked for."""

    COMMAND = "command"
    HTTP = "http"
    TCP = "tcp"
    CONTAINER = "container"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """How to ask whether an application is healthy on a target, and when to believe it.

    Times in seconds. During `start_period` failures do not count; after it, `retries` failures in a
    row mean unhealthy. Healthy means passed for `min_healthy_seconds` in a row. `healthy_deadline`
    (from the first probe) is kept by the engine, which leaves out time spent waiting for people.
    """

    type: ProbeKind
    command: str | None = None
    url: str | None = None
    status: int | None = None
    body: str | None = None
    host: str | None = None
    port: int | None = None
    interval: float = 1.0
    timeout: float = 5.0
    retries: int = 3
    start_period: float = 0.0
    min_healthy_seconds: float = 0.0
    healthy_deadline: float = 300.0
    progress_deadline: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GitRef:
    """Where the sources of a version lie; `commit` is full and resolved, or None until it is."""

    repository: str
    ref: str | None = None
    commit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseBody:
    """Everything that defines one application in one version: what a driver converges to."""

    release_id: ReleaseId
    version_id: VersionId
    version: str
    application_id: ApplicationId
    application: str
    driver: DriverKind
    spec: Mapping[str, Any]
    health_check: HealthCheck | None = None
    git: GitRef | None = None
    artifact: Mapping[str, Any] = field(default_factory=dict)
    """What the version pins for this application: `image`, `digest`, ..."""
    config: Mapping[str, Any] = field(default_factory=dict)
    variables: VariableSnapshot = NO_VARIABLES
    """Resolved when the deployment was made; whoever goes back to this release gets them again."""
    task_variables: Mapping[str, str] = field(default_factory=dict)
    """What the deploy task that brought it said besides."""
    credentials: Mapping[str, CredentialUse] = field(default_factory=dict)
    """By use (`git`, `registry`)."""
    build: BuildPlan | None = None
    """How its image is made, if the version does not pin one; it is known only after that."""
    build_credentials: Mapping[str, CredentialUse] = field(default_factory=dict)
    """By use (`git`, `push`); builders get these, targets the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderBody:
    """One order: who, where, which verbs, towards which release, coming from which one.

    `release` is what shall be live after the order (for `revert`: the previous version);
    `previous` is what was live before this deployment touched the target, None on a first one;
    `command` is the bash text of a `run`. `timeout_seconds` bounds the whole order.
    """

    order_id: OrderId
    execution_id: ExecutionId
    attempt: int
    deployment_id: DeploymentId
    task_id: TaskId
    task_name: str
    project_id: ProjectId
    project: str
    environment_id: EnvironmentId
    environment: str
    target_id: TargetId
    target: str
    agent_id: AgentId
    agent: str
    verbs: tuple[Verb, ...]
    release: ReleaseBody | None = None
    previous: ReleaseBody | None = None
    command: str | None = None
    build: BuildPlan | None = None
    """What a `build` shall make."""
    variables: Mapping[str, str] = field(default_factory=dict)
    secret_variables: Mapping[str, SecretRef] = field(default_factory=dict)
    """By name; their values travel beside the order and stand in no journal."""
    credentials: Mapping[str, CredentialUse] = field(default_factory=dict)
    """By use (`git`, `registry`)."""
    timeout_seconds: float = 3600.0
    cancel_grace_seconds: float = 10.0
    files: tuple[str, ...] = ()
    """Names of files to fetch from the server before the first verb."""
    keep_releases: tuple[ReleaseId, ...] = ()
    """Releases that a rollback may still need; `retire` never removes them."""


class Outcome(StrEnum):
    """How an order ended. Each is final."""

    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"
    """What happened cannot be known (the node restarted, the journal was wiped)."""
    REFUSED = "refused"
    """Never begun: a lower fence, an unknown body, a driver that is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerbOutcome:
    """What a driver's verb came to: a reason in words whenever it is not plain success."""

    ok: bool
    reason: str | None = None
    exit_code: int | None = None
    result: Mapping[str, Any] = field(default_factory=dict)


def order_variables(body: OrderBody, *, release_dir: str) -> dict[str, str]:
    """What every command of this order sees in its environment."""
    own = {
        "BOREAS_PROJECT": body.project,
        "BOREAS_APPLICATION": body.release.application if body.release else "",
        "BOREAS_ENVIRONMENT": body.environment,
        "BOREAS_TARGET": body.target,
        "BOREAS_AGENT": body.agent,
        "BOREAS_VERSION": body.release.version if body.release else "",
        "BOREAS_PREVIOUS_VERSION": body.previous.version if body.previous else "",
        "BOREAS_DEPLOYMENT_ID": body.deployment_id,
        "BOREAS_TASK_ID": body.task_id,
        "BOREAS_EXECUTION_ID": body.execution_id,
        "BOREAS_RELEASE_DIR": release_dir,
    }
    return {**body.variables, **own}
