"""The laws that compare what the server believes with what the nodes really did."""

from collections.abc import Iterator

from boreas.domain.deployments import (
    IN_FLIGHT,
    TERMINAL,
    Deployment,
    DeploymentState,
    Execution,
    ExecutionState,
    Phase,
)
from boreas.domain.ids import DeploymentId, ReleaseId
from boreas.domain.orders import Outcome
from boreas.domain.outbox import OutboxKind
from boreas.engine.decide import decide
from boreas.testing.simulate.laws import Law
from boreas.testing.simulate.moment import Change, Moment, changes_place, latest_rows
from boreas.testing.simulate.truth import Place


def every_attempt_is_ordered_once(moment: Moment) -> Iterator[str]:
    """An order id is promised once, with a fence that never falls on its scope and that no other
    deployment had there; what is ordered is promised in the same transaction, and nothing else."""
    rows = [it for it in moment.put if it.kind is OutboxKind.ORDER]
    for row in rows:
        if row.order_id in moment.history.promised:
            yield f"{row.order_id} was promised twice"
        moment.history.promised[row.order_id] = row.fence
        fence, owner = moment.history.fences.get(row.scope, (0, row.deployment_id))
        if (
            row.fence < fence
            or row.fence <= 0
            or (row.fence == fence and owner != row.deployment_id)
        ):
            yield f"{row.order_id} has fence {row.fence} on {row.scope}, {owner} had {fence}"
        moment.history.fences[row.scope] = (row.fence, row.deployment_id)
    if moment.after_round:
        sent = {it.order_id for change in moment.changes for it in change.ordered}
        for order_id in sorted(sent ^ {row.order_id for row in rows}):
            yield f"{order_id} is ordered without a promise, or promised without being ordered"


def a_new_attempt_has_a_new_fence(moment: Moment) -> Iterator[str]:
    """Going back and trying again use a higher fence than what they replace."""
    for change in moment.changes:
        for row in change.ordered:
            fence = moment.history.promised.get(row.order_id, 0)
            for old in change.after.executions:
                replaced = old.task_id == row.task_id and old.target_id == row.target_id
                forward_before = old.phase is Phase.FORWARD and row.phase is Phase.ROLLBACK
                if replaced and (old.attempt < row.attempt or forward_before):
                    known = moment.history.promised.get(old.order_id, 0)
                    if known >= fence:
                        yield f"{row.order_id} has fence {fence}, {old.order_id} had {known}"


def a_stop_is_asked_for_once(moment: Moment) -> Iterator[str]:
    """A cancel is promised once for each order, and only for one that was promised."""
    for row in moment.put:
        if row.kind is not OutboxKind.CANCEL:
            continue
        if row.order_id in moment.history.cancels:
            yield f"the stop of {row.order_id} was promised twice"
        if row.order_id not in moment.history.promised:
            yield f"the stop of {row.order_id} was promised, but it never was"
        moment.history.cancels[row.order_id] = row.id


def a_promise_is_never_lost(moment: Moment) -> Iterator[str]:
    """An order under way stands in the outbox or in its agent's journal."""
    if not moment.after_round:
        return
    promised = {it.order_id for it in moment.ledger.outbox.values() if it.kind is OutboxKind.ORDER}
    for change in moment.changes:
        for row in change.after.executions:
            kept = row.order_id in promised or row.order_id in moment.truth.taken
            if row.state in IN_FLIGHT and not kept:
                yield f"{row.order_id} is {row.state}, and neither promised nor taken"


def results_are_never_guessed(moment: Moment) -> Iterator[str]:
    """An execution succeeded, failed or was stopped only if its agent said so; else it is lost."""
    for change in moment.changes:
        for old, row in change.changed_rows():
            if old is None or row.state is old.state or old.state not in IN_FLIGHT:
                continue
            said = moment.truth.deed(row.order_id).finished
            if said not in _SAID.get(row.state, (said,)):
                yield f"{row.order_id} is {row.state}, and its agent said {said}"


_SAID: dict[ExecutionState, tuple[str | None, ...]] = {
    ExecutionState.SUCCESS: (Outcome.SUCCESS,),
    ExecutionState.CANCELLED: (Outcome.CANCELLED,),
    ExecutionState.FAILED: (Outcome.FAILED, Outcome.REFUSED, Outcome.CANCELLED),
}


def an_order_is_done_at_most_once(moment: Moment) -> Iterator[str]:
    """No node does an order twice, unless it lost its memory; and what succeeded was done."""
    for change in moment.changes:
        for old, row in change.changed_rows():
            deed = moment.truth.deeds.get(row.order_id)
            if deed is None or row.target_id in moment.truth.forgetful:
                continue
            if deed.begun > 1:
                yield f"{row.order_id} was done {deed.begun} times"
            fresh = old is not None and old.state is not row.state
            if fresh and deed.begun == 0 and row.state is ExecutionState.SUCCESS:
                yield f"{row.order_id} succeeded without being done"


def what_is_called_live_is_live(moment: Moment) -> Iterator[str]:
    """A release that is recorded as live without doubt really runs there."""
    for place, record in moment.ledger.live.items():
        if record.uncertain_release_id is not None or place in moment.truth.unsure:
            continue
        real = moment.truth.live.get(place)
        if real != record.release_id:
            yield f"{place[0]} on {place[1]} is recorded as {record.release_id}, but runs {real}"


