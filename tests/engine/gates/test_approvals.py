"""Approvals before the first task, before a task and after a step; n of m; running out."""

from datetime import timedelta

import pytest

from boreas.domain.deployments import ApprovalPolicy, ExpiryOutcome
from boreas.domain.errors import Conflict, Forbidden, NotFound
from boreas.engine import people
from boreas.testing.builders import (
    NOON,
    a_ground,
    a_step,
    a_strategy,
    a_task_request,
    an_application,
    live_with,
)
from boreas.testing.rollout import Rollout

DAY = 24 * 3600.0


def a_rollout(*steps, hosts=3, **request):
    web = an_application(hosts=hosts)
    ground = a_ground(web, live=live_with("v1", web))
    return Rollout(ground, strategy=a_strategy(*(steps or (a_step(1, back=True),))), **request)


def a_canary(**request):
    return a_rollout(
        a_step(1, canary="0.1", back=True, approval=True), a_step(0, back=True), **request
    )


def a_waiting_canary(**request):
    rollout = a_canary(**request)
    rollout.finish("n1")
    return rollout


# --- before the first task ---------------------------------------------------------------------


def test_a_manual_approval_waits_before_the_first_task():
    rollout = a_rollout(manual_approval=True)

    assert rollout.state == "waiting_confirm"
    assert rollout.sent == []
    assert rollout.waits() == [
        "waits for approval before the first task, until 2030-01-02 12:00:00 UTC"
    ]


def test_a_wait_before_the_first_task_holds_no_lock():
    rollout = a_rollout(manual_approval=True)

    assert rollout.deployment.admitted_at is None
    assert not rollout.last.wants_admission


def test_once_given_it_goes_on():
    rollout = a_rollout(manual_approval=True)

    rollout.wish(people.confirm, "bo")

    assert rollout.state == "running"
    assert rollout.busy() == ["n1"]


def test_what_was_said_with_it_is_told():
    rollout = a_rollout(manual_approval=True)

    rollout.wish(people.confirm, "bo", comment="looks well")

    told = [notice.text for notice in rollout.notices]
    assert "approval before the first task: confirmed by bo: looks well" in told


def test_once_given_it_may_still_have_to_queue():
    rollout = a_rollout(manual_approval=True, granted=False)

    rollout.wish(people.confirm, "bo")

    assert rollout.state == "pending"
    assert rollout.last.wants_admission


def test_a_refused_start_is_cancelled():
    rollout = a_rollout(manual_approval=True)

    rollout.wish(people.reject, "bo", comment="not on a Friday")

    assert rollout.state == "cancelled"
    assert rollout.deployment.error_message == (
        "approval before the first task was refused by bo: not on a Friday"
    )


# --- before a task -----------------------------------------------------------------------------


def test_a_task_that_requires_confirmation_waits_when_it_is_ready():
    tasks = (
        a_task_request("a"),
        a_task_request("b", after=["a"], require_confirm=True),
    )
    rollout = a_rollout(tasks=tasks)
    assert rollout.task("b").state == "blocked"

    rollout.finish()

    assert rollout.task("b").state == "waiting_confirm"
    assert rollout.state == "waiting_confirm"


def test_who_confirmed_a_task_and_when_is_recorded():
    tasks = (a_task_request("a", require_confirm=True),)
    rollout = a_rollout(tasks=tasks)
    rollout.wait(60)

    rollout.wish(people.confirm, "bo", task_id="a")

    assert rollout.task("a").confirmed_by == "bo"
    assert rollout.task("a").confirmed_at == NOON + timedelta(seconds=60)
    assert rollout.task("a").state == "running"


def test_other_tasks_go_on_while_one_waits_for_a_person():
    tasks = (a_task_request("a", require_confirm=True), a_task_request("b"))
    rollout = a_rollout(tasks=tasks)

    assert rollout.task("b").state == "running"
    assert rollout.state == "waiting_confirm"


def test_two_open_approvals_must_be_named():
    tasks = (
        a_task_request("a", require_confirm=True),
        a_task_request("b", require_confirm=True),
    )
    rollout = a_rollout(tasks=tasks)

    with pytest.raises(Conflict, match="name one of: task:a, task:b"):
        rollout.wish(people.confirm, "bo")
    rollout.wish(people.confirm, "bo", task_id="b")
    assert rollout.state == "waiting_confirm"
    rollout.wish(people.confirm, "bo", gate_id="task:a")
    assert rollout.state == "running"


