"""The deployment while one decision is being made: the only mutable thing in the engine.

Tasks and executions are replaced one by one and put back into tuples once, at the end, so that a
deployment of thousands of tasks is not copied for each of them. What did not change stays the same
object. Every change of state passes the tables of `transitions`.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime
from operator import attrgetter
from typing import Any

from boreas.domain.deployments import (
    IN_FLIGHT,
    TERMINAL_EXECUTIONS,
    Deployment,
    Execution,
    ExecutionState,
    Gate,
    Task,
    TaskState,
)
from boreas.domain.events import Notice
from boreas.domain.ids import ExecutionId, TaskId
from boreas.engine import transitions
from boreas.engine.graph import EDGES
from boreas.engine.health_windows import active_seconds, with_hold_settled
from boreas.engine.memory import known_of, remember
from boreas.engine.snapshot import Built, Decision, LiveChange
from boreas.kit.values import replace

_header = attrgetter(
    *(
        it.name
        for it in fields(Deployment)
        if it.name not in {"tasks", "executions", "revision", "updated_at"}
    )
)


class Draft:
    """A deployment being changed at one moment; `changed()` gives it back as a value."""

    def __init__(self, deployment: Deployment, now: datetime) -> None:
        self.now = now
        self.original = deployment
        self.deployment = deployment
        self.tasks = {it.id: it for it in deployment.tasks}
        self.executions = {it.id: it for it in deployment.executions}
        self.notices: list[Notice] = []
        self.live: list[LiveChange] = []
        self.built: list[Built] = []
        self._known = known_of(deployment)
        self._edges_changed = False
        self._tasks_changed = False
        self._executions_changed = False

    # --- reading -----------------------------------------------------------------------------

    def of_task(self, task_id: TaskId) -> list[Execution]:
        """All executions of a task, oldest first."""
        if self._known.of_task is None:
            of_task: defaultdict[TaskId, list[ExecutionId]] = defaultdict(list)
            for id_, execution in self.executions.items():
                of_task[execution.task_id].append(id_)
            self._known.of_task = of_task
        return [self.executions[it] for it in self._known.of_task.get(task_id, ())]

    def in_flight(self) -> list[Execution]:
        """Executions that an agent was asked for and has not settled."""
        return [
            it
            for it in self.executions.values()
            if it.completed_at is None and it.state in IN_FLIGHT
        ]

    def active(self) -> float:
        """The deployment's active time at this moment."""
        return active_seconds(self.deployment, self.now)

    # --- changing ----------------------------------------------------------------------------

    def update(self, **changes: Any) -> None:
        """Change fields of the deployment itself; a new state passes the table."""
        if "state" in changes:
            transitions.require_deployment(self.deployment.state, changes["state"])
        if _differs(self.deployment, changes):
            self.deployment = replace(self.deployment, **changes)

    def update_task(self, task_id: TaskId, **changes: Any) -> Task:
        """Change a task; nothing happens when all of it is so already."""
        task = self.tasks[task_id]
        if not _differs(task, changes):
            return task
        if "state" in changes:
            transitions.require_task(task.state, changes["state"])
        self._tasks_changed = True
        self._edges_changed |= not EDGES.isdisjoint(changes)
        self.tasks[task_id] = task = replace(task, updated_at=self.now, **changes)
        return task

    def finish_task(self, task_id: TaskId, state: TaskState, reason: str | None) -> None:
        """Bring a task to a final state."""
        self.update_task(task_id, state=state, reason=reason, completed_at=self.now)

    def update_execution(self, execution_id: ExecutionId, **changes: Any) -> Execution:
        """Change an execution; nothing happens when all of it is so already."""
        execution = self.executions[execution_id]
        if not _differs(execution, changes):
            return execution
        state = changes.get("state", execution.state)
        transitions.require_execution(execution.state, state)
        if state in TERMINAL_EXECUTIONS and execution.state not in TERMINAL_EXECUTIONS:
            changes.setdefault("completed_at", self.now)
            changes.setdefault("waiting_since", None)
        self._executions_changed = True
        self.executions[execution_id] = execution = replace(execution, **changes)
        return execution

    def skip(self, executions: Iterable[Execution], reason: str) -> None:
        """Those that were never sent never will be."""
        for execution in executions:
            if execution.state is ExecutionState.PENDING:
                self.update_execution(execution.id, state=ExecutionState.SKIPPED, reason=reason)

    def append(self, execution: Execution) -> Execution:
        """Add one more row; its ordinal and id are given here."""
        newest = next(reversed(self.executions.values()), None)
        ordinal = 1 if newest is None else newest.ordinal + 1
        execution = replace(
            execution, ordinal=ordinal, id=execution_id_of(self.deployment, ordinal)
        )
        self._executions_changed = True
        self.executions[execution.id] = execution
        self._known.of_task = None
        return execution

    def put_gate(self, gate: Gate) -> None:
        """Add an approval, or replace the one with the same id."""
        others = tuple(it for it in self.deployment.gates if it.id != gate.id)
        self.update(gates=(*others, gate))
        self.settle_hold()

    def settle_hold(self) -> None:
        """Begin or end held time as pauses and approvals now say."""
        self.deployment = with_hold_settled(self.deployment, self.now)

    def say(self, code: str, text: str, **about: Any) -> None:
        """Tell what happened; what is not its place (task, execution, by) is a parameter."""
        place = {it: about.pop(it) for it in ("task_id", "execution_id", "by") if it in about}
        self.notices.append(Notice(code=code, text=text, parameters=about, **place))

    # --- the result --------------------------------------------------------------------------

    def changed(self) -> Deployment:
        """The deployment as it is now; the very same object if nothing changed."""
        draft, original = self.deployment, self.original
        header = draft is not original and _header(draft) != _header(original)
        if not (header or self._tasks_changed or self._executions_changed):
            return original
        after = replace(
            draft,
            tasks=tuple(self.tasks.values()) if self._tasks_changed else original.tasks,
            executions=(
                tuple(self.executions.values()) if self._executions_changed else original.executions
            ),
            revision=original.revision + 1,
            updated_at=self.now,
        )
        graph = None if self._edges_changed else self._known.graph
        remember(after, graph=graph, of_task=self._known.of_task)
        return after

    def decision(self, **more: Any) -> Decision:
        """What a person's wish or an agent's report comes to: no orders; the loop decides those."""
        return Decision(
            next=self.changed(),
            live=tuple(self.live),
            built=tuple(self.built),
            notices=tuple(self.notices),
            **more,
        )


def _differs(value: object, changes: dict[str, Any]) -> bool:
    return any(getattr(value, name) != new for name, new in changes.items())


def execution_id_of(deployment: Deployment, ordinal: int) -> ExecutionId:
    """Execution ids are the deployment's id and the ordinal."""
    return ExecutionId(f"{deployment.id}.{ordinal}")
