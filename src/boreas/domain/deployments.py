"""A deployment and everything in it: states, tasks, executions, approvals.

All values are frozen; the engine answers with new ones. Transitions are in `engine.transitions`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from boreas.domain.builds import BuiltImage
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
from boreas.domain.orders import Verb
from boreas.domain.variables import NO_VARIABLES, VariableSnapshot
from boreas.domain.workflow import Bad, Condition, Retry, Stage, Strategy, TaskType


class DeploymentState(StrEnum):
    """Where a deployment stands. The last four are final."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING_CONFIRM = "waiting_confirm"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ROLLED_BACK = "rolled_back"


class Phase(StrEnum):
    """Which way a running deployment goes."""

    FORWARD = "forward"
    ROLLBACK = "rollback"


class TaskState(StrEnum):
    """Where a task stands. The last four are final (a retry in place reopens a failed one)."""

    BLOCKED = "blocked"
    PENDING = "pending"
    WAITING_CONFIRM = "waiting_confirm"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ROLLED_BACK = "rolled_back"


class ExecutionState(StrEnum):
    """Where an execution stands. From `success` on, final."""

    PENDING = "pending"
    """Planned; nothing was sent."""
    ORDERED = "ordered"
    """The order is on its way to the agent."""
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """It was under way and the agent stopped it."""
    LOST = "lost"
    """What became of it cannot be known."""
    SKIPPED = "skipped"
    """Never started, and never will be; the reason says why."""


IN_FLIGHT = frozenset({ExecutionState.ORDERED, ExecutionState.RUNNING})


class Origin(StrEnum):
    """Who asked for a deployment; automatic ones may be superseded while they wait."""

    MANUAL = "manual"
    AUTOMATIC = "automatic"
    ROLLBACK = "rollback"
    RETRY = "retry"
    BUILD = "build"
    """Nothing but a build; lists of deployments leave it out."""


class GateKind(StrEnum):
    """What an approval stands before."""

    DEPLOYMENT = "deployment"
    """Before the first task."""
    STEP = "step"
    """After a strategy step's last batch is healthy."""
    TASK = "task"
    """Before a task that requires confirmation."""
    STAGE = "stage"
    """Before the tasks of a stage."""


class GateState(StrEnum):
    """Where an approval stands."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    """Nobody needs to answer any more (cancelled, failed meanwhile)."""


class ExpiryOutcome(StrEnum):
    """What an approval that nobody answered in time means."""

    FAIL = "fail"
    """The deployment fails and the fleet stays as it is."""
    ROLLBACK = "rollback"
    CONFIRM = "confirm"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalPolicy:
    """Who must agree, and how long it is waited for.

    `roles` and `users` name who may agree: one of either is enough; both empty means everybody who
    may deploy there.
    """

    required: int = 1
    forbid_requester: bool = False
    roles: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    expires_after: float = 24 * 3600.0
    on_expiry: ExpiryOutcome = ExpiryOutcome.FAIL

    def admits(self, by: str, role: str | None) -> bool:
        """Whether this person's yes counts."""
        return not (self.roles or self.users) or by in self.users or role in self.roles

    @property
    def approvers(self) -> str:
        """Who may agree, in words; empty when everybody may."""
        roles = f"role {' or '.join(self.roles)}" if self.roles else ""
        return ", or ".join(it for it in (roles, ", ".join(self.users)) if it)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSkip:
    """Somebody lets a deployment pass the environment's windows, and says why."""

    by: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One person's word at a gate."""

    by: str
    at: datetime
    confirmed: bool
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """An approval that was asked for.

    Ids are `deployment`, `step:<task>:<n>`, `task:<task>` and `stage:<n>`, counted from 1.
    """

    id: str
    kind: GateKind
    state: GateState
    opened_at: datetime
    expires_at: datetime
    task_id: TaskId | None = None
    step: int | None = None
    stage: int | None = None
    answers: tuple[Answer, ...] = ()
    closed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Targets that are started together. Numbers count from 1 through the whole task.

    `step` is the index in the strategy (the implicit final step has index len(steps)).
    """

    number: int
    step: int
    target_ids: tuple[TargetId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A node of the deployment's DAG."""

    id: TaskId
    name: str
    type: TaskType
    state: TaskState
    application_id: ApplicationId | None = None
    block_by: tuple[TaskId, ...] = ()
    """The edges the user asked for; `engine.graph` adds the implied ones."""
    order: int = 0
    payload: Mapping[str, Any] = field(default_factory=dict)
    require_confirm: bool = False
    timeout_seconds: float | None = None
    stage: int | None = None
    """Index in the deployment's stages."""
    when: Condition | None = None
    retry: Retry | None = None
    continue_on: tuple[Bad, ...] = ()
    skipped: bool = False
    """It counts as done and nothing was done: its condition was not met, or a person said so."""
    confirmed_by: str | None = None
    confirmed_at: datetime | None = None
    reason: str | None = None
    batches: tuple[Batch, ...] = ()
    blue_green: bool = False
    """This task stages everywhere before it activates anywhere."""
    first_deployment: bool = False
    """Canary steps were skipped: nothing of this application runs on these targets yet."""
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None


