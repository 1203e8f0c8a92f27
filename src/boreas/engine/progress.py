"""How far a deployment is, for people: a figure between 0 and 1."""

from boreas.domain.deployments import (
    TERMINAL_EXECUTIONS,
    Deployment,
    Execution,
    ExecutionKind,
    TaskState,
)
from boreas.domain.ids import TaskId
from boreas.engine.attempts import is_going_back_in_place, latest

_DONE = frozenset({TaskState.SUCCESS, TaskState.FAILED, TaskState.CANCELLED, TaskState.ROLLED_BACK})


def progress_of(deployment: Deployment) -> float:
    """The share of its work that is over; while going back, of the way back.

    Every task weighs as much as its targets; one without any counts as one.
    """
    back = is_going_back_in_place(deployment)
    by_task: dict[TaskId, list[Execution]] = {}
    for row in deployment.executions:
        if (row.kind is ExecutionKind.REVERT or not back) and row.kind is not ExecutionKind.RETIRE:
            by_task.setdefault(row.task_id, []).append(row)
    total = done = 0
    for task in deployment.tasks:
        rows = latest(by_task.get(task.id, ()))
        if rows:
            total += len(rows)
            done += sum(1 for it in rows if it.state in TERMINAL_EXECUTIONS)
        elif not back:
            total += 1
            done += task.state in _DONE
    return done / total if total else 0.0
