"""Editing the graph of a deployment that waits; tasks that were started are never touched.

Called by the API on the locked deployment. Tasks that stay as they are stay the same objects with
the same executions; changed and new ones are laid out anew. An approval given before the edit was
given to something else, so it is asked for again.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from boreas.domain.deployments import (
    EDITABLE,
    TERMINAL_TASKS,
    Deployment,
    Execution,
    ExecutionState,
    Gate,
    Task,
    TaskState,
)
from boreas.domain.errors import Conflict, NotFound, invalid
from boreas.domain.events import Notice
from boreas.domain.ids import TaskId
from boreas.domain.variables import task_variables
from boreas.domain.workflow import TaskRequest, TaskType
from boreas.engine.gates import DEPLOYMENT_GATE
from boreas.engine.graph import Graph
from boreas.engine.health_windows import with_hold_settled
from boreas.engine.plan import Ground, facts_for, refuse_bad_plan, with_tasks
from boreas.engine.snapshot import Decision

_WAITING = frozenset({TaskState.BLOCKED, TaskState.PENDING, TaskState.WAITING_CONFIRM})


def request_of(task: Task) -> TaskRequest:
    """The task as a person would have written it."""
    return TaskRequest(
        id=task.id,
        name=task.name,
        type=task.type,
        application_id=task.application_id,
        block_by=task.block_by,
        order=task.order,
        payload=task.payload,
        require_confirm=task.require_confirm,
        timeout_seconds=task.timeout_seconds,
        stage=task.stage,
        when=task.when,
        retry=task.retry,
        continue_on=task.continue_on,
    )


def edit_workflow(
    deployment: Deployment,
    requests: Sequence[TaskRequest],
    by: str,
    *,
    ground: Ground,
    expected: int,
    now: datetime,
) -> Decision:
    """Replace the whole list of tasks.

    `expected` is the `workflow_revision` that was edited; a stale one is a `Conflict`, and so is
    touching a started task. A bad graph is `InvalidInput` naming the cycle or the bad id.
    """
    _refuse_unless_editable(deployment, expected)
    graph = refuse_bad_plan(requests, deployment.must_in_order, len(deployment.stages))
    _refuse_other_variables(deployment, requests)
    edit = _Edit(deployment, requests)
    edit.refuse_touching_started(graph)
    if not edit.changed and not edit.removed and not edit.reordered:
        return Decision(next=deployment)
    edited = edit.apply(ground, now)
    text = f"workflow edited by {by}: {edit.words()}"
    return Decision(next=edited, notices=(Notice(code="edited", text=text, by=by),))


def _refuse_other_variables(deployment: Deployment, requests: Sequence[TaskRequest]) -> None:
    """Those of a deploy task are part of its release, and a release never changes."""
    present = {it.id: task_variables(it.payload) for it in deployment.tasks}
    for index, wanted in enumerate(requests):
        own = task_variables(wanted.payload)
        if wanted.type is TaskType.DEPLOY and own != present.get(wanted.id, {}):
            problem = "belong to the release, which was frozen when the deployment was made"
            mend = "make a new deployment with them"
            raise invalid(f"tasks[{index}].payload.variables", problem, mend)


def add_task(
    deployment: Deployment,
    request: TaskRequest,
    by: str,
    *,
    ground: Ground,
    expected: int,
    now: datetime,
) -> Decision:
    """One more task; see `edit_workflow`."""
    if any(it.id == request.id for it in deployment.tasks):
        raise Conflict(f"There is a task {request.id!r} already.")
    requests = [*map(request_of, deployment.tasks), request]
    return edit_workflow(deployment, requests, by, ground=ground, expected=expected, now=now)


def update_task(
    deployment: Deployment,
    request: TaskRequest,
    by: str,
    *,
    ground: Ground,
    expected: int,
    now: datetime,
) -> Decision:
    """The task with the request's id becomes this; see `edit_workflow`."""
    _require_task(deployment, request.id)
    requests = [request if it.id == request.id else request_of(it) for it in deployment.tasks]
    return edit_workflow(deployment, requests, by, ground=ground, expected=expected, now=now)


def delete_task(
    deployment: Deployment,
    task_id: TaskId,
    by: str,
    *,
    ground: Ground,
    expected: int,
    now: datetime,
) -> Decision:
    """One task less; `InvalidInput` if another one waits for it by name. See `edit_workflow`."""
    _require_task(deployment, task_id)
    requests = [request_of(it) for it in deployment.tasks if it.id != task_id]
    return edit_workflow(deployment, requests, by, ground=ground, expected=expected, now=now)


