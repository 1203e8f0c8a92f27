"""The end of a blue-green deployment: the old side is kept for a while, then retired."""

from collections.abc import Iterable

from boreas.domain.deployments import (
    TERMINAL_EXECUTIONS,
    Execution,
    ExecutionKind,
    ExecutionState,
)
from boreas.engine import launch
from boreas.engine.turn import Turn


def retired(turn: Turn) -> bool:
    """Whether nothing is left to retire; until then the old side allows an instant return.

    A failure to retire is told and changes nothing: the new version is live and healthy.
    """
    rows = [it for it in turn.executions.values() if it.kind is ExecutionKind.RETIRE]
    if not _grace_is_over(turn, rows):
        return False
    if turn.deployment.paused_at is not None and any(_is_pending(it) for it in rows):
        turn.wait("paused", f"the old side is kept: paused by {turn.deployment.paused_by}")
        return False
    if turn.deployment.frozen_since is not None and any(_is_pending(it) for it in rows):
        turn.wait("window", "the old side is kept: held by a window")
        return False
    for row in rows:
        if _is_pending(row):
            launch.start(turn, row)
    left = [it.id for it in rows if turn.executions[it.id].state not in TERMINAL_EXECUTIONS]
    if left:
        names = turn.targets([turn.executions[it] for it in left])
        turn.wait("retiring", f"removes the old side on {names}")
    return not left


def _is_pending(row: Execution) -> bool:
    return row.state is ExecutionState.PENDING


def _grace_is_over(turn: Turn, rows: Iterable[Execution]) -> bool:
    grace = turn.deployment.strategy.grace_seconds
    if not any(_is_pending(it) for it in rows):
        return True
    ends = [
        it.completed_at
        for it in turn.executions.values()
        if it.kind is ExecutionKind.ACTIVATE and it.completed_at is not None
    ]
    if not grace or not ends or turn.wake_after(max(ends), grace):
        return True
    at = f"{turn.wakes[-1]:%Y-%m-%d %H:%M:%S} UTC"
    turn.wait("grace", f"the old side is kept for an instant return until {at}", at=at)
    return False
