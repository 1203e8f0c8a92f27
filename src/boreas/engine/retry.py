"""Trying again: what failed gets new attempts; what succeeded is left alone.

Used in place (`engine.people_targets`) and for a deployment that retries a finished one
(`engine.successor`); both end in the same rows.
"""

from collections.abc import Iterable
from dataclasses import replace

from boreas.domain.deployments import (
    Deployment,
    Execution,
    ExecutionKind,
    ExecutionState,
    TaskState,
)
from boreas.domain.ids import ExecutionId, TaskId
from boreas.engine.attempts import NOT_GOOD, latest, own_work
from boreas.engine.draft import Draft

_REOPENED = frozenset({TaskState.FAILED, TaskState.CANCELLED})


def next_attempt(execution: Execution) -> Execution:
    """A fresh row for the same work on the same target; its id and ordinal are given later."""
    return Execution(
        id=ExecutionId(""),
        ordinal=0,
        task_id=execution.task_id,
        target_id=execution.target_id,
        agent_id=execution.agent_id,
        kind=execution.kind,
        state=ExecutionState.PENDING,
        application_id=execution.application_id,
        batch=execution.batch,
        attempt=execution.attempt + 1,
        phase=execution.phase,
        release_id=execution.release_id,
    )


def to_try_again(executions: Iterable[Execution]) -> list[Execution]:
    """Of a task's executions the latest attempts that did not succeed and still count.

    When the activation of a target failed its staged copy is proven good and stays; when staging
    failed, the skipped activation gets a new row too.
    """
    return [
        it
        for it in latest(executions)
        if not it.ignored and (it.state in NOT_GOOD or it.state is ExecutionState.SKIPPED)
    ]


def reopen(draft: Draft, task_ids: Iterable[TaskId]) -> list[Execution]:
    """Give these tasks new attempts and open them again; the new rows."""
    added: list[Execution] = []
    for task_id in task_ids:
        task = draft.tasks[task_id]
        for execution in to_try_again(own_work(draft.deployment, draft.of_task(task_id))):
            added.append(draft.append(next_attempt(execution)))
        if task.state in _REOPENED:
            draft.update_task(task_id, state=TaskState.BLOCKED, reason=None, completed_at=None)
        elif task.state is TaskState.SUCCESS:
            draft.update_task(task_id, state=TaskState.RUNNING, reason=None, completed_at=None)
    return added


def unsuccessful(draft: Draft) -> list[TaskId]:
    """Tasks that failed, were cancelled, or have failed targets."""
    return [
        task.id
        for task in draft.tasks.values()
        if task.state in _REOPENED
        or any(
            it.state in NOT_GOOD and it.kind is not ExecutionKind.RETIRE
            for it in to_try_again(own_work(draft.deployment, draft.of_task(task.id)))
        )
    ]


def with_new_ids(deployment: Deployment, executions: Iterable[Execution]) -> tuple[Execution, ...]:
    """The same rows numbered from 1 as rows of this deployment."""
    return tuple(
        replace(it, id=ExecutionId(f"{deployment.id}.{ordinal}"), ordinal=ordinal)
        for ordinal, it in enumerate(executions, start=1)
    )
