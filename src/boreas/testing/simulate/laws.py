"""The laws of a deployment's life. Each yields a sentence for every breach it sees in a step.

A law's docstring is the promise; docs/simulator.md is made from them. `laws_of_truth` compares with
what the nodes really run.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

from boreas.domain.deployments import (
    IN_FLIGHT,
    TERMINAL,
    TERMINAL_EXECUTIONS,
    TERMINAL_TASKS,
    DeploymentState,
    Execution,
    ExecutionKind,
    ExecutionState,
    GateState,
    Phase,
    Task,
    TaskState,
)
from boreas.domain.ids import TaskId
from boreas.domain.workflow import Bad, TaskType
from boreas.engine.health_windows import active_seconds
from boreas.testing.simulate import oracle
from boreas.testing.simulate.moment import Change, Moment, latest_rows

Law = Callable[[Moment], Iterator[str]]
_ENDED_BADLY = {Bad.FAILURE: TaskState.FAILED, Bad.CANCELLED: TaskState.CANCELLED}
_BAD = frozenset({ExecutionState.FAILED, ExecutionState.LOST, ExecutionState.CANCELLED})


def final_states_are_never_left(moment: Moment) -> Iterator[str]:
    """A deployment and an execution have one final state and never leave it."""
    for change in moment.changes:
        before, after = change.before, change.after
        if before is not None and before.state in TERMINAL and before.state is not after.state:
            yield f"{after.id} went from {before.state} to {after.state}"
        for old, row in change.changed_rows():
            if old is not None and old.state in TERMINAL_EXECUTIONS and old.state is not row.state:
                yield f"{row.id} went from {old.state} to {row.state}"


def the_end_is_whole(moment: Moment) -> Iterator[str]:
    """When a deployment has ended, every task and execution has, and it says when and why."""
    for change in moment.changes:
        after = change.after
        if (after.completed_at is not None) != (after.state in TERMINAL):
            yield f"{after.id} is {after.state} and completed_at is {after.completed_at}"
        if after.state not in TERMINAL:
            continue
        for task in after.tasks:
            if task.state not in TERMINAL_TASKS:
                yield f"{after.id} is {after.state} and its task {task.id} is {task.state}"
        for row in after.executions:
            if row.state not in TERMINAL_EXECUTIONS:
                yield f"{after.id} is {after.state} and {row.id} is {row.state}"
        if after.state is not DeploymentState.SUCCESS and not after.error_message:
            yield f"{after.id} is {after.state} without a reason"


def no_task_before_its_predecessors(moment: Moment) -> Iterator[str]:
    """A task's first order is sent only when every task before it has succeeded, or has ended in a
    way on which the task goes on."""
    for change in moment.changes:
        for row in change.ordered_work():
            was = change.was_task(row.task_id)
            if change.after.rollback_of or (was and was.state is TaskState.RUNNING):
                continue
            if was is not None and was.state is TaskState.SUCCESS:
                continue
            states = {it.id: it.state for it in change.after.tasks}
            task = change.task(row.task_id)
            for before in oracle.must_come_before(change.after, task):
                if states.get(before) not in _good_before(change, task, before):
                    state = states.get(before)
                    yield f"{row.id} of {row.task_id} was sent while {before} is {state}"


def _good_before(change: Change, task: Task, before: TaskId) -> set[TaskState]:
    """How this earlier task may have ended for the later one to be done."""
    goes_on = set(task.continue_on)
    if task.stage is not None and change.task(before).stage != task.stage:
        goes_on |= set(change.after.stages[task.stage].continue_on)
    return {TaskState.SUCCESS, *(_ENDED_BADLY[it] for it in goes_on)}


def batches_are_as_the_strategy_says(moment: Moment) -> Iterator[str]:
    """Every target stands in the batch that the strategy gives it, computed apart."""
    for change in moment.changes:
        for task in _sent_deploys(change):
            targets = [it for batch in task.batches for it in batch.target_ids]
            wanted = oracle.batches(change.after.strategy, targets, first=task.first_deployment)
            if [list(it.target_ids) for it in task.batches] != wanted:
                yield f"{change.after.id} {task.id} has other batches than {wanted}"
            place_of = {it: n for n, batch in enumerate(wanted, 1) for it in batch}
            for row in change.ordered_work():
                if row.task_id == task.id and place_of.get(row.target_id) != row.batch:
                    yield f"{row.id} was sent in batch {row.batch}"


def _sent_deploys(change: Change) -> Iterable[Task]:
    if change.after.rollback_of is not None:
        return []
    sent = dict.fromkeys(it.task_id for it in change.ordered_work())
    return [task for it in sent if (task := change.task(it)).type is TaskType.DEPLOY]


def no_more_in_flight_than_the_batch(moment: Moment) -> Iterator[str]:
    """Targets of one task are under way in one batch at a time, never more than its size."""
    for change in moment.changes:
        for task in _sent_deploys(change):
            flying = [
                it
                for it in change.after.executions
                if it.task_id == task.id
                and it.state in IN_FLIGHT
                and change.is_forward(it)
                and it.kind is not ExecutionKind.RETIRE
            ]
            numbers = {it.batch for it in flying}
            if len(numbers) > 1:
                yield f"{task.id}: batches {sorted(numbers)} are under way together"
            size = max(
                (len(it.target_ids) for it in task.batches if it.number in numbers), default=0
            )
            if len({it.target_id for it in flying}) > size:
                yield f"{task.id}: {len(flying)} targets under way in a batch of {size}"
            if len({it.kind for it in flying}) > 1:
                yield f"{task.id}: staging and activating at the same time"


def a_batch_waits_for_the_one_before(moment: Moment) -> Iterator[str]:
    """A batch starts when every earlier target is healthy, tolerated or ignored, and staged."""
    for change in moment.changes:
        for row in _first_attempts(change):
            task = change.task(row.task_id)
            for other in latest_rows(_own(change, task)):
                if not _stands_before(other, row):
                    continue
                settled = other.state in _BAD or other.state is ExecutionState.SUCCESS
                if not settled and not other.ignored:
                    yield f"{row.id} was sent while {other.id} before it is {other.state}"


def _stands_before(other: Execution, row: Execution) -> bool:
    if other.kind is ExecutionKind.RETIRE:
        return False
    staged_first = other.kind is ExecutionKind.STAGE and row.kind is ExecutionKind.ACTIVATE
    return other.batch < row.batch or staged_first


def _first_attempts(change: Change) -> list[Execution]:
    deploys = {it.id for it in _sent_deploys(change)}
    return [it for it in change.ordered_work() if it.task_id in deploys and it.attempt == 1]


def _own(change: Change, task: Task) -> list[Execution]:
    return [it for it in change.after.executions if it.task_id == task.id and change.is_forward(it)]


def a_batch_waits_for_its_interval(moment: Moment) -> Iterator[str]:
    """BatchInterval seconds pass between a batch being healthy and the next one's start."""
    for change in moment.changes:
        for row in _first_attempts(change):
            task = change.task(row.task_id)
            rows = _own(change, task)
            batch = [it for it in rows if it.batch == row.batch]
            if any(it.ordered_at is not None and it.ordered_at < moment.now for it in batch):
                continue
            if any(it.state is not ExecutionState.ORDERED and it.id != row.id for it in batch):
                continue
            ended = [
                it.completed_at
                for it in rows
                if it.batch == row.batch - 1 and it.ordered_at and it.completed_at
            ]
            steps = {it.number: it.step for it in task.batches}
            wait = oracle.interval_of(
                change.after.strategy, steps.get(row.batch - 1, 0), first=task.first_deployment
            )
            if ended and wait and moment.now < max(ended) + timedelta(seconds=wait):
                yield f"{row.id} was sent {moment.now - max(ended)} after its batch, not {wait:g} s"


