"""Forward: which tasks are ready, which round of each is next, and when all is done."""

from collections.abc import Iterable

from boreas.domain.deployments import (
    IN_FLIGHT,
    DeploymentState,
    Execution,
    ExecutionState,
    GateKind,
    StopKind,
    Task,
    TaskState,
)
from boreas.domain.ids import TargetId
from boreas.domain.workflow import TaskType
from boreas.engine import (
    blue_green,
    gates,
    launch,
    passing,
    policy,
    repeating,
    skipping,
    windows,
)
from boreas.engine.attempts import NOT_GOOD, STARTED, Round, own_work, rounds_of
from boreas.engine.turn import Turn


def go_on(turn: Turn) -> None:
    """Stop at an intolerable failure; otherwise start whatever may start, and end what is done."""
    failed = -1
    # A start can itself fail (an agent that was revoked), and then nothing more may start.
    while turn.deployment.stop is None and failed != (failed := _count_failed(turn)):
        if failed:
            repeating.repeat(turn)
            _stop_at_failure(turn)
        if turn.deployment.stop is None:
            turn.forget_waits()
            _start_ready(turn)
    if turn.deployment.stop is None:
        _finish_if_done(turn)


def _count_failed(turn: Turn) -> int:
    over = [it.state for it in turn.executions.values() if it.completed_at is not None]
    return sum(map(over.count, NOT_GOOD))


def _stop_at_failure(turn: Turn) -> None:
    for task in list(turn.tasks.values()):
        if task.state not in STARTED:
            continue
        executions = own_work(turn.deployment, turn.of_task(task.id))
        failure = policy.intolerable_failure(turn, executions)
        if failure is not None and passing.is_passed_over(turn, task):
            passing.close(turn, task, failure)
        elif failure is not None:
            reason = words_for_failure(turn, task, failure)
            back, on = policy.goes_back(turn, failure), turn.target(failure.target_id)
            turn.stop(StopKind.FAILURE, reason, go_back=back, on=on)
            return


def words_for_failure(turn: Turn, task: Task, failure: Execution) -> str:
    """Which task failed where, and why."""
    return (
        f"{task.name} failed on {turn.target(failure.target_id)}: {failure.reason or 'no reason'}"
    )


def _start_ready(turn: Turn) -> None:
    way = passing.Way(turn)
    waiting = 0
    for task_id in turn.graph.order:
        # Finished and started tasks are asked too: one that was skipped early lets nothing pass
        # before its own turn, and a retry may have opened an earlier task again.
        task = turn.tasks[task_id]
        if not way.is_free(task_id):
            waiting += task.completed_at is None
            continue
        if task.completed_at is None and way.lets_pass(task):
            _go_on_with(turn, task)
            if turn.deployment.stop is not None:
                return
        way.note(turn.tasks[task_id])
    if waiting:
        text = f"{waiting} tasks wait" if waiting > 1 else "1 task waits"
        turn.wait("blocked", f"{text} for earlier tasks", count=waiting)
    if turn.deployment.paused_at is not None:
        _say_that_it_is_paused(turn)
    windows.watch(turn)


def _say_that_it_is_paused(turn: Turn) -> None:
    """Also while what was under way still runs: whoever looks must not expect the next batch."""
    by = turn.deployment.paused_by
    is_open = any(it.completed_at is None for it in turn.tasks.values())
    if is_open and all(it.code != "paused" for it in turn.because):
        turn.wait("paused", f"paused by {by}: nothing new starts until it is resumed", by=by)


def _go_on_with(turn: Turn, task: Task) -> None:
    if task.state is TaskState.BLOCKED and not skipping.is_wanted(turn, task):
        return
    if not _stage_is_open(turn, task):
        return
    if not _confirmed(turn, task):
        turn.update_task(task.id, state=TaskState.WAITING_CONFIRM)
        return
    if task.state in {TaskState.BLOCKED, TaskState.WAITING_CONFIRM}:
        task = turn.update_task(task.id, state=TaskState.PENDING)
    rounds = rounds_of(own_work(turn.deployment, turn.of_task(task.id)))
    for index, round_ in enumerate(rounds):
        if not round_.is_over:
            _go_on_with_round(turn, task, round_, rounds)
            return
        if not _may_follow(turn, task, round_, rounds[index + 1 : index + 2]):
            return
    turn.finish_task(task.id, TaskState.SUCCESS, _words_for_success(turn, task, rounds))


def _stage_is_open(turn: Turn, task: Task) -> bool:
    """Whether the approval before the task's stage, if there is one, was given."""
    if task.stage is None or not turn.deployment.stages[task.stage].approval:
        return True
    gate_id = gates.stage_gate(task.stage)
    if any(it.parameters.get("gate") == gate_id for it in turn.because):
        return False  # said for a task before: once for the whole stage
    return gates.passed(turn, gate_id, GateKind.STAGE, stage=task.stage)


def _confirmed(turn: Turn, task: Task) -> bool:
    if not task.require_confirm or task.confirmed_at is not None:
        return True
    if task.state is TaskState.RUNNING:
        return True
    return gates.passed(turn, gates.task_gate(task.id), GateKind.TASK, task_id=task.id)


