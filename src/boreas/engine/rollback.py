"""Going back: every changed target to its own last good version, newest batch first.

The waves are laid out at once when the deployment turns round, so that the whole way back is
visible. A wave starts when the one before is over, good or bad: a failed return does not keep other
targets on the bad version. A rollback never triggers a rollback.
"""

from collections.abc import Mapping

from boreas.domain.deployments import (
    TERMINAL_EXECUTIONS,
    DeploymentState,
    Execution,
    ExecutionKind,
    ExecutionState,
    Phase,
    Task,
    TaskState,
)
from boreas.domain.ids import ExecutionId, TaskId
from boreas.engine import launch
from boreas.engine.attempts import NOT_GOOD, Place, latest
from boreas.engine.turn import Turn

NO_EARLIER = "no earlier version to go back to: left as it is"


def waves_back(
    changed: Mapping[Place, Execution], order: Mapping[TaskId, int]
) -> list[list[Execution]]:
    """The changes grouped as they are undone: last task of the DAG first, newest batch first."""
    groups: dict[tuple[int, int], list[Execution]] = {}
    for execution in changed.values():
        key = (-order[execution.task_id], -execution.batch)
        groups.setdefault(key, []).append(execution)
    return [groups[key] for key in sorted(groups)]


def begin(turn: Turn, changed: Mapping[Place, Execution]) -> None:
    """Turn round: lay out every way back, and take a new fencing number."""
    order = {task_id: index for index, task_id in enumerate(turn.graph.order)}
    for number, wave in enumerate(waves_back(changed, order), start=1):
        for execution in wave:
            row = turn.append(way_back(execution, wave=number))
            if row.release_id is None:
                turn.skip([row], NO_EARLIER)
    turn.update(phase=Phase.ROLLBACK, fence=0)
    reason = turn.deployment.stop.reason if turn.deployment.stop else ""
    names = turn.targets(list(changed.values()))
    turn.say("going_back", f"going back on {names}: {reason}")


def way_back(execution: Execution, *, wave: int) -> Execution:
    """The row that undoes this change: towards what was live there before."""
    return Execution(
        id=ExecutionId(""),  # given when it is appended, like its ordinal
        ordinal=0,
        task_id=execution.task_id,
        target_id=execution.target_id,
        agent_id=execution.agent_id,
        kind=ExecutionKind.REVERT,
        state=ExecutionState.PENDING,
        application_id=execution.application_id,
        batch=wave,
        phase=Phase.ROLLBACK,
        release_id=execution.previous_release_id,
        previous_release_id=execution.release_id,
        ignored=execution.ignored,
    )


def go_back(turn: Turn) -> None:
    """Start the next wave, or end once every way back is over."""
    rows = _ways_back(turn)
    for wave in sorted({it.batch for it in rows}):
        for execution in rows:
            if execution.batch == wave and execution.state is ExecutionState.PENDING:
                launch.start(turn, execution)
        if _is_under_way(turn, wave):
            return
    _end(turn)


def _ways_back(turn: Turn) -> list[Execution]:
    by_task: dict[TaskId, list[Execution]] = {}
    for execution in turn.executions.values():
        if execution.phase is Phase.ROLLBACK:
            by_task.setdefault(execution.task_id, []).append(execution)
    return [it for executions in by_task.values() for it in latest(executions)]


def _is_under_way(turn: Turn, wave: int) -> bool:
    rows = [it for it in _ways_back(turn) if it.batch == wave]
    open_ = [it for it in rows if it.state not in TERMINAL_EXECUTIONS]
    if open_:
        text = f"going back, wave {wave}: waits for {turn.targets(open_)}"
        turn.wait("going_back", text, wave=wave)
    _settle_tasks(turn)
    return bool(open_)


def _settle_tasks(turn: Turn) -> None:
    """A deployment made to roll another one back: its tasks end as their ways back do."""
    if turn.deployment.rollback_of is None:
        return
    for task in list(turn.tasks.values()):
        rows = latest(turn.of_task(task.id))
        if task.completed_at is None and all(it.state in TERMINAL_EXECUTIONS for it in rows):
            failed = _failed(rows)
            reason = f"{turn.target(failed[0].target_id)}: {failed[0].reason}" if failed else None
            if task.state is TaskState.BLOCKED:
                turn.update_task(task.id, state=TaskState.PENDING)
            turn.finish_task(task.id, TaskState.FAILED if failed else TaskState.SUCCESS, reason)


def _failed(rows: list[Execution]) -> list[Execution]:
    return [it for it in rows if it.state in NOT_GOOD and not it.ignored]


def _end(turn: Turn) -> None:
    rows = _ways_back(turn)
    restored = [it for it in rows if it.state is ExecutionState.SUCCESS]
    failed = _failed(rows)
    reason = turn.deployment.stop.reason if turn.deployment.stop else None
    text = _sum_up(turn, reason, rows)
    if not restored:
        text = text or "nothing went back: every target was ignored or left as it is"
    if turn.deployment.rollback_of is not None:
        _settle_tasks(turn)
        ok = not failed and bool(restored)
        turn.end(DeploymentState.SUCCESS if ok else DeploymentState.FAILED, text)
        return
    for task in list(turn.tasks.values()):
        _mark_rolled_back(turn, task, rows)
    went_back = bool(restored) and not failed
    turn.end(DeploymentState.ROLLED_BACK if went_back else DeploymentState.FAILED, text)


def _sum_up(turn: Turn, reason: str | None, rows: list[Execution]) -> str | None:
    failed = _failed(rows)
    without = [it for it in rows if it.state is ExecutionState.SKIPPED and it.release_id is None]
    parts = [reason] if reason else []
    if failed:
        why = failed[0].reason or "no reason"
        parts.append(f"going back failed on {turn.targets(failed)}: {why}")
    if without:
        parts.append(f"no earlier version to go back to on {turn.targets(without)}: left as it is")
    return "; ".join(parts) or None


def _mark_rolled_back(turn: Turn, task: Task, rows: list[Execution]) -> None:
    own = [it for it in rows if it.task_id == task.id]
    if _failed(own) or not any(it.state is ExecutionState.SUCCESS for it in own):
        return
    turn.update_task(task.id, state=TaskState.ROLLED_BACK)