class ExecutionKind(StrEnum):
    """What an execution is for; it fixes the verbs of its order."""

    DEPLOY = "deploy"
    STAGE = "stage"
    ACTIVATE = "activate"
    RETIRE = "retire"
    CHECK = "check"
    RUN = "run"
    BUILD = "build"
    REVERT = "revert"


VERBS_OF: Mapping[ExecutionKind, tuple[Verb, ...]] = {
    ExecutionKind.DEPLOY: (Verb.STAGE, Verb.ACTIVATE, Verb.CHECK, Verb.RETIRE),
    ExecutionKind.STAGE: (Verb.STAGE, Verb.CHECK_STAGED),
    ExecutionKind.ACTIVATE: (Verb.ACTIVATE, Verb.CHECK),
    ExecutionKind.RETIRE: (Verb.RETIRE,),
    ExecutionKind.CHECK: (Verb.CHECK,),
    ExecutionKind.RUN: (Verb.RUN,),
    ExecutionKind.BUILD: (Verb.BUILD,),
    ExecutionKind.REVERT: (Verb.REVERT, Verb.CHECK),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One attempt of a task on one target.

    `release_id` is what shall be live after it. `previous_release_id` and `changed` are set when an
    order with a changing verb is sent: what was live on that very target before this deployment.
    `checking_since` is in seconds of the deployment's active time (`engine.health_windows`).
    `stop_reason` is set once a cancel was sent; the state changes only when the agent answers.
    """

    id: ExecutionId
    ordinal: int
    task_id: TaskId
    target_id: TargetId
    agent_id: AgentId
    kind: ExecutionKind
    state: ExecutionState
    application_id: ApplicationId | None = None
    batch: int = 1
    attempt: int = 1
    phase: Phase = Phase.FORWARD
    reason: str | None = None
    release_id: ReleaseId | None = None
    previous_release_id: ReleaseId | None = None
    changed: bool = False
    verb: Verb | None = None
    checking_since: float | None = None
    stop_reason: str | None = None
    stop_sent_at: datetime | None = None
    ignored: bool = False
    """A person said that this target does not count."""
    waiting_since: float | None = None
    """Active time at which its turn came while its agent was away; None while none is awaited."""
    not_before: datetime | None = None
    """A repetition is not sent before this moment."""
    ordered_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    exit_code: int | None = None
    outputs: Mapping[str, str] | None = None
    """What its command handed on, by name, if anything; conditions of later tasks see it."""
    image: BuiltImage | None = None
    """What a successful build made."""

    @property
    def order_id(self) -> OrderId:
        """The id under which the agent journals this execution."""
        return OrderId(f"{self.id}#{self.attempt}")

    @property
    def verbs(self) -> tuple[Verb, ...]:
        """What the order asks for."""
        return VERBS_OF[self.kind]


class StopKind(StrEnum):
    """Why a deployment goes no further forward."""

    CANCEL = "cancel"
    FAILURE = "failure"
    REJECTION = "rejection"
    EXPIRY = "expiry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Forward work has ended; what is in flight finishes (failure) or is stopped (cancel)."""

    kind: StopKind
    at: datetime
    reason: str
    by: str | None = None
    go_back: bool = False
    on: str | None = None
    """The name of the target on which it failed, if it was one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why something waits, was skipped or goes back: a stable code, and the words."""

    code: str
    text: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    task_id: TaskId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowOrigin:
    """The workflow template, and which of its versions, that a deployment's tasks were made of."""

    id: str
    name: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One version into one environment, with its whole plan and all that happened to it.

    `number` grows by one with every deployment of the installation: "#12", and the queue's order.
    `held_seconds` and `held_since` count time spent waiting for people, which deadlines leave out.
    """

    id: DeploymentId
    number: int
    project_id: ProjectId
    environment_id: EnvironmentId
    version_id: VersionId
    application_ids: tuple[ApplicationId, ...]
    state: DeploymentState
    created_by: str
    created_at: datetime
    updated_at: datetime
    phase: Phase = Phase.FORWARD
    revision: int = 1
    """Grows with every saved change; a write with an older one is refused."""
    workflow_revision: int = 1
    """Grows when tasks or edges are edited; what optimistic locking of the graph compares."""
    origin: Origin = Origin.MANUAL
    must_in_order: tuple[ApplicationId, ...] = ()
    strategy: Strategy = field(default_factory=Strategy)
    variables: VariableSnapshot = NO_VARIABLES
    """What commands of no application see: the project's and the environment's, as resolved then.
    Those of an application are in its release."""
    manual_approval: bool = False
    approval_policy: ApprovalPolicy = field(default_factory=ApprovalPolicy)
    started: bool = False
    """Somebody (or autoStart) asked it to start."""
    started_at: datetime | None = None
    queued_at: datetime | None = None
    admitted_at: datetime | None = None
    """When it got the locks of its applications; None while it does not hold them."""
    completed_at: datetime | None = None
    deploy_at: datetime | None = None
    """Not to begin before this moment."""
    expire_at: datetime | None = None
    """To be given up if it has not begun by then."""
    window_skip: WindowSkip | None = None
    frozen_since: datetime | None = None
    """Since when a window without overrun has held it in the middle; deadlines stand still."""
    fence: int = 0
    paused_by: str | None = None
    paused_at: datetime | None = None
    held_seconds: float = 0.0
    held_since: datetime | None = None
    progress_at: float | None = None
    """Active time of the last progress (a target became healthy, a person promoted)."""
    stop: Stop | None = None
    error_message: str | None = None
    gates: tuple[Gate, ...] = ()
    rollback_of: DeploymentId | None = None
    retry_of: DeploymentId | None = None
    superseded_by: DeploymentId | None = None
    workflow: WorkflowOrigin | None = None
    stages: tuple[Stage, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What conditions may ask of the version, the environment and so on; empty without any."""
    waiting_for: tuple[Reason, ...] = ()
    tasks: tuple[Task, ...] = ()
    executions: tuple[Execution, ...] = ()


TERMINAL = frozenset(
    {
        DeploymentState.SUCCESS,
        DeploymentState.FAILED,
        DeploymentState.CANCELLED,
        DeploymentState.ROLLED_BACK,
    }
)
TERMINAL_TASKS = frozenset(
    {TaskState.SUCCESS, TaskState.FAILED, TaskState.CANCELLED, TaskState.ROLLED_BACK}
)
TERMINAL_EXECUTIONS = frozenset(
    {
        ExecutionState.SUCCESS,
        ExecutionState.FAILED,
        ExecutionState.CANCELLED,
        ExecutionState.LOST,
        ExecutionState.SKIPPED,
    }
)
EDITABLE = frozenset({DeploymentState.PENDING, DeploymentState.WAITING_CONFIRM})