def _go_on_with_round(turn: Turn, task: Task, round_: Round, rounds: list[Round]) -> None:
    pending = [it for it in round_.executions if it.state is ExecutionState.PENDING]
    early = [it for it in pending if not repeating.is_time_for(turn, it)]
    flying = [it for it in round_.executions if it.state in IN_FLIGHT]
    others = [it for other in rounds for it in other.executions if it.state in IN_FLIGHT]
    if pending and turn.deployment.paused_at is not None:
        by = turn.deployment.paused_by
        turn.set_task_reason(task, f"paused by {by}")
        turn.wait("paused", f"{task.name}: paused by {by}", task_id=task.id, by=by)
    elif pending and turn.deployment.frozen_since is not None:
        turn.set_task_reason(task, "held by a window")
    elif pending and len(others) > len(flying):
        # A retried target of an earlier batch: two batches are never under way at once.
        names = turn.targets([it for it in others if it not in flying])
        turn.set_task_reason(task, f"waits for {names}")
        turn.wait("other_batch", f"{task.name}: waits for {names}", task_id=task.id)
    else:
        for execution in pending:
            if execution not in early:
                launch.start(turn, execution)
        words = repeating.words_for(turn, task, early) or _words_for_pending(turn, task)
        turn.set_task_reason(turn.tasks[task.id], words)
    _wait_for_flying(turn, task, round_)


def _words_for_pending(turn: Turn, task: Task) -> str | None:
    if turn.tasks[task.id].state is TaskState.RUNNING:
        return None
    pending = [it for it in turn.of_task(task.id) if it.state is ExecutionState.PENDING]
    absent = [it for it in pending if it.waiting_since is not None]
    if absent:
        return f"waits for the agents of {turn.targets(absent)}"
    held = [it for it in pending if it.reason is not None]
    return f"waits for another task on {turn.targets(held)}" if held else None


def _wait_for_flying(turn: Turn, task: Task, round_: Round) -> None:
    now = [turn.executions[it.id] for it in round_.executions]
    flying = [it for it in now if it.state in IN_FLIGHT]
    if flying:
        over = sum(1 for it in now if it.state is ExecutionState.SUCCESS)
        batches = len(task.batches)
        batch = f"batch {round_.batch} of {batches}, " if batches > 1 else ""
        count = f"{over} of {len(now)} done" if len(now) > 1 else "under way"
        text = f"{task.name}: {batch}{count}; waits for {turn.targets(flying)}"
        turn.wait("in_flight", text, task_id=task.id)


def _may_follow(turn: Turn, task: Task, over: Round, following: list[Round]) -> bool:
    """Whether the round after `over` may start (or, after the last, the task may end)."""
    if task.type is not TaskType.DEPLOY or not task.batches:
        return True
    index = _step_index(task, over.batch)
    last_of_step = not following or _step_index(task, following[0].batch) != index
    if last_of_step and not _step_approved(turn, task, over.batch, index):
        return False
    if not following or following[0].batch == over.batch:
        return True
    return _interval_passed(turn, task, over, following[0])


def _step_index(task: Task, batch: int) -> int:
    return next((it.step for it in task.batches if it.number == batch), 0)


def _step_approved(turn: Turn, task: Task, batch: int, index: int) -> bool:
    step = policy.step_of_batch(turn, task, batch)
    if not step.approval:
        return True
    gate_id = gates.step_gate(task.id, index)
    if step.answer is not None:
        gates.answer_from_strategy(turn, gate_id, step.answer, task_id=task.id, step=index)
    if gates.passed(turn, gate_id, GateKind.STEP, task_id=task.id, step=index):
        return True
    turn.set_task_reason(turn.tasks[task.id], f"waits for approval after step {index + 1}")
    return False


def _interval_passed(turn: Turn, task: Task, over: Round, following: Round) -> bool:
    interval = policy.step_of_batch(turn, task, over.batch).batch_interval
    untouched = all(it.state is ExecutionState.PENDING for it in following.executions)
    ran = [it for it in over.executions if it.ordered_at is not None]
    ends = [it.completed_at for it in ran if it.completed_at is not None]
    if not interval or not untouched or not ends or turn.wake_after(max(ends), interval):
        return True
    at = f"{max(turn.wakes[-1:]):%H:%M:%S} UTC"
    text = f"batch {following.batch} starts at {at}, {interval:g} s after batch {over.batch}"
    turn.set_task_reason(task, text)
    turn.wait("interval", f"{task.name}: {text}", task_id=task.id, at=at)
    return False


def _words_for_success(turn: Turn, task: Task, rounds: list[Round]) -> str | None:
    rows = [it for round_ in rounds for it in round_.executions]
    if not rows:
        return task.reason or "nothing to do"
    failed = _tolerated_in(rounds)
    if failed:
        return _words_for_tolerated(turn, failed)
    if all(it.state is ExecutionState.SKIPPED for it in rows):
        return rows[0].reason
    return None


def _what_was_tolerated(turn: Turn) -> str | None:
    """A success that left targets behind says so: the fleet is mixed."""
    left: dict[TargetId, Execution] = {}
    for task in turn.tasks.values():
        if task.state is TaskState.FAILED:
            continue  # not tolerated but passed over; `passing` tells of it
        rounds = rounds_of(own_work(turn.deployment, turn.of_task(task.id)))
        left |= {it.target_id: it for it in _tolerated_in(rounds)}
    return _words_for_tolerated(turn, left.values()) if left else None


def _tolerated_in(rounds: Iterable[Round]) -> list[Execution]:
    rows = [it for round_ in rounds for it in round_.executions]
    return [it for it in rows if it.state in NOT_GOOD and not it.ignored]


def _words_for_tolerated(turn: Turn, failed: Iterable[Execution]) -> str:
    return f"{turn.targets(list(failed))} failed and was tolerated (maxFailures)"


def _finish_if_done(turn: Turn) -> None:
    if any(it.completed_at is None for it in turn.tasks.values()):
        return
    if passing.left_something_undone(turn):
        passing.stop_at_the_end(turn)
    elif blue_green.retired(turn):
        words = [_what_was_tolerated(turn), passing.what_was_passed_over(turn)]
        turn.end(DeploymentState.SUCCESS, "; ".join(filter(None, words)) or None)
