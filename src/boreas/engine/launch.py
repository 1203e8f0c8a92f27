"""Sending one execution to its agent, or saying why it is not sent."""

from boreas.domain.deployments import (
    IN_FLIGHT,
    Execution,
    ExecutionKind,
    ExecutionState,
    TaskState,
)
from boreas.domain.ids import ReleaseId
from boreas.domain.orders import CHANGING_VERBS
from boreas.engine.snapshot import LiveChange, OrderIntent
from boreas.engine.turn import Turn
from boreas.engine.watch import overdue_absence


def start(turn: Turn, execution: Execution) -> None:
    """Order it if its agent is there; otherwise its target waits, with the reason."""
    if not turn.is_reachable(execution):
        _await_agent(turn, execution)
        return
    rival = _rival_of(turn, execution)
    if rival is not None:
        _await_rival(turn, execution, rival)
        return
    changes = _what_it_changes(turn, execution)
    turn.update_execution(
        execution.id,
        state=ExecutionState.ORDERED,
        ordered_at=turn.now,
        waiting_since=None,
        reason=None,
        **changes,
    )
    turn.orders.append(OrderIntent(execution_id=execution.id))
    turn.update(progress_at=turn.active())
    task = turn.tasks[execution.task_id]
    if task.state is not TaskState.RUNNING and task.completed_at is None:
        turn.update_task(
            task.id, state=TaskState.RUNNING, started_at=task.started_at or turn.now, reason=None
        )


def _rival_of(turn: Turn, execution: Execution) -> Execution | None:
    """Another order of this deployment that is just changing the same application there.

    Two deploy tasks of one application are allowed; two of their orders at once are not: which
    version is live, and whether it is sure, could not be told.
    """
    if execution.application_id is None or not CHANGING_VERBS & set(execution.verbs):
        return None
    place = (execution.application_id, execution.target_id)
    holder = turn.changing.setdefault(place, execution.id)
    rival = turn.executions[holder]
    if rival.state in IN_FLIGHT:
        return rival
    turn.changing[place] = execution.id
    return None


def _await_rival(turn: Turn, execution: Execution, rival: Execution) -> None:
    other = turn.tasks[rival.task_id].name
    target = turn.target(execution.target_id)
    turn.update_execution(execution.id, reason=f"{other} is at work there", waiting_since=None)
    text = f"{target} waits until {other} is done there"
    turn.wait("place_busy", text, task_id=execution.task_id, target=target)


def _await_agent(turn: Turn, execution: Execution) -> None:
    agent = turn.agent_name(execution)
    target = turn.target(execution.target_id)
    text = f"{target} waits for its agent {agent}, which is offline"
    if execution.waiting_since is None:
        execution = turn.update_execution(
            execution.id, waiting_since=turn.active(), reason=f"agent {agent} is offline"
        )
    overdue_absence(turn, execution)
    if turn.executions[execution.id].state is ExecutionState.PENDING:
        turn.wait("agent_offline", text, task_id=execution.task_id, target=target, agent=agent)


def _what_it_changes(turn: Turn, execution: Execution) -> dict[str, object]:
    """Freeze what was live before, and mark the target as uncertain from now on."""
    if execution.application_id is None or not CHANGING_VERBS & set(execution.verbs):
        return {}
    place = (execution.application_id, execution.target_id)
    record = turn.snapshot.live.get(place)
    uncertain = record.uncertain_release_id if record is not None else None
    # On the way back the version that is being left stays the uncertain one until it is gone.
    if uncertain is None or execution.kind is not ExecutionKind.REVERT:
        turn.live.append(
            LiveChange(
                application_id=execution.application_id,
                target_id=execution.target_id,
                release_id=record.release_id if record is not None else None,
                uncertain_release_id=execution.release_id,
            )
        )
    return {"changed": True, "previous_release_id": _previous(turn, execution)}


def _previous(turn: Turn, execution: Execution) -> ReleaseId | None:
    """What was live there before *this deployment*; an earlier attempt of it already knows."""
    if execution.previous_release_id is not None:
        return execution.previous_release_id
    assert execution.application_id is not None
    place = (execution.application_id, execution.target_id)
    if place in turn.live_before:
        return turn.live_before[place]
    record = turn.snapshot.live.get(place)
    return record.release_id if record is not None else None