# --- after a step ------------------------------------------------------------------------------


def test_after_the_steps_last_batch_is_healthy_a_person_is_waited_for():
    rollout = a_canary()
    assert rollout.state == "running"

    rollout.finish("n1")

    assert rollout.state == "waiting_confirm"
    assert rollout.busy() == []
    assert "approval after step 1 of Deploy web" in rollout.waits()[0]


def test_confirming_a_step_starts_the_next():
    rollout = a_waiting_canary()

    rollout.wish(people.confirm, "bo")

    assert rollout.busy() == ["n2", "n3"]
    assert rollout.state == "running"


def test_refusing_a_step_goes_back():
    rollout = a_waiting_canary()

    rollout.wish(people.reject, "bo")
    assert rollout.busy() == ["n1"]
    rollout.run()

    assert rollout.state == "rolled_back"
    assert rollout.version_on("n1") == "v1"


def test_refusing_goes_back_even_where_failures_do_not():
    rollout = a_rollout(a_step(1, canary="0.1", approval=True), a_step(0))
    rollout.finish("n1")

    rollout.wish(people.reject, "bo")
    rollout.run()

    assert rollout.state == "rolled_back"


def test_a_step_of_several_batches_asks_only_after_its_last():
    rollout = a_rollout(a_step(1, canary="0.5", approval=True), a_step(0), hosts=4)
    rollout.finish("n1")
    assert rollout.busy() == ["n2"]

    rollout.finish("n2")

    assert rollout.state == "waiting_confirm"


def test_the_last_step_may_ask_too():
    rollout = a_rollout(a_step(0, approval=True, back=True), a_step(0))
    rollout.finish()

    assert rollout.state == "waiting_confirm"
    rollout.wish(people.confirm, "bo")
    assert rollout.state == "success"


def test_without_the_key_nobody_is_asked():
    rollout = a_rollout(a_step(1, canary="0.1"), a_step(0))
    rollout.finish("n1")

    assert rollout.deployment.gates == ()


def test_an_answer_of_true_in_the_strategy_goes_on_and_is_recorded():
    rollout = a_rollout(a_step(1, canary="0.1", approval=True, answer=True), a_step(0))
    rollout.finish("n1")

    assert rollout.busy() == ["n2", "n3"]
    assert rollout.deployment.gates[0].answers[0].by == "the strategy"


def test_an_answer_of_false_in_the_strategy_goes_back():
    rollout = a_rollout(a_step(1, canary="0.1", approval=True, answer=False), a_step(0))
    rollout.finish("n1")
    rollout.run()

    assert rollout.state == "rolled_back"
    assert "refused by the strategy" in rollout.deployment.error_message


def test_a_first_deployment_does_not_ask_after_a_skipped_canary():
    web = an_application()
    strategy = a_strategy(a_step(1, canary="0.1", approval=True), a_step(0))
    rollout = Rollout(a_ground(web), strategy=strategy)

    rollout.finish()

    assert rollout.state == "success"


# --- n of m ------------------------------------------------------------------------------------


def test_two_different_people_are_needed_when_the_environment_says_so():
    policy = ApprovalPolicy(required=2)
    rollout = a_rollout(manual_approval=True, approval_policy=policy)

    rollout.wish(people.confirm, "bo")
    assert rollout.state == "waiting_confirm"
    assert "(1 of 2)" in rollout.waits()[0]
    rollout.wish(people.confirm, "cy")
    assert rollout.state == "running"


def test_the_same_person_counts_once():
    policy = ApprovalPolicy(required=2)
    rollout = a_rollout(manual_approval=True, approval_policy=policy)
    rollout.wish(people.confirm, "bo")

    with pytest.raises(Conflict, match="another person"):
        rollout.wish(people.confirm, "bo")


def test_one_refusal_is_enough_however_many_must_agree():
    policy = ApprovalPolicy(required=3)
    rollout = a_rollout(manual_approval=True, approval_policy=policy)
    rollout.wish(people.confirm, "bo")

    rollout.wish(people.reject, "cy")

    assert rollout.state == "cancelled"


def test_the_requester_may_be_forbidden_to_approve():
    policy = ApprovalPolicy(forbid_requester=True)
    rollout = a_rollout(manual_approval=True, approval_policy=policy)

    with pytest.raises(Forbidden):
        rollout.wish(people.confirm, "alice")
    rollout.wish(people.confirm, "bo")
    assert rollout.state == "running"