def what_changes_is_recorded(moment: Moment) -> Iterator[str]:
    """A target is uncertain while a change is under way; after a success it has its version."""
    for change in moment.changes:
        for old, row in change.changed_rows():
            if not changes_place(row) or row.application_id is None:
                continue
            record = moment.ledger.live.get((row.application_id, row.target_id))
            fresh = old is not None and old.state is not row.state
            if row.state in IN_FLIGHT and (record is None or not record.uncertain_release_id):
                yield f"{row.id} is {row.state} and its target counts as certain"
            known = record is not None and record.release_id == row.release_id
            if fresh and row.state is ExecutionState.SUCCESS and not known:
                yield f"{row.id} succeeded and {row.release_id} is not recorded"


def rolled_back_means_back(moment: Moment) -> Iterator[str]:
    """After `rolled_back` every target that was changed really runs its own last good version."""
    for change in _ended(moment, DeploymentState.ROLLED_BACK):
        ignored = {
            (it.application_id, it.target_id) for it in change.after.executions if it.ignored
        }
        for place in _touched(moment, change.after):
            was = _good_before(moment, change.after, place)
            if place in moment.truth.unsure or place in ignored or was == {None}:
                continue
            real = moment.truth.live.get(place)
            if real not in was:
                yield f"{change.after.id}: {place} had {was}, went back, and runs {real}"


def _ended(moment: Moment, state: DeploymentState) -> list[Change]:
    return [
        it
        for it in moment.changes
        if it.after.state is state and it.before is not None and it.before.state not in TERMINAL
    ]


def _touched(moment: Moment, deployment: Deployment) -> list[Place]:
    mine = _family(moment, deployment)
    return [place for id_, place in moment.truth.changed if id_ in mine]


def _family(moment: Moment, deployment: Deployment) -> list[DeploymentId]:
    """The deployment and those that it tries again, oldest last."""
    family, at = [deployment.id], deployment
    while at.retry_of is not None:
        at = moment.ledger.deployments[at.retry_of]
        family.append(at.id)
    return family


def _good_before(moment: Moment, deployment: Deployment, place: Place) -> set[ReleaseId | None]:
    """The version last proven there before this deployment, or before the one it tries again."""
    known = moment.history.proven_before
    return {known[it, place] for it in _family(moment, deployment) if (it, place) in known}


def success_means_the_new_version_runs(moment: Moment) -> Iterator[str]:
    """After `success` every target whose last word was success runs what it was given, and no
    other target is unaccounted for."""
    for change in _ended(moment, DeploymentState.SUCCESS):
        for row in latest_rows(it for it in change.after.executions if change.is_forward(it)):
            if not row.changed or row.application_id is None:
                continue
            place = (row.application_id, row.target_id)
            if row.state is not ExecutionState.SUCCESS or place in moment.truth.unsure:
                continue
            last = _last_change(change.after, row)
            if last is row and moment.truth.live.get(place) != row.release_id:
                yield f"{change.after.id}: {place} runs {moment.truth.live.get(place)}"


def _last_change(deployment: Deployment, row: Execution) -> Execution:
    same = [
        it
        for it in deployment.executions
        if it.changed
        and it.application_id == row.application_id
        and it.target_id == row.target_id
        and it.ordered_at is not None
    ]
    return max(same, key=lambda it: (it.ordered_at, it.ordinal))


def each_target_goes_back_to_its_own_version(moment: Moment) -> Iterator[str]:
    """An order to go back names the version last proven on that very target before."""
    for change in moment.changes:
        for row in change.ordered:
            if row.phase is not Phase.ROLLBACK or change.after.rollback_of is not None:
                continue
            assert row.application_id is not None
            place = (row.application_id, row.target_id)
            was = _good_before(moment, change.after, place)
            if row.release_id not in was:
                yield f"{row.order_id} goes back to {row.release_id}, {place} had {was}"


def deciding_twice_changes_nothing(moment: Moment) -> Iterator[str]:
    """A second decision without news changes nothing, sends nothing and wakes no earlier."""
    if not moment.after_round:
        return
    ledger = moment.ledger
    for change in moment.changes:
        deployment = change.after
        if deployment.state in TERMINAL or ledger.is_due(deployment.id, moment.now):
            continue
        if deployment.admitted_at is None and len(moment.changes) > 1:
            continue  # another one that came or went in the same round moves the queue
        again = decide(ledger.snapshot(deployment), moment.now)
        if again.next is not deployment:
            yield f"{deployment.id}: {_difference(deployment, again.next)}"
        if again.orders or again.cancels or again.live or again.take_fence or again.release_locks:
            yield f"{deployment.id}: the second decision sends or frees something"
        due = ledger.due.get(deployment.id)
        if again.wake_at is not None and (due is None or due > again.wake_at):
            yield f"{deployment.id}: would wake at {again.wake_at}, but wakes at {due}"


def who_is_here_counts_as_here(moment: Moment) -> Iterator[str]:
    """An agent whose link stands and was committed counts as online once all news is written."""
    for agent_id in moment.here:
        if not moment.ledger.is_online(moment.ledger.agents[agent_id]):
            yield f"{agent_id} hangs on the server and counts as offline"


def _difference(old: Deployment, new: Deployment) -> str:
    names = [it for it in old.__dataclass_fields__ if getattr(old, it) != getattr(new, it)]
    return f"the second decision changes {', '.join(names) or 'only identities'}"


LAWS_OF_TRUTH: tuple[Law, ...] = (
    every_attempt_is_ordered_once,
    a_new_attempt_has_a_new_fence,
    a_stop_is_asked_for_once,
    a_promise_is_never_lost,
    results_are_never_guessed,
    an_order_is_done_at_most_once,
    what_is_called_live_is_live,
    what_changes_is_recorded,
    rolled_back_means_back,
    success_means_the_new_version_runs,
    each_target_goes_back_to_its_own_version,
    deciding_twice_changes_nothing,
    who_is_here_counts_as_here,
)
