"""Wishes about single tasks and targets: retry, skip, ignore. See `people` for the whole.

Like there: noted in the deployment or refused in a sentence; the next `decide` acts on it.
"""

from datetime import datetime

from boreas.domain.deployments import (
    IN_FLIGHT,
    TERMINAL,
    Deployment,
    ExecutionState,
    Phase,
    StopKind,
    Task,
    TaskState,
)
from boreas.domain.errors import Conflict, NotFound
from boreas.domain.ids import TargetId, TaskId
from boreas.engine import gates, retry
from boreas.engine.draft import Draft
from boreas.engine.snapshot import Decision

_NOT_STARTED = frozenset({TaskState.BLOCKED, TaskState.PENDING, TaskState.WAITING_CONFIRM})


def retry_failed(
    deployment: Deployment, by: str, *, now: datetime, task_id: TaskId | None = None
) -> Decision:
    """Try again what failed so far, in place (all of it, or one task); takes a new fencing number.

    Allowed while nothing goes back. A deployment that is stopping after a failure goes on again.
    For a finished deployment see `engine.successor.retry_of`.
    """
    draft = _draft(deployment, now)
    _refuse_unless_forward(deployment)
    if task_id is not None:
        _task(draft, task_id)
    stopping = deployment.stop is not None
    failed = retry.unsuccessful(draft)
    wanted = failed if task_id is None or stopping else [it for it in failed if it == task_id]
    if not wanted or (task_id is not None and task_id not in failed):
        raise Conflict("Nothing has failed that could be tried again.")
    # What a failure that was passed over kept from being started gets its chance with it.
    kept = [it.id for it in draft.tasks.values() if it.state is TaskState.CANCELLED]
    wanted = list(dict.fromkeys([*wanted, *kept]))
    draft.update(stop=None, error_message=None, fence=0, progress_at=draft.active())
    rows = retry.reopen(draft, wanted)
    draft.say("retried", f"{by} tries {len(rows)} targets again", by=by, tasks=tuple(wanted))
    return draft.decision()


def skip_task(
    deployment: Deployment, task_id: TaskId, by: str, *, now: datetime, comment: str = ""
) -> Decision:
    """Count a task that was not started as done."""
    draft = _draft(deployment, now)
    _refuse_unless_forward(deployment)
    if deployment.stop is not None:
        raise Conflict(f"It is stopping: {deployment.stop.reason}.")
    task = _task(draft, task_id)
    rows = draft.of_task(task_id)
    if task.state not in _NOT_STARTED or any(it.state in IN_FLIGHT for it in rows):
        raise Conflict(f"{task.name} is {task.state}; only a task not yet started can be skipped.")
    reason = f"skipped by {by}" + (f": {comment}" if comment else "")
    gate = gates.gate_of(deployment, gates.task_gate(task_id))
    if gate is not None:
        gates.withdraw_one(draft, gate)
    draft.skip(rows, reason)
    draft.update_task(task_id, skipped=True)
    draft.finish_task(task_id, TaskState.SUCCESS, reason)
    draft.say("skipped", f"{task.name}: {reason}", by=by, task_id=task_id)
    return draft.decision()


def ignore_target(
    deployment: Deployment,
    target_id: TargetId,
    by: str,
    *,
    now: datetime,
    task_id: TaskId | None = None,
    comment: str = "",
) -> Decision:
    """This target counts no more, in one task or in all: not for failures, not for health.

    What was not sent is skipped; what is under way is asked to stop and waited for.
    """
    draft = _draft(deployment, now)
    rows = [
        it
        for it in draft.executions.values()
        if it.target_id == target_id and task_id in (None, it.task_id)
    ]
    if not rows:
        raise NotFound("This deployment has nothing to do on such a target.")
    if all(it.ignored for it in rows):
        raise Conflict("This target is ignored already.")
    if deployment.stop is not None and deployment.phase is Phase.FORWARD:
        raise Conflict(f"It is stopping: {deployment.stop.reason}.")
    reason = f"ignored by {by}" + (f": {comment}" if comment else "")
    for row in rows:
        if row.state in IN_FLIGHT or row.state is ExecutionState.PENDING:
            draft.update_execution(row.id, ignored=True, reason=reason)
        else:
            draft.update_execution(row.id, ignored=True)
    draft.skip([draft.executions[it.id] for it in rows], reason)
    draft.say("ignored", f"target {target_id} {reason}", by=by, target=target_id)
    return draft.decision()


def _draft(deployment: Deployment, now: datetime) -> Draft:
    if deployment.state in TERMINAL:
        raise Conflict(f"It has ended ({deployment.state}).")
    return Draft(deployment, now)


def _refuse_unless_forward(deployment: Deployment) -> None:
    if deployment.phase is Phase.ROLLBACK:
        raise Conflict("It is going back.")
    if deployment.stop is None:
        return
    if deployment.stop.kind is not StopKind.FAILURE or deployment.stop.go_back:
        raise Conflict(f"It is stopping: {deployment.stop.reason}.")


def _task(draft: Draft, task_id: TaskId) -> Task:
    task = draft.tasks.get(task_id)
    if task is None:
        raise NotFound(f"There is no task {task_id!r} in this deployment.")
    return task
