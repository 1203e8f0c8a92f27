"""Bugs planted by hand, each where a tired programmer might put it. The simulator must find all.

Each entry swaps one function for a while; nothing else of the code changes.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch

from boreas.domain.deployments import (
    DeploymentState,
    Execution,
    ExecutionState,
    Gate,
    GateState,
    StopKind,
    TaskState,
)
from boreas.engine import (
    admission,
    before_start,
    blue_green,
    decide,
    first_deployment,
    forward,
    gates,
    launch,
    passing,
    people,
    policy,
    repeating,
    reports,
    retry,
    rollback,
    stopping,
    watch,
)
from boreas.runtime import loop, order_bodies
from boreas.testing.simulate import agents, transaction
from boreas.testing.simulate.mutants import Planted

PLANTED: list[Planted] = []
Change = Callable[..., Any]


def swapped(module: Any, name: str, wrong: Change) -> AbstractContextManager[None]:
    """`wrong(original, *args)` stands where the original stood."""

    @contextmanager
    def plant() -> Iterator[None]:
        with patch.object(module, name, _bound(wrong, getattr(module, name))):
            yield

    return plant()


def _bound(wrong: Change, original: Change) -> Change:
    def stand_in(*args: Any, **named: Any) -> Any:
        return wrong(original, *args, **named)

    return stand_in


def planted(module: Any, function: str, what: str) -> Callable[[Change], Change]:
    """Register a bug: what stands in for which function."""

    def register(wrong: Change) -> Change:
        plant = partial(swapped, module, function, wrong)
        name = wrong.__name__.replace("_", " ")
        PLANTED.append(Planted(name=name, what=what, plant=plant))
        return wrong

    return register


# --- order and batches ---------------------------------------------------------------------------


@planted(passing.Way, "is_free", "every task counts as free")
def the_graph_is_forgotten(_is_free: Change, *_: Any) -> bool:
    return True


@planted(passing.Way, "lets_pass", "every task goes on, whatever happened before it")
def a_failure_is_passed_over_by_all(_lets_pass: Change, *_: Any) -> bool:
    return True


@planted(repeating, "is_time_for", "a repetition does not wait for its delay")
def a_repetition_comes_too_early(_is_time_for: Change, *_: Any) -> bool:
    return True


@planted(forward, "_stage_is_open", "a stage does not wait for its approval")
def a_stage_begins_unapproved(_stage_is_open: Change, *_: Any) -> bool:
    return True


@planted(forward, "_may_follow", "the next round may always follow")
def the_batch_barrier_is_skipped(_may_follow: Change, *_: Any) -> bool:
    return True


@planted(forward, "_interval_passed", "`BatchInterval` is not looked at")
def the_interval_is_dropped(_interval_passed: Change, *_: Any) -> bool:
    return True


@planted(forward, "rounds_of", "all batches of a task are one round")
def all_batches_start_together(rounds_of: Change, executions: Any) -> Any:
    rounds = rounds_of(executions)
    together = tuple(row for it in rounds for row in it.executions)
    return [replace(rounds[0], executions=together)] if rounds else []


@planted(blue_green, "_grace_is_over", "the old side is retired before its grace is over")
def the_grace_is_forgotten(_grace_is_over: Change, *_: Any) -> bool:
    return True


@planted(forward, "_go_on_with_round", "a pause is not looked at when a batch starts")
def a_pause_stops_nothing(go_on: Change, turn: Any, *args: Any) -> None:
    paused = turn.deployment.paused_at
    turn.deployment = replace(turn.deployment, paused_at=None)
    go_on(turn, *args)
    turn.deployment = replace(turn.deployment, paused_at=paused)


@planted(first_deployment, "_replan", "a plan laid out before its turn is never looked at again")
def a_first_deployment_stays_the_first(_replan: Change, *_: Any) -> None:
    return None


# --- failures ------------------------------------------------------------------------------------


@planted(policy, "allowed_failures", "one failure more than `maxFailures` is tolerated")
def reached_and_exceeded_are_mixed_up(allowed: Change, *args: Any) -> int:
    more: int = allowed(*args) + 1
    return more


@planted(forward, "_stop_at_failure", "no failure stops anything")
def max_failures_is_ignored(_stop_at_failure: Change, _turn: Any) -> None:
    return None


@planted(stopping, "_stop_waiting", "waiting targets are not told that all is over")
def a_stop_leaves_targets_waiting(_stop_waiting: Change, turn: Any, _stop: Any) -> None:
    gates.withdraw(turn)


# --- approvals -----------------------------------------------------------------------------------


@planted(gates, "passed", "an approval that was asked for counts as given")
def asking_is_as_good_as_an_answer(
    passed: Change, turn: Any, gate_id: str, *a: Any, **b: Any
) -> Any:
    return passed(turn, gate_id, *a, **b) or gates.gate_of(turn.original, gate_id) is not None


@planted(people, "confirm", "the first of several approvers is enough")
def one_voice_is_enough(confirm: Change, deployment: Any, by: str, **named: Any) -> Any:
    decision = confirm(deployment, by, **named)
    open_before = {it.id for it in deployment.gates if it.state is GateState.OPEN}
    closed = tuple(
        replace(it, state=GateState.CONFIRMED, closed_at=named["now"])
        if it.answers and it.id in open_before
        else it
        for it in decision.next.gates
    )
    return replace(decision, next=replace(decision.next, gates=closed))


@planted(people, "confirm", "whoever confirmed may confirm once more")
def one_person_counts_twice(confirm: Change, deployment: Any, by: str, **named: Any) -> Any:
    gates_ = tuple(_renamed(it, by, f"not {by}") for it in deployment.gates)
    decision = confirm(replace(deployment, gates=gates_), by, **named)
    back = tuple(_renamed(it, f"not {by}", by) for it in decision.next.gates)
    return replace(decision, next=replace(decision.next, gates=back))


def _renamed(gate: Gate, old: str, new: str) -> Gate:
    answers = (replace(it, by=new) if it.by == old else it for it in gate.answers)
    return replace(gate, answers=tuple(answers))


@planted(gates, "expire", "approvals never run out")
def approvals_never_expire(_expire: Change, _turn: Any) -> None:
    return None


# --- going back ----------------------------------------------------------------------------------


@planted(launch, "_previous", "the previous version is asked for when it is too late")
def the_previous_version_is_read_too_late(
    _previous: Change, turn: Any, execution: Execution
) -> Any:
    record = turn.snapshot.live.get((execution.application_id, execution.target_id))
    return record.uncertain_release_id or record.release_id if record else None


@planted(rollback, "way_back", "every target goes back to the first one's version")
def all_go_back_to_one_version(way_back: Change, execution: Execution, *, wave: int) -> Execution:
    row: Execution = way_back(execution, wave=wave)
    return replace(row, release_id=execution.release_id)


@planted(rollback, "_failed", "a failed way back does not count")
def half_back_is_called_rolled_back(_failed: Change, _rows: Any) -> list[Execution]:
    return []


@planted(stopping, "changes_not_taken_back", "only targets that succeeded go back")
def failed_targets_stay_behind(changes: Change, deployment: Any, executions: Any) -> Any:
    found = changes(deployment, executions)
    return {p: it for p, it in found.items() if it.state is ExecutionState.SUCCESS}


@planted(rollback, "begin", "going back uses the fence of going forward")
def the_fence_is_not_raised(begin: Change, turn: Any, changed: Any) -> None:
    fence = turn.deployment.fence
    begin(turn, changed)
    turn.update(fence=fence)


# --- news ----------------------------------------------------------------------------------------


@planted(reports, "_lose", "an order that the agent forgot counts as done")
def lost_is_guessed_as_success(_lose: Change, draft: Any, execution: Execution) -> None:
    draft.update_execution(execution.id, state=ExecutionState.SUCCESS)


@planted(watch, "_lose", "an agent that does not answer has surely stopped")
def silence_is_taken_for_an_answer(
    _lose: Change, turn: Any, execution: Execution, why: str
) -> None:
    turn.update_execution(execution.id, state=ExecutionState.FAILED, reason=why)


@planted(reports, "_prove", "a success is not written down as live")
def what_is_live_is_not_noted(_prove: Change, _draft: Any, _execution: Execution) -> None:
    return None


@planted(reports, "_prove", "the version that ran before is written down as live")
def the_wrong_version_is_noted_as_live(prove: Change, draft: Any, execution: Execution) -> None:
    prove(draft, replace(execution, release_id=execution.previous_release_id))


# --- time ----------------------------------------------------------------------------------------


@planted(watch, "overdue", "nobody looks at the clock")
def deadlines_are_never_kept(_overdue: Change, _turn: Any) -> None:
    return None


@planted(loop, "decide", "a decision does not say when to look again")
def no_timer_is_set(decided: Change, snapshot: Any, now: Any) -> Any:
    return replace(decided(snapshot, now), wake_at=None)


# --- the end -------------------------------------------------------------------------------------


@planted(retry, "to_try_again", "a retry repeats what had succeeded as well")
def a_retry_repeats_what_succeeded(_to_try_again: Change, executions: Any) -> list[Any]:
    return [it for it in retry.latest(executions) if not it.ignored]


@planted(stopping, "wind_down", "a cancel is done before the agents have stopped")
def cancelled_before_the_agents_stopped(wind_down: Change, turn: Any, stop: Any) -> None:
    if stop.kind is StopKind.CANCEL:
        for row in turn.in_flight():
            turn.update_execution(row.id, state=ExecutionState.CANCELLED, reason=stop.reason)
    wind_down(turn, stop)


@planted(launch, "_what_it_changes", "the previous version is frozen, the doubt is not noted")
def a_change_under_way_counts_as_certain(changes: Change, turn: Any, execution: Any) -> Any:
    known = len(turn.live)
    found = changes(turn, execution)
    del turn.live[known:]
    return found


@planted(stopping, "_close", "a task that failed is forgotten when all ends")
def a_task_is_left_open_at_the_end(close: Change, turn: Any, task: Any, stop: Any) -> None:
    if task.state is not TaskState.RUNNING:
        close(turn, task, stop)


@planted(forward, "_finish_if_done", "it is a success when nothing is under way")
def success_comes_too_early(_finish: Change, turn: Any) -> None:
    if not turn.in_flight() and all(it.completed_at for it in list(turn.tasks.values())[:1]):
        turn.end(DeploymentState.SUCCESS)


@planted(decide, "_show_state", "the state shown is `running` even while people are waited for")
def waiting_is_not_told(_show_state: Change, turn: Any) -> None:
    turn.forget_waits()


# --- admission, orders, the loop -----------------------------------------------------------------


@planted(before_start, "_admit_or_queue", "it begins without having the locks")
def admission_without_a_lock(_admit_or_queue: Change, turn: Any) -> bool:
    before_start._admit(turn)
    return True


@planted(admission, "judge", "who waits longer does not matter")
def the_queue_is_jumped(judge: Change, me: Any, others: Any, **named: Any) -> Any:
    return judge(me, [it for it in others if it.active], **named)


@planted(admission, "judge", "the locks of others are not seen")
def two_deployments_at_once(judge: Change, me: Any, _others: Any, **named: Any) -> Any:
    return judge(me, [], **named)


@planted(loop, "outbox_rows", "the first order of a decision is forgotten")
def an_order_is_not_promised(outbox_rows: Change, *args: Any) -> Any:
    return outbox_rows(*args)[1:]


@planted(order_bodies, "_order_row", "an order goes out under another id than is remembered")
def an_order_gets_a_new_id(order_row: Change, *args: Any) -> Any:
    row = order_row(*args)
    return replace(row, order_id=f"{row.order_id}again")


@planted(transaction.SimTransaction, "next_fence", "all deployments share one fencing number")
async def the_fence_never_grows(_next_fence: Change, _tx: Any) -> int:
    return 1


@planted(loop.Loop, "_settle", "reports are not acknowledged, so agents repeat them for ever")
def reports_are_never_acknowledged(_settle: Change, *_: Any) -> None:
    return None


@planted(agents.FakeAgent, "_take_order", "the agent does a repeated order again")
def a_repeated_order_is_done_again(take_order: Change, agent: Any, row: Any) -> Any:
    agent.journal.orders.pop(row.order_id, None)
    return take_order(agent, row)
