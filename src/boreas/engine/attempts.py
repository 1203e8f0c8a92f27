"""What a task's executions come to: latest attempts, rounds, and which targets were changed.

A *round* is what is started together: a batch of one kind of work. A blue-green task has three
(stage, activate, retire); retiring is no part of the task's success and is done at the very end.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from boreas.domain.deployments import (
    TERMINAL_EXECUTIONS,
    Deployment,
    Execution,
    ExecutionKind,
    ExecutionState,
    Phase,
    TaskState,
)
from boreas.domain.ids import ApplicationId, TargetId

Place = tuple[ApplicationId, TargetId]
"""One application on one target: what is changed and goes back."""

KIND_ORDER: Mapping[ExecutionKind, int] = {
    ExecutionKind.STAGE: 0,
    ExecutionKind.DEPLOY: 1,
    ExecutionKind.ACTIVATE: 1,
    ExecutionKind.CHECK: 1,
    ExecutionKind.RUN: 1,
    ExecutionKind.BUILD: 1,
    ExecutionKind.REVERT: 1,
    ExecutionKind.RETIRE: 2,
}

STARTED = frozenset({TaskState.RUNNING, TaskState.PENDING})
"""Of a task: orders may be under way."""

NOT_GOOD = frozenset({ExecutionState.FAILED, ExecutionState.LOST, ExecutionState.CANCELLED})


@dataclass(frozen=True, slots=True)
class Round:
    """Executions that are started together, in stored order."""

    batch: int
    executions: tuple[Execution, ...]

    @property
    def is_over(self) -> bool:
        """Whether each has come to an end, good or bad."""
        return all(it.state in TERMINAL_EXECUTIONS for it in self.executions)


def latest(executions: Iterable[Execution]) -> list[Execution]:
    """For each target and kind of work only the newest attempt."""
    newest: dict[tuple[TargetId, ExecutionKind], Execution] = {}
    for execution in executions:
        newest[execution.target_id, execution.kind] = execution
    return list(newest.values())


def rounds_of(executions: Iterable[Execution]) -> list[Round]:
    """The rounds of a task's latest attempts, in the order in which they are done; no retiring."""
    cut: dict[tuple[int, int], list[Execution]] = {}
    for execution in latest(executions):
        if execution.kind is not ExecutionKind.RETIRE:
            cut.setdefault((KIND_ORDER[execution.kind], execution.batch), []).append(execution)
    return [Round(batch=key[1], executions=tuple(cut[key])) for key in sorted(cut)]


def failures_of(executions: Iterable[Execution]) -> list[Execution]:
    """Latest attempts that ended badly and that count."""
    return [
        it
        for it in latest(executions)
        if it.state in NOT_GOOD and not it.ignored and it.kind is not ExecutionKind.RETIRE
    ]


def forward_phase_of(deployment: Deployment) -> Phase:
    """A deployment made to roll another one back does its own work in phase `rollback`."""
    return Phase.FORWARD if deployment.rollback_of is None else Phase.ROLLBACK


def is_going_back_in_place(deployment: Deployment) -> bool:
    """Whether this deployment undoes its own work (and not another's)."""
    return deployment.phase is Phase.ROLLBACK and deployment.rollback_of is None


def own_work(deployment: Deployment, executions: Sequence[Execution]) -> list[Execution]:
    """The executions by which the deployment does what it was asked for, not those that undo it."""
    phase = forward_phase_of(deployment)
    return [it for it in executions if it.phase is phase]


def changes_not_taken_back(
    deployment: Deployment, executions: Sequence[Execution]
) -> dict[Place, Execution]:
    """For each place that this deployment changed and that is not back yet, its newest change."""
    changed: dict[Place, Execution] = {}
    for execution in executions:
        if execution.application_id is None:
            continue
        place = (execution.application_id, execution.target_id)
        if execution.phase is forward_phase_of(deployment):
            if execution.changed:
                changed[place] = execution
        elif execution.state is ExecutionState.SUCCESS:
            changed.pop(place, None)
    return changed
