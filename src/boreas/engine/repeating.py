"""Tries that a task has by itself: a failed attempt is followed by the next one, after a delay.

What was lost is not repeated: it may have been done. What was never sent is not either: its agent
was not there, and its time is over.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from boreas.domain.deployments import Execution, ExecutionKind, ExecutionState, Task
from boreas.domain.workflow import Retry
from boreas.engine.attempts import STARTED, latest, own_work
from boreas.engine.retry import next_attempt
from boreas.engine.turn import Turn


def repeat(turn: Turn) -> None:
    """Give every failed attempt that has tries left its next one; takes a new fencing number."""
    for task in list(turn.tasks.values()):
        if task.retry is None or task.state not in STARTED:
            continue
        for execution in latest(own_work(turn.deployment, turn.of_task(task.id))):
            if _is_worth_it(execution, task.retry):
                _again(turn, task, task.retry, execution)


def _is_worth_it(execution: Execution, retry: Retry) -> bool:
    return (
        execution.state is ExecutionState.FAILED
        and execution.kind is not ExecutionKind.RETIRE
        and execution.ordered_at is not None
        and not execution.ignored
        and execution.attempt <= retry.count
    )


def _again(turn: Turn, task: Task, retry: Retry, failed: Execution) -> None:
    at = turn.now + timedelta(seconds=retry.delay)
    turn.append(replace(next_attempt(failed), not_before=at if retry.delay else None))
    turn.update(fence=0)
    after = f" in {retry.delay:g} s" if retry.delay else ""
    text = (
        f"{task.name} failed on {turn.target(failed.target_id)} ({failed.reason or 'no reason'}): "
        f"attempt {failed.attempt + 1} of {retry.count + 1}{after}"
    )
    turn.say("repeated", text, task_id=task.id, execution_id=failed.id)


def is_time_for(turn: Turn, execution: Execution) -> bool:
    """Whether this attempt may be sent; if not, look again when it may."""
    return execution.not_before is None or turn.wake_after(execution.not_before, 0.0)


def words_for(turn: Turn, task: Task, early: Sequence[Execution]) -> str | None:
    """Which attempts wait for their time; None if none does."""
    if not early:
        return None
    first = min(it.not_before for it in early if it.not_before is not None)
    tries = task.retry.count + 1 if task.retry is not None else early[0].attempt
    text = (
        f"attempt {early[0].attempt} of {tries} on {turn.targets(list(early))} "
        f"at {first:%H:%M:%S} UTC"
    )
    turn.wait("retry", f"{task.name}: {text}", task_id=task.id)
    return text
