"""Deadlines and losses: what an agent did not do in time, and what can no longer be known.

Agents keep the timeout of an order themselves; the engine's own limits are longer and only catch
what an agent could not: it was off, revoked, or hung.
"""

from boreas.domain.deployments import Execution, ExecutionKind, ExecutionState, StopKind
from boreas.engine import policy
from boreas.engine.health_windows import healthy_deadline_of
from boreas.engine.turn import CANCEL_GRACE, Turn

DEFAULT_TIMEOUT = 3600.0
"""Of an order, when the task names none; the same as the order's own default."""

SLACK = 60.0
"""An agent reports its own timeout first; a link may need this long to come back."""

HUNG = 600.0
"""An agent that is there but does not answer a stop request for this long has lost the order."""


def timeout_of(turn: Turn, execution: Execution) -> float:
    """How long this execution may take, and how long its target may wait for an absent agent."""
    return turn.tasks[execution.task_id].timeout_seconds or DEFAULT_TIMEOUT


def overdue(turn: Turn) -> None:
    """Settle what ran out of time, ask to stop what must end, and note when to look again."""
    # Of thousands most have ended or not begun: those are passed by with one comparison.
    begun = [
        it
        for it in turn.executions.values()
        if it.completed_at is None and (it.ordered_at is not None or it.waiting_since is not None)
    ]
    for execution in begun:
        if execution.state is ExecutionState.PENDING and execution.waiting_since is not None:
            overdue_absence(turn, execution)
        elif execution.state in {ExecutionState.ORDERED, ExecutionState.RUNNING}:
            _watch_in_flight(turn, execution)
    _watch_progress(turn)


def overdue_absence(turn: Turn, execution: Execution) -> None:
    """Fail a target that waited too long for its agent, or whose agent will never come."""
    if turn.is_reachable(execution) or execution.waiting_since is None:
        return
    limit = timeout_of(turn, execution)
    gone = _gone(turn, execution)
    if gone is not None:
        reason = f"not started: {gone}"
    elif turn.wake_at_active(execution.waiting_since + limit):
        reason = f"agent {turn.agent_name(execution)} offline for {limit:g} s"
    else:
        return
    turn.update_execution(execution.id, state=ExecutionState.FAILED, reason=reason)


def _gone(turn: Turn, execution: Execution) -> str | None:
    agent = turn.agent(execution)
    if agent is None:
        return f"agent {execution.agent_id} no longer exists"
    return f"agent {agent.name} was revoked" if agent.revoked else None


def _watch_in_flight(turn: Turn, execution: Execution) -> None:
    gone = _gone(turn, execution)
    if gone is not None:
        _lose(turn, execution, gone)
    elif execution.stop_sent_at is not None:
        _watch_stop(turn, execution)
    elif execution.ignored and execution.reason is not None:
        # Ignored while under way. A way back for a target ignored before has no reason: it runs.
        turn.ask_to_stop(execution, execution.reason)
        _watch_stop(turn, turn.executions[execution.id])
    else:
        _watch_work(turn, execution)


def _watch_stop(turn: Turn, execution: Execution) -> None:
    assert execution.stop_sent_at is not None
    patience = CANCEL_GRACE + (HUNG if turn.is_reachable(execution) else SLACK)
    if turn.wake_after(execution.stop_sent_at, patience):
        name = turn.agent_name(execution)
        _lose(turn, execution, f"agent {name} did not answer the request to stop")


def _watch_work(turn: Turn, execution: Execution) -> None:
    assert execution.ordered_at is not None
    limit = timeout_of(turn, execution)
    if turn.is_reachable(execution):
        if turn.wake_after(execution.ordered_at, limit + SLACK + CANCEL_GRACE):
            turn.ask_to_stop(execution, f"timed out after {limit:g} s")
    elif turn.wake_after(execution.ordered_at, limit + SLACK):
        name = turn.agent_name(execution)
        _lose(turn, execution, f"agent {name} went away and did not come back in {limit:g} s")
        return
    _watch_health(turn, execution)
    stopped = turn.executions[execution.id]
    if stopped.stop_sent_at is not None:
        _watch_stop(turn, stopped)


def _watch_health(turn: Turn, execution: Execution) -> None:
    check = turn.health_check_of(execution)
    deadline = healthy_deadline_of(execution, check)
    if deadline is not None and check is not None and turn.wake_at_active(deadline):
        turn.ask_to_stop(execution, f"not healthy after {check.healthy_deadline:g} s")


def _lose(turn: Turn, execution: Execution, why: str) -> None:
    reason = (
        f"lost: {why}" if not execution.stop_reason else f"{execution.stop_reason}; lost: {why}"
    )
    turn.update_execution(execution.id, state=ExecutionState.LOST, reason=reason)
    turn.say(
        "execution_lost",
        f"{turn.target(execution.target_id)}: {reason}",
        task_id=execution.task_id,
        execution_id=execution.id,
    )


_MAKES_HEALTHY = frozenset(
    {ExecutionKind.DEPLOY, ExecutionKind.STAGE, ExecutionKind.ACTIVATE, ExecutionKind.CHECK}
)


def _watch_progress(turn: Turn) -> None:
    """No target became healthy for too long: whatever is under way is stopped and has failed."""
    if turn.deployment.stop is not None or turn.deployment.progress_at is None:
        return
    hoped = [it for it in turn.in_flight() if it.kind in _MAKES_HEALTHY and not it.ignored]
    checks = [check for it in hoped if (check := turn.health_check_of(it)) is not None]
    limit = max((it.progress_deadline for it in checks), default=0.0)
    # 0 means: the first unhealthy target fails the deployment (`policy.allowed_failures`).
    if not limit or not turn.wake_at_active(turn.deployment.progress_at + limit):
        return
    first = hoped[0]
    reason = f"no target became healthy within {limit:g} s ({turn.targets(hoped)} under way)"
    turn.stop(StopKind.FAILURE, reason, go_back=policy.goes_back(turn, first))
    for execution in hoped:
        turn.ask_to_stop(execution, f"no target became healthy within {limit:g} s")
        _watch_stop(turn, turn.executions[execution.id])