def test_the_requester_may_still_refuse():
    policy = ApprovalPolicy(forbid_requester=True)
    rollout = a_rollout(manual_approval=True, approval_policy=policy)

    rollout.wish(people.reject, "alice")

    assert rollout.state == "cancelled"


# --- running out -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (ExpiryOutcome.FAIL, "failed"),
        (ExpiryOutcome.ROLLBACK, "rolled_back"),
        (ExpiryOutcome.CONFIRM, "success"),
    ],
)
def test_an_approval_of_a_step_runs_out_into_its_outcome(outcome, state):
    rollout = a_waiting_canary(approval_policy=ApprovalPolicy(on_expiry=outcome))

    rollout.wait(DAY)
    rollout.run()

    assert rollout.state == state


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (ExpiryOutcome.FAIL, "failed"),
        (ExpiryOutcome.ROLLBACK, "failed"),
        (ExpiryOutcome.CONFIRM, "running"),
    ],
)
def test_an_approval_before_the_first_task_runs_out_into_its_outcome(outcome, state):
    policy = ApprovalPolicy(on_expiry=outcome)
    rollout = a_rollout(manual_approval=True, approval_policy=policy)

    rollout.wait(DAY)

    assert rollout.state == state


def test_an_expired_approval_leaves_the_fleet_and_says_so():
    rollout = a_waiting_canary()

    rollout.wait(DAY)

    assert rollout.deployment.error_message == (
        "nobody answered the approval after step 1 of Deploy web in time; left as it is: n1 changed"
    )


def test_until_the_very_moment_it_can_be_answered():
    rollout = a_waiting_canary()
    rollout.wait(DAY - 1)

    rollout.wish(people.confirm, "bo")

    assert rollout.busy() == ["n2", "n3"]


def test_at_the_very_moment_it_is_too_late_even_before_the_engine_looked():
    rollout = a_waiting_canary()
    rollout.now = NOON + timedelta(seconds=DAY)

    with pytest.raises(Conflict, match="ran out"):
        people.confirm(rollout.deployment, "bo", now=rollout.now)


def test_an_answered_approval_does_not_run_out():
    rollout = a_waiting_canary()
    rollout.wish(people.confirm, "bo")

    rollout.wait(2 * 3600)

    assert rollout.deployment.gates[0].state == "confirmed"


# --- exactly one answer ------------------------------------------------------------------------


def test_a_second_confirmation_is_refused():
    rollout = a_rollout(manual_approval=True)
    rollout.wish(people.confirm, "bo")

    with pytest.raises(Conflict, match="confirmed already"):
        rollout.wish(people.confirm, "cy", gate_id="deployment")


def test_confirm_after_reject_is_refused():
    rollout = a_waiting_canary()
    rejected = people.reject(rollout.deployment, "bo", now=rollout.now).next

    with pytest.raises(Conflict):
        people.confirm(rejected, "cy", now=rollout.now)


def test_reject_after_confirm_is_refused():
    rollout = a_waiting_canary()
    confirmed = people.confirm(rollout.deployment, "bo", now=rollout.now).next

    with pytest.raises(Conflict):
        people.reject(confirmed, "cy", now=rollout.now)


def test_confirm_after_cancel_is_refused():
    rollout = a_waiting_canary()
    cancelled = people.cancel(rollout.deployment, "bo", now=rollout.now).next

    with pytest.raises(Conflict, match="stopping: cancelled by bo"):
        people.confirm(cancelled, "cy", now=rollout.now)


def test_an_approval_that_was_never_asked_for_is_not_found():
    rollout = a_waiting_canary()

    with pytest.raises(NotFound):
        rollout.wish(people.confirm, "bo", gate_id="task:ghost")


def test_nothing_to_confirm_is_said():
    with pytest.raises(Conflict, match="No approval is waited for"):
        a_rollout().wish(people.confirm, "bo")


def test_a_failure_elsewhere_withdraws_the_question():
    tasks = (a_task_request("a", require_confirm=True), a_task_request("b"))
    rollout = a_rollout(tasks=tasks)

    rollout.fail()

    assert rollout.deployment.gates[0].state == "withdrawn"
    assert rollout.state == "failed"