def failures_never_exceed_what_is_allowed(moment: Moment) -> Iterator[str]:
    """No target is started once more targets of the task have failed than maxFailures allows."""
    for change in moment.changes:
        for task in _sent_deploys(change):
            rows = _own(change, task)
            step_of = {it.number: it.step for it in task.batches}
            bad = [
                it
                for it in latest_rows(rows)
                if it.state in _BAD
                and not it.ignored
                and it.kind is not ExecutionKind.RETIRE
                and not _fell_at_the_start(it, moment)
            ]
            total = len({it.target_id for it in rows})
            count = len({it.target_id for it in bad})
            for row in bad:
                allowed = oracle.failures_allowed(
                    change.after, task, step_of.get(row.batch, 0), total
                )
                if count > allowed:
                    yield f"{task.id}: an order was sent after {count} failures, {allowed} allowed"
                    break


def _fell_at_the_start(row: Execution, moment: Moment) -> bool:
    """Its batch mates were sent at the very moment at which it turned out that it cannot be."""
    return row.ordered_at is None and row.completed_at == moment.now


def approvals_are_given_first(moment: Moment) -> Iterator[str]:
    """Nothing passes an approval that was not given, by enough different people."""
    for change in moment.changes:
        after = change.after
        gates = {it.id: it for it in after.gates}
        needed: dict[str, str] = {}
        if after.rollback_of is None:
            newly = change.before is not None and change.before.admitted_at is None
            if after.manual_approval and newly and after.admitted_at is not None:
                needed["deployment"] = "admitted"
            for row in change.ordered_work():
                needed |= dict.fromkeys(_gates_before(change, row), row.id)
        for gate_id, what in needed.items():
            gate = gates.get(gate_id)
            if gate is None or gate.state is not GateState.CONFIRMED:
                yield f"{what} passed the approval {gate_id}: {gate.state if gate else 'not asked'}"


