"""A deployment as the documents show it, camelCase. Pure: values and names in, models out."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from boreas.domain.deployments import (
    TERMINAL,
    Deployment,
    Execution,
    Gate,
    GateState,
    Reason,
    WindowSkip,
)
from boreas.domain.events import Event
from boreas.domain.orders import ReleaseBody
from boreas.engine.explain import blocked_words
from boreas.engine.progress import progress_of
from boreas.server.bodies import Moment, V1View
from boreas.server.strategy_bodies import grayscale, strategy_type, strategy_view
from boreas.server.task_views import Names, TaskView, duration, task_view
from boreas.server.variable_views import SnapshotVariableView, snapshot_views


class ReasonView(V1View):
    """Why something waits: a stable code with its parameters, and the sentence."""

    code: str
    text: str
    params: dict[str, Any]
    task_id: str | None


class AnswerView(V1View):
    """One person's word at an approval."""

    by: str
    at: Moment
    confirmed: bool
    comment: str


class GateView(V1View):
    """An approval that was asked for."""

    id: str
    kind: str
    state: str
    task_id: str | None
    step: int | None
    stage: int | None
    opened_at: Moment
    expires_at: Moment
    closed_at: Moment | None
    answers: list[AnswerView]


class WorkflowRefView(V1View):
    """The workflow, and which of its versions, that the tasks were made of."""

    id: str
    name: str
    version: int


class StageView(V1View):
    """A stage of the deployment; tasks name it by its place, from 1."""

    name: str
    approval: bool
    continue_on: list[str]


class WindowSkipView(V1View):
    """Who let it pass the environment's windows, and why."""

    by: str
    at: Moment
    reason: str


class DeploymentView(V1View):
    """A deployment in a list."""

    id: str
    number: int
    project_id: str
    version_id: str
    version: str
    environment_id: str
    environment_ids: list[str]
    environments: list[str]
    application_ids: list[str]
    applications: list[str]
    must_in_order: list[str]
    status: str
    phase: str
    progress: int
    revision: int
    workflow_revision: int
    waiting_for: list[str]
    waiting_reasons: list[ReasonView]
    error_message: str
    manual_approval: bool
    require_confirm: bool
    grayscale_enabled: bool
    grayscale_ratio: float | None
    strategy_type: str
    strategy: list[dict[str, Any]]
    grace_seconds: float
    origin: str
    auto_start: bool
    paused_by: str | None
    paused_at: Moment | None
    created_by: str
    created_at: Moment
    updated_at: Moment
    started_at: Moment | None
    completed_at: Moment | None
    duration: float | None
    rollback_of: str | None
    retry_of: str | None
    superseded_by: str | None
    workflow: WorkflowRefView | None
    stages: list[StageView]
    deploy_at: Moment | None
    expire_at: Moment | None
    window_skip: WindowSkipView | None
    gates: list[GateView]


class LogLineView(V1View):
    """A line of a task's log in a deployment."""

    task_id: str
    timestamp: str
    level: str
    message: str


class DeploymentDetailView(DeploymentView):
    """A deployment with its tasks."""

    tasks: list[TaskView]
    logs: list[LogLineView]
    variables: list[SnapshotVariableView]


class EventView(V1View):
    """One thing that happened; `seq` grows."""

    seq: int
    at: Moment
    code: str
    text: str
    params: dict[str, Any]
    task_id: str | None
    execution_id: str | None
    by: str | None


def deployment_view(deployment: Deployment, names: Names, now: datetime) -> DeploymentView:
    """The deployment as lists show it."""
    return DeploymentView(**_header(deployment, names, now))


def detail_view(
    deployment: Deployment,
    names: Names,
    now: datetime,
    last_lines: Mapping[str, Sequence[Any]],
    releases: Sequence[ReleaseBody] = (),
) -> DeploymentDetailView:
    """The whole deployment; `last_lines` are log lines by task, `releases` what it brings."""
    executions: dict[str, list[Execution]] = {}
    for execution in deployment.executions:
        executions.setdefault(execution.task_id, []).append(execution)
    words = blocked_words(deployment)
    tasks = [
        task_view(
            deployment, task, executions.get(task.id, []), names, now, words.get(task.id)
        ).model_copy(update={"logs": [line.message for line in last_lines.get(task.id, ())]})
        for task in deployment.tasks
    ]
    lines = sorted(
        ((line, task) for task, found in last_lines.items() for line in found),
        key=lambda pair: pair[0].micros,
    )
    logs = [_log_line(line.as_json(), task) for line, task in lines]
    return DeploymentDetailView(
        **_header(deployment, names, now),
        tasks=tasks,
        logs=logs,
        variables=snapshot_views(deployment, releases),
    )