def _require_task(deployment: Deployment, task_id: TaskId) -> None:
    if all(it.id != task_id for it in deployment.tasks):
        raise NotFound(f"There is no task {task_id!r} in this deployment.")


def _refuse_unless_editable(deployment: Deployment, expected: int) -> None:
    if deployment.rollback_of is not None:
        raise Conflict("The way back is laid out by Boreas and cannot be edited.")
    if deployment.state not in EDITABLE or deployment.stop is not None:
        raise Conflict(
            f"It is {deployment.state}; the graph can be edited only while pending or waiting "
            "for confirmation."
        )
    if expected != deployment.workflow_revision:
        raise Conflict(
            f"The workflow was edited meanwhile (revision {deployment.workflow_revision}, "
            f"yours is {expected}); load it again.",
            parameters={"revision": deployment.workflow_revision},
        )


class _Edit:
    """The difference between the tasks as they are and as they shall be."""

    def __init__(self, deployment: Deployment, requests: Sequence[TaskRequest]) -> None:
        self.deployment = deployment
        self.requests = requests
        self.old = {it.id: it for it in deployment.tasks}
        self.new = {it.id: it for it in requests}
        self.rows: dict[TaskId, list[Execution]] = {it.id: [] for it in deployment.tasks}
        for row in deployment.executions:
            self.rows[row.task_id].append(row)
        self.changed = [
            it
            for it in requests
            if it.id not in self.old or request_of(self.old[it.id]) != self._named(it)
        ]
        self.removed = [it for it in deployment.tasks if it.id not in self.new]
        self.reordered = [it for it in self.old if it in self.new] != [
            it for it in self.new if it in self.old
        ]

    def _named(self, request: TaskRequest) -> TaskRequest:
        return replace(request, name=request.name or request.id)

    def is_started(self, task: Task) -> bool:
        return task.state not in _WAITING or any(
            it.state is not ExecutionState.PENDING for it in self.rows[task.id]
        )

    def refuse_touching_started(self, graph: Graph) -> None:
        touched = [*(self.old[it.id] for it in self.changed if it.id in self.old), *self.removed]
        for task in touched:
            if self.is_started(task):
                raise Conflict(f"{task.name} ({task.id}) has been started; it cannot be edited.")
        for task in self.old.values():
            if task.id in self.new and self.is_started(task):
                self._refuse_new_before(task, graph)

    def _refuse_new_before(self, task: Task, graph: Graph) -> None:
        """The order of types could slip a new task in before one that already began."""
        for before in graph.before(task.id):
            was = self.old.get(before)
            if was is None or was.state not in TERMINAL_TASKS:
                raise Conflict(
                    f"{before} would come before {task.name} ({task.id}), which has been started."
                )

    def apply(self, ground: Ground, now: datetime) -> Deployment:
        again = {it.id for it in self.changed}
        gone = again | {it.id for it in self.removed}
        kept = replace(
            self.deployment,
            tasks=tuple(it for it in self.deployment.tasks if it.id not in gone),
            executions=tuple(it for it in self.deployment.executions if it.task_id not in gone),
            facts=self._facts(ground),
        )
        last = max((it.ordinal for it in self.deployment.executions), default=0)
        full = with_tasks(kept, self.changed, ground, now, first_ordinal=last + 1)
        tasks = {it.id: it for it in full.tasks}
        edited = replace(
            full,
            tasks=tuple(tasks[it.id] for it in self.requests),
            gates=tuple(it for it in self.deployment.gates if self._still_means(it, gone)),
            workflow_revision=self.deployment.workflow_revision + 1,
            revision=self.deployment.revision + 1,
            updated_at=now,
        )
        return with_hold_settled(edited, now)

    def _still_means(self, gate: Gate, gone: Collection[TaskId]) -> bool:
        """Whether what this approval is about is still the same."""
        if gate.id == DEPLOYMENT_GATE:
            return self.deployment.admitted_at is not None
        if gate.stage is not None:
            touched = [it.stage for it in self.changed] + [it.stage for it in self.removed]
            return gate.stage not in touched
        return gate.task_id not in gone

    def _facts(self, ground: Ground) -> Mapping[str, Any]:
        """As they were when it was made; a first condition finds them as they are now."""
        was = self.deployment
        return was.facts or facts_for(self.requests, ground, kind=was.origin, by=was.created_by)

    def words(self) -> str:
        added = [it.id for it in self.changed if it.id not in self.old]
        changed = [it.id for it in self.changed if it.id in self.old]
        parts = [
            ("added", added),
            ("changed", changed),
            ("removed", [it.id for it in self.removed]),
        ]
        said = [f"{what} {', '.join(ids)}" for what, ids in parts if ids]
        return "; ".join(said) or "reordered"
