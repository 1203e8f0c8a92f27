"""healthyDeadline, progressDeadline and timeouts; time spent waiting for people never counts."""

from datetime import timedelta

import pytest

from boreas.domain.deployments import ApprovalPolicy
from boreas.engine import people
from boreas.engine.health_windows import active_seconds
from boreas.testing.builders import (
    NOON,
    a_ground,
    a_health_check,
    a_step,
    a_strategy,
    a_task_request,
    an_application,
    live_with,
)
from boreas.testing.rollout import Rollout


def a_rollout(*steps, hosts=3, check=None, **request):
    web = an_application(hosts=hosts, health_check=check)
    ground = a_ground(web, live=live_with("v1", web))
    return Rollout(ground, strategy=a_strategy(*(steps or (a_step(1, back=True),))), **request)


HEALTH = a_health_check(healthy_deadline=30, progress_deadline=100)


# --- healthy deadline --------------------------------------------------------------------------


def test_a_target_that_does_not_become_healthy_in_time_is_asked_to_stop():
    rollout = a_rollout(check=HEALTH)
    rollout.wait(10)
    rollout.check_begins("n1")

    rollout.wait(29)
    assert rollout.cancels == []
    rollout.wait(1)
    assert rollout.cancels[0].reason == "not healthy after 30 s"


def test_it_has_failed_once_the_agent_answered():
    rollout = a_rollout(check=HEALTH)
    rollout.check_begins("n1")
    rollout.wait(30)
    assert rollout.state == "running"

    rollout.finish("n1", outcome="cancelled")

    failed = rollout.executions()[0]
    assert (failed.state, failed.reason) == ("failed", "not healthy after 30 s")
    assert rollout.in_flight()[0].kind == "revert"


def test_it_succeeds_after_all_if_it_became_healthy_before_the_stop_reached_it():
    rollout = a_rollout(check=HEALTH)
    rollout.check_begins("n1")
    rollout.wait(30)

    rollout.finish("n1", outcome="success")

    assert rollout.executions()[0].state == "success"
    assert rollout.busy() == ["n2"]


def test_the_deadline_counts_from_the_check_not_from_the_order():
    rollout = a_rollout(check=HEALTH)

    rollout.wait(90)

    assert rollout.cancels == []


def test_a_repeated_check_report_does_not_restart_the_deadline():
    rollout = a_rollout(check=HEALTH)
    rollout.check_begins("n1")
    rollout.wait(20)
    rollout.check_begins("n1")

    rollout.wait(10)

    assert len(rollout.cancels) == 1


def test_without_a_health_check_there_is_no_healthy_deadline():
    rollout = a_rollout()
    rollout.check_begins("n1")

    rollout.wait(1800)

    assert rollout.cancels == []


def test_a_pause_stops_the_clock():
    rollout = a_rollout(check=HEALTH)
    rollout.check_begins("n1")
    rollout.wait(20)
    rollout.wish(people.pause, "bo")
    rollout.wait(500)
    assert rollout.cancels == []

    rollout.wish(people.resume, "bo")
    rollout.wait(9)
    assert rollout.cancels == []
    rollout.wait(1)
    assert len(rollout.cancels) == 1


def test_an_open_approval_stops_the_clock():
    tasks = (
        a_task_request("d", "deploy", app="web"),
        a_task_request("ask", require_confirm=True),
    )
    rollout = a_rollout(check=HEALTH, tasks=tasks)
    rollout.check_begins("n1")
    rollout.wait(500)
    assert rollout.cancels == []

    rollout.wish(people.confirm, "bo")
    rollout.wait(30)
    assert len(rollout.cancels) == 1


# --- progress deadline -------------------------------------------------------------------------


def test_no_healthy_target_for_too_long_fails_the_deployment():
    rollout = a_rollout(check=HEALTH)

    rollout.wait(100)

    assert rollout.deployment.stop.reason == (
        "no target became healthy within 100 s (n1 under way)"
    )
    assert rollout.cancels[0].reason == "no target became healthy within 100 s"


def test_then_it_goes_back_as_the_step_says():
    rollout = a_rollout(check=HEALTH)
    rollout.wait(100)
    rollout.finish("n1", outcome="cancelled")
    rollout.run()

    assert rollout.state == "rolled_back"


def test_every_healthy_target_restarts_it():
    rollout = a_rollout(a_step(2, back=True), check=HEALTH)
    rollout.wait(90)
    rollout.finish("n1")
    rollout.wait(90)

    assert rollout.deployment.stop is None
    rollout.wait(10)
    assert rollout.deployment.stop is not None


def test_a_promotion_restarts_it():
    steps = (a_step(1, canary="0.1", approval=True), a_step(0))
    rollout = a_rollout(*steps, check=HEALTH)
    rollout.finish("n1")
    rollout.wait(5000)
    rollout.wish(people.confirm, "bo")

    rollout.wait(99)
    assert rollout.deployment.stop is None
    rollout.wait(1)
    assert rollout.deployment.stop is not None