def _log_line(shown: Mapping[str, Any], task: str) -> LogLineView:
    return LogLineView(
        task_id=task,
        timestamp=shown["timestamp"],
        level=shown["level"],
        message=shown["message"],
    )


def _header(deployment: Deployment, names: Names, now: datetime) -> dict[str, Any]:
    enabled, ratio = grayscale(deployment.strategy)
    return {
        **_identity(deployment, names),
        **_standing(deployment, now),
        "manual_approval": deployment.manual_approval,
        "require_confirm": asks_people(deployment),
        "grayscale_enabled": enabled,
        "grayscale_ratio": ratio,
        "strategy_type": strategy_type(deployment.strategy),
        "strategy": strategy_view(deployment.strategy),
        "grace_seconds": deployment.strategy.grace_seconds,
        "rollback_of": deployment.rollback_of,
        "retry_of": deployment.retry_of,
        "superseded_by": deployment.superseded_by,
        "deploy_at": deployment.deploy_at,
        "expire_at": deployment.expire_at,
        "window_skip": _window_skip_view(deployment.window_skip),
        "workflow": _workflow(deployment),
        "stages": [
            StageView(name=it.name, approval=it.approval, continue_on=list(it.continue_on))
            for it in deployment.stages
        ],
        "gates": [gate_view(gate) for gate in deployment.gates],
    }


def _window_skip_view(skip: WindowSkip | None) -> WindowSkipView | None:
    return None if skip is None else WindowSkipView(by=skip.by, at=skip.at, reason=skip.reason)


def _workflow(deployment: Deployment) -> WorkflowRefView | None:
    found = deployment.workflow
    if found is None:
        return None
    return WorkflowRefView(id=found.id, name=found.name, version=found.version)


def _identity(deployment: Deployment, names: Names) -> dict[str, Any]:
    applications = deployment.application_ids
    return {
        "id": deployment.id,
        "number": deployment.number,
        "project_id": deployment.project_id,
        "version_id": deployment.version_id,
        "version": names.version,
        "environment_id": deployment.environment_id,
        "environment_ids": [deployment.environment_id],
        "environments": [names.environment],
        "application_ids": list(applications),
        "applications": [names.applications.get(each, each) for each in applications],
        "must_in_order": list(deployment.must_in_order),
        "origin": deployment.origin,
        "auto_start": deployment.started,
        "created_by": deployment.created_by,
    }


def _standing(deployment: Deployment, now: datetime) -> dict[str, Any]:
    reasons = () if deployment.state in TERMINAL else deployment.waiting_for
    return {
        "status": deployment.state,
        "phase": deployment.phase,
        "progress": round(100 * progress_of(deployment)),
        "revision": deployment.revision,
        "workflow_revision": deployment.workflow_revision,
        "waiting_for": [reason.text for reason in reasons],
        "waiting_reasons": [reason_view(reason) for reason in reasons],
        "error_message": deployment.error_message or "",
        "paused_by": deployment.paused_by,
        "paused_at": deployment.paused_at,
        "created_at": deployment.created_at,
        "updated_at": deployment.updated_at,
        "started_at": deployment.started_at,
        "completed_at": deployment.completed_at,
        "duration": duration(deployment.started_at, deployment.completed_at, now),
    }


def asks_people(deployment: Deployment) -> bool:
    """Does anything in it wait, or will it wait, for a person to agree?"""
    return (
        deployment.manual_approval
        or any(step.approval and step.answer is None for step in deployment.strategy.steps)
        or any(task.require_confirm for task in deployment.tasks)
        or any(stage.approval for stage in deployment.stages)
        or any(gate.state is GateState.OPEN for gate in deployment.gates)
    )


def reason_view(reason: Reason) -> ReasonView:
    """A reason as clients get it."""
    return ReasonView(
        code=reason.code,
        text=reason.text,
        params=dict(reason.parameters),
        task_id=reason.task_id,
    )


def gate_view(gate: Gate) -> GateView:
    """An approval as clients get it."""
    return GateView(
        id=gate.id,
        kind=gate.kind,
        state=gate.state,
        task_id=gate.task_id,
        step=gate.step,
        stage=None if gate.stage is None else gate.stage + 1,
        opened_at=gate.opened_at,
        expires_at=gate.expires_at,
        closed_at=gate.closed_at,
        answers=[
            AnswerView(by=each.by, at=each.at, confirmed=each.confirmed, comment=each.comment)
            for each in gate.answers
        ],
    )


def event_view(event: Event) -> EventView:
    """An event as clients get it."""
    notice = event.notice
    return EventView(
        seq=event.sequence,
        at=event.at,
        code=notice.code,
        text=notice.text,
        params=dict(notice.parameters),
        task_id=notice.task_id,
        execution_id=notice.execution_id,
        by=notice.by,
    )
