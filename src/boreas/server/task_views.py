"""How tasks, batches and executions of a deployment are shown under /api/v1."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from boreas.domain.deployments import (
    Batch,
    Deployment,
    Execution,
    Task,
    TaskState,
)
from boreas.server.bodies import Moment, V1View


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What the ids in a deployment are called."""

    version: str = ""
    environment: str = ""
    applications: Mapping[str, str] = field(default_factory=dict)
    targets: Mapping[str, str] = field(default_factory=dict)
    agents: Mapping[str, str] = field(default_factory=dict)


class ExecutionView(V1View):
    """One attempt of a task on one target."""

    id: str
    target: str
    target_id: str
    agent: str
    agent_id: str
    state: str
    kind: str
    phase: str
    batch: int
    attempt: int
    exit_code: int | None
    started_at: Moment | None
    completed_at: Moment | None
    reason: str | None
    ignored: bool
    not_before: Moment | None
    outputs: dict[str, str] | None


class BatchView(V1View):
    """Targets that are started together."""

    number: int
    step: int
    target_ids: list[str]
    targets: list[str]


class RetryView(V1View):
    """How often a failed attempt is repeated, after so many seconds."""

    count: int
    delay: float


class TaskView(V1View):
    """A node of the deployment's graph; `logs` are its last lines."""

    id: str
    deployment_id: str
    app_id: str | None
    application: str | None
    name: str
    type: str
    status: str
    block_by: str
    order: int
    payload: dict[str, Any]
    require_confirm: bool
    confirmed_by: str | None
    confirmed_at: Moment | None
    timeout_seconds: float | None
    stage: int | None
    when: str | None
    retry: RetryView | None
    continue_on: list[str]
    skipped: bool
    reason: str | None
    created_at: Moment
    updated_at: Moment
    started_at: Moment | None
    completed_at: Moment | None
    duration: float | None
    blue_green: bool
    first_deployment: bool
    batches: list[BatchView]
    executions: list[ExecutionView]
    logs: list[str]


def task_view(
    deployment: Deployment,
    task: Task,
    executions: Sequence[Execution],
    names: Names,
    now: datetime,
    reason: str | None = None,
) -> TaskView:
    """A task as the documents show it; `reason` is used where the task itself has none."""
    application = names.applications.get(task.application_id or "")
    return TaskView(
        id=task.id,
        deployment_id=deployment.id,
        app_id=task.application_id,
        application=application,
        name=task.name,
        type=task.type,
        status=task.state,
        block_by=",".join(task.block_by),
        order=task.order,
        payload=dict(task.payload),
        require_confirm=task.require_confirm,
        confirmed_by=task.confirmed_by,
        confirmed_at=task.confirmed_at,
        timeout_seconds=task.timeout_seconds,
        stage=None if task.stage is None else task.stage + 1,
        when=None if task.when is None else task.when.text,
        retry=(
            None
            if task.retry is None
            else RetryView(count=task.retry.count, delay=task.retry.delay)
        ),
        continue_on=list(task.continue_on),
        skipped=task.skipped,
        reason=task.reason or (reason if task.state is TaskState.BLOCKED else None),
        created_at=task.created_at,
        updated_at=task.updated_at,
        started_at=task.started_at,
        completed_at=task.completed_at,
        duration=duration(task.started_at, task.completed_at, now),
        blue_green=task.blue_green,
        first_deployment=task.first_deployment,
        batches=[batch_view(batch, names) for batch in task.batches],
        executions=[execution_view(each, names) for each in executions],
        logs=[],
    )


def batch_view(batch: Batch, names: Names) -> BatchView:
    """A batch with its targets by name."""
    return BatchView(
        number=batch.number,
        step=batch.step,
        target_ids=list(batch.target_ids),
        targets=[names.targets.get(each, each) for each in batch.target_ids],
    )


def execution_view(execution: Execution, names: Names) -> ExecutionView:
    """An execution as clients get it."""
    return ExecutionView(
        id=execution.id,
        target=names.targets.get(execution.target_id, execution.target_id),
        target_id=execution.target_id,
        agent=names.agents.get(execution.agent_id, execution.agent_id),
        agent_id=execution.agent_id,
        state=execution.state,
        kind=execution.kind,
        phase=execution.phase,
        batch=execution.batch,
        attempt=execution.attempt,
        exit_code=execution.exit_code,
        started_at=execution.started_at,
        completed_at=execution.completed_at,
        reason=execution.reason,
        ignored=execution.ignored,
        not_before=execution.not_before,
        outputs=None if execution.outputs is None else dict(execution.outputs),
    )


def duration(start: datetime | None, end: datetime | None, now: datetime) -> float | None:
    """Seconds from start to end, or to now while it lasts; None before it began."""
    """Seconds so far, or in all."""
    if start is None:
        return None
    return max(0.0, round(((end or now) - start).total_seconds(), 3))