def test_the_wait_between_batches_does_not_count():
    rollout = a_rollout(a_step(1, interval=900), check=HEALTH)
    rollout.finish("n1")
    rollout.wait(900)
    assert rollout.busy() == ["n2"]

    rollout.wait(99)

    assert rollout.deployment.stop is None


def test_a_pause_does_not_count_for_progress():
    rollout = a_rollout(check=HEALTH)
    rollout.wish(people.pause, "bo")
    rollout.wait(1000)

    assert rollout.deployment.stop is None


def test_a_zero_progress_deadline_never_fires_by_time():
    rollout = a_rollout(check=a_health_check(progress_deadline=0))

    rollout.wait(3000)

    assert rollout.deployment.stop is None


# --- timeouts ----------------------------------------------------------------------------------


def test_the_agent_keeps_the_timeout_and_the_engine_only_backs_it_up():
    tasks = (a_task_request("a", timeout_seconds=100),)
    rollout = a_rollout(tasks=tasks)

    rollout.wait(169)
    assert rollout.cancels == []
    rollout.wait(1)
    assert rollout.cancels[0].reason == "timed out after 100 s"


def test_the_answer_to_that_stop_is_a_failure():
    rollout = a_rollout(tasks=(a_task_request("a", timeout_seconds=100),))
    rollout.wait(170)

    rollout.finish(outcome="cancelled")

    assert rollout.executions()[0].reason == "timed out after 100 s"
    assert rollout.state == "failed"


def test_an_agent_that_is_there_but_never_answers_has_lost_the_order():
    rollout = a_rollout(tasks=(a_task_request("a", timeout_seconds=100),))
    rollout.wait(170)

    rollout.wait(610)

    assert rollout.executions()[0].state == "lost"
    assert rollout.state == "failed"


@pytest.mark.parametrize("wish", [people.cancel, people.rollback])
def test_a_stop_that_nobody_answers_does_not_last_for_ever(wish):
    rollout = a_rollout()
    rollout.wish(wish, "bo")
    rollout.agent("n1", online=False)

    rollout.wait(69)
    assert rollout.state == "running"
    rollout.wait(1)

    assert rollout.executions()[0].state == "lost"
    assert rollout.executions()[0].reason.endswith("did not answer the request to stop")


def test_every_order_under_way_has_a_time_at_which_it_is_looked_at_again():
    rollout = a_rollout(tasks=(a_task_request("a", timeout_seconds=100),))

    assert rollout.last.wake_at == NOON + timedelta(seconds=170)


def test_every_stop_that_was_asked_for_has_one_too():
    rollout = a_rollout()
    rollout.wish(people.cancel, "bo")

    assert rollout.last.wake_at == NOON + timedelta(seconds=610)


def test_an_approval_that_opens_just_now_already_stops_the_clock():
    tasks = (
        a_task_request("a", timeout_seconds=100),
        a_task_request("ask", require_confirm=True),
    )
    rollout = a_rollout(tasks=tasks, started=False)
    rollout.agent("n1", online=False)
    rollout.wish(people.start, "al")

    assert rollout.last.wake_at == NOON + timedelta(days=1)


def test_a_failure_that_ends_a_pause_brings_the_deadlines_back():
    rollout = a_rollout(a_step(2), check=HEALTH)
    rollout.check_begins("n2")
    rollout.wish(people.pause, "bo")
    rollout.wait(1000)

    rollout.fail("n1")

    assert rollout.last.wake_at == rollout.now + timedelta(seconds=30)


# --- active time -------------------------------------------------------------------------------


def test_active_time_begins_with_the_admission():
    rollout = a_rollout(manual_approval=True)
    rollout.wait(500)
    rollout.wish(people.confirm, "bo")
    rollout.wait(10)

    assert active_seconds(rollout.deployment, rollout.now) == 10


def test_active_time_stands_still_while_people_are_waited_for():
    rollout = a_rollout()
    rollout.wait(10)
    rollout.wish(people.pause, "bo")
    rollout.wait(100)
    assert active_seconds(rollout.deployment, rollout.now) == 10
    rollout.wish(people.resume, "bo")
    rollout.wait(5)

    assert active_seconds(rollout.deployment, rollout.now) == 15


def test_a_pause_and_an_approval_at_once_are_counted_once():
    tasks = (a_task_request("a", require_confirm=True), a_task_request("b"))
    rollout = a_rollout(tasks=tasks, approval_policy=ApprovalPolicy(expires_after=10_000))
    rollout.wait(10)
    rollout.wish(people.pause, "bo")
    rollout.wait(10)
    rollout.wish(people.confirm, "bo")
    rollout.wait(10)
    rollout.wish(people.resume, "bo")

    assert active_seconds(rollout.deployment, rollout.now) == 0
    assert rollout.deployment.held_seconds == 30


def test_a_wake_up_is_asked_for_at_the_very_deadline():
    rollout = a_rollout(check=HEALTH)
    rollout.wait(7)
    rollout.check_begins("n1")

    assert rollout.last.wake_at == NOON + timedelta(seconds=37)