def _gates_before(change: Change, row: Execution) -> list[str]:
    task = change.task(row.task_id)
    was = change.was_task(task.id)
    needed = []
    newly = was is not None and was.started_at is None and row.attempt == 1
    if task.stage is not None and change.after.stages[task.stage].approval and newly:
        needed.append(f"stage:{task.stage + 1}")
    if task.require_confirm and was is not None and was.started_at is None:
        needed.append(f"task:{task.id}")
    if task.type is TaskType.DEPLOY and row.attempt == 1:
        mine = next((it.step for it in task.batches if it.number == row.batch), 0)
        steps = change.after.strategy.steps
        for index in dict.fromkeys(it.step for it in task.batches):
            if index < mine and index < len(steps) and steps[index].approval:
                needed.append(f"step:{task.id}:{index}")
    return needed


def enough_people_agreed(moment: Moment) -> Iterator[str]:
    """A confirmed approval has the answers it needs, each from another person who may answer."""
    for change in moment.changes:
        if change.before is None or change.before.gates is change.after.gates:
            continue
        policy = change.after.approval_policy
        for gate in change.after.gates:
            voices = [it.by for it in gate.answers if it.confirmed]
            if len(voices) != len(set(voices)):
                yield f"{gate.id}: somebody was counted twice"
            if policy.forbid_requester and change.after.created_by in voices:
                yield f"{gate.id}: whoever asked for it approved it"
            by_people = gate.state is GateState.CONFIRMED and voices != ["the strategy"]
            expired = gate.closed_at is not None and gate.closed_at >= gate.expires_at
            if by_people and not expired and len(voices) < policy.required:
                yield f"{gate.id}: confirmed by {len(voices)} of {policy.required}"


def nothing_starts_while_paused_or_stopping(moment: Moment) -> Iterator[str]:
    """A pause and a stop let nothing new start; going back is never paused."""
    for change in moment.changes:
        before, after = change.before, change.after
        if before is None or after.phase is Phase.ROLLBACK:
            continue
        for row in change.ordered_work():
            if after.paused_at is not None:
                yield f"{row.id} was sent while paused"
            if after.stop is not None and before.stop is not None:
                yield f"{row.id} was sent while stopping: {after.stop.reason}"


def every_wait_has_a_reason(moment: Moment) -> Iterator[str]:
    """What waits, was skipped, failed or was lost says why."""
    for change in moment.changes:
        after = change.after
        if moment.after_round and after.state not in TERMINAL:
            due = moment.ledger.is_due(after.id, moment.now)
            if not due and not any(it.text for it in after.waiting_for):
                yield f"{after.id} is {after.state} and does not say what it waits for"
        for task in after.tasks:
            if task.state in {TaskState.FAILED, TaskState.CANCELLED} and not task.reason:
                yield f"{after.id} {task.id} is {task.state} without a reason"
        for _, row in change.changed_rows():
            silent = row.state in _BAD or row.state is ExecutionState.SKIPPED
            if silent and not row.reason:
                yield f"{row.id} is {row.state} without a reason"


def agents_are_heard_by_the_deadline(moment: Moment) -> Iterator[str]:
    """Nothing is under way beyond its time without having been asked to stop."""
    if not moment.after_round:
        return
    for change in moment.changes:
        for row in change.after.executions:
            if row.state not in IN_FLIGHT or row.stop_sent_at is not None:
                continue
            limit = change.task(row.task_id).timeout_seconds or 3600.0
            assert row.ordered_at is not None
            if moment.now > row.ordered_at + timedelta(seconds=limit + 120):
                yield f"{row.id} is under way since {row.ordered_at}, limit {limit:g} s"


def health_is_awaited_no_longer_than_agreed(moment: Moment) -> Iterator[str]:
    """A target not healthy by `healthyDeadline` is asked to stop; held time never counts."""
    if not moment.after_round:
        return
    for change in moment.changes:
        for row in change.after.executions:
            if row.state not in IN_FLIGHT or row.stop_sent_at or row.checking_since is None:
                continue
            release = moment.ledger.releases.get(row.release_id) if row.release_id else None
            check = release[1].health_check if release else None
            if check is None:
                continue
            active = active_seconds(change.after, moment.now)
            if active > row.checking_since + check.healthy_deadline + 1:
                yield f"{row.id} is not healthy for {active - row.checking_since:g} s"


