"""Forward work has ended: wait for what is under way, close the tasks, then end or go back."""

from boreas.domain.deployments import (
    DeploymentState,
    Execution,
    ExecutionKind,
    ExecutionState,
    Stop,
    StopKind,
    Task,
    TaskState,
)
from boreas.engine import gates, rollback
from boreas.engine.attempts import changes_not_taken_back, failures_of, own_work, rounds_of
from boreas.engine.turn import Turn

_TRULY_FAILED = frozenset({ExecutionState.FAILED, ExecutionState.LOST})


def wind_down(turn: Turn, stop: Stop) -> None:
    """Nothing new starts; once nothing is in flight the deployment ends, or turns round."""
    turn.forget_waits()
    _stop_waiting(turn, stop)
    if stop.kind is StopKind.CANCEL:
        for execution in turn.in_flight():
            turn.ask_to_stop(execution, stop.reason)
    flying = turn.in_flight()
    busy = {it.task_id for it in flying}
    for task in list(turn.tasks.values()):
        if task.completed_at is None and task.id not in busy:
            _close(turn, task, stop)
    if flying:
        act = "to stop" if stop.kind is StopKind.CANCEL else "to finish"
        turn.wait("stopping", f"{stop.reason}; waits for {turn.targets(flying)} {act}")
    else:
        _end_or_turn_round(turn, stop)


def _stop_waiting(turn: Turn, stop: Stop) -> None:
    gates.withdraw(turn)
    turn.update(paused_by=None, paused_at=None, frozen_since=None)
    turn.settle_hold()
    turn.skip(list(turn.executions.values()), f"not started: {_as_cause(stop)}")


def _as_cause(stop: Stop) -> str:
    if stop.kind is not StopKind.FAILURE:
        return stop.reason
    where = f" on {stop.on}" if stop.on else ""
    return f"stopped after failure{where}: {stop.reason}"


def _close(turn: Turn, task: Task, stop: Stop) -> None:
    """Give a task that is not under way any more its final state."""
    executions = own_work(turn.deployment, turn.of_task(task.id))
    if task.state is not TaskState.RUNNING and not any(_was_tried(it) for it in executions):
        turn.finish_task(task.id, TaskState.CANCELLED, f"not started: {_as_cause(stop)}")
        return
    failures = [it for it in failures_of(executions) if it.state in _TRULY_FAILED]
    if failures:
        reason = f"{turn.target(failures[0].target_id)}: {failures[0].reason or 'failed'}"
        turn.finish_task(task.id, TaskState.FAILED, reason)
    elif _all_succeeded(executions):
        turn.finish_task(task.id, TaskState.SUCCESS, None)
    else:
        turn.finish_task(task.id, TaskState.CANCELLED, _as_cause(stop))


def _was_tried(execution: Execution) -> bool:
    return execution.state is not ExecutionState.SKIPPED


def _all_succeeded(executions: list[Execution]) -> bool:
    return all(
        it.state is ExecutionState.SUCCESS or it.ignored
        for round_ in rounds_of(executions)
        for it in round_.executions
        if it.kind is not ExecutionKind.RETIRE
    )


_END_WITHOUT_CHANGES = {
    StopKind.CANCEL: DeploymentState.CANCELLED,
    StopKind.REJECTION: DeploymentState.CANCELLED,
    StopKind.FAILURE: DeploymentState.FAILED,
    StopKind.EXPIRY: DeploymentState.FAILED,
}


def _end_or_turn_round(turn: Turn, stop: Stop) -> None:
    changed = changes_not_taken_back(turn.deployment, list(turn.executions.values()))
    if stop.go_back and changed:
        rollback.begin(turn, changed)
        return
    text = stop.reason
    if changed:
        text += f"; left as it is: {turn.targets(list(changed.values()))} changed"
    turn.end(_END_WITHOUT_CHANGES[stop.kind], text)