def only_what_failed_is_tried_again(moment: Moment) -> Iterator[str]:
    """A new attempt is made only where the last one did not succeed, or was taken back."""
    for change in moment.changes:
        for row in change.ordered:
            if row.attempt == 1 or change.after.retry_of is not None:
                continue
            for old in change.after.executions:
                same = (old.task_id, old.target_id, old.kind) == (
                    row.task_id,
                    row.target_id,
                    row.kind,
                )
                if same and old.attempt < row.attempt and old.state is ExecutionState.SUCCESS:
                    yield f"{row.id} does again what {old.id} did well"


def canaries_are_skipped_only_the_first_time(moment: Moment) -> Iterator[str]:
    """Admitted, a task counts as a first deployment when none of its targets ever ran it well."""
    for change in moment.changes:
        before, after = change.before, change.after
        if before is None or before.admitted_at or after.admitted_at is None:
            continue
        if after.retry_of is not None or after.rollback_of is not None:
            continue
        for task in after.tasks:
            if task.type is not TaskType.DEPLOY or task.application_id is None:
                continue
            targets = [it for batch in task.batches for it in batch.target_ids]
            places = [(task.application_id, it) for it in targets]
            first = all(moment.history.proven.get(it) is None for it in places)
            if first != task.first_deployment and not oracle.is_blue_green(after.strategy):
                yield f"{after.id} {task.id}: first deployment is {task.first_deployment}"


def the_old_side_is_kept_for_its_grace(moment: Moment) -> Iterator[str]:
    """Blue-green removes the old side last of all, and not before its grace time."""
    for change in moment.changes:
        retiring = [it for it in change.ordered if it.kind is ExecutionKind.RETIRE]
        grace = timedelta(seconds=change.after.strategy.grace_seconds)
        for row in change.after.executions if retiring else ():
            if row.kind is not ExecutionKind.ACTIVATE or row.completed_at is None:
                continue
            if row.ordered_at is not None and moment.now < row.completed_at + grace:
                yield f"{retiring[0].id} was sent {moment.now - row.completed_at} after {row.id}"
        if retiring and any(not _is_done(it) for it in change.after.tasks):
            yield f"{retiring[0].id} was sent before all tasks had succeeded"


def _is_done(task: Task) -> bool:
    """Or failed and was passed over, which what is about the fleet never is."""
    if task.type in {TaskType.DEPLOY, TaskType.HEALTH_CHECK}:
        return task.state is TaskState.SUCCESS
    return task.state in {TaskState.SUCCESS, TaskState.FAILED}


def what_is_skipped_is_never_sent(moment: Moment) -> Iterator[str]:
    """Nothing is sent for a task whose condition was not met."""
    for change in moment.changes:
        for row in change.ordered_work():
            if change.task(row.task_id).skipped:
                yield f"{row.id} was sent for {row.task_id}, which is skipped"


def a_repetition_waits_for_its_time(moment: Moment) -> Iterator[str]:
    """An attempt that Boreas makes by itself is sent after the delay, not before."""
    for change in moment.changes:
        for row in change.ordered_work():
            if row.not_before is not None and moment.now < row.not_before:
                yield f"{row.id} was sent before {row.not_before}"


def success_leaves_nothing_undone(moment: Moment) -> Iterator[str]:
    """A deployment that succeeded has done, or skipped, everything that it was asked for."""
    for change in moment.changes:
        if change.after.state is DeploymentState.SUCCESS and change.after.rollback_of is None:
            for task in change.after.tasks:
                if not _is_done(task):
                    yield f"{change.after.id} succeeded and {task.id} is {task.state}"


LAWS: tuple[Law, ...] = (
    final_states_are_never_left,
    the_end_is_whole,
    no_task_before_its_predecessors,
    batches_are_as_the_strategy_says,
    no_more_in_flight_than_the_batch,
    a_batch_waits_for_the_one_before,
    a_batch_waits_for_its_interval,
    failures_never_exceed_what_is_allowed,
    approvals_are_given_first,
    enough_people_agreed,
    nothing_starts_while_paused_or_stopping,
    every_wait_has_a_reason,
    agents_are_heard_by_the_deadline,
    health_is_awaited_no_longer_than_agreed,
    only_what_failed_is_tried_again,
    canaries_are_skipped_only_the_first_time,
    the_old_side_is_kept_for_its_grace,
    what_is_skipped_is_never_sent,
    a_repetition_waits_for_its_time,
    success_leaves_nothing_undone,
)
