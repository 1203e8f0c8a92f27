"""Retry of an active deployment happens in place: only what failed, as new attempts."""

import pytest

from boreas.domain.errors import Conflict, NotFound
from boreas.engine import people, people_targets
from boreas.testing.builders import (
    a_ground,
    a_health_check,
    a_step,
    a_strategy,
    a_task_request,
    an_application,
    live_with,
)
from boreas.testing.rollout import Rollout


def a_rollout(*steps, hosts=4, check=None, **request):
    web = an_application(hosts=hosts, health_check=check)
    ground = a_ground(web, live=live_with("v1", web))
    return Rollout(ground, strategy=a_strategy(*(steps or (a_step(2),))), **request)


def test_while_others_still_finish_the_failed_target_can_be_tried_again():
    rollout = a_rollout()
    rollout.fail("n1")

    rollout.wish(people_targets.retry_failed, "bo")

    assert sorted(rollout.busy()) == ["n1", "n2"]
    assert rollout.deployment.stop is None
    assert rollout.deployment.error_message is None


def test_the_new_attempt_is_a_new_row_with_a_new_order():
    rollout = a_rollout()
    rollout.fail("n1")
    rollout.wish(people_targets.retry_failed, "bo")

    attempts = rollout.executions(target_id="t1")
    assert [(it.attempt, it.state) for it in attempts] == [(1, "failed"), (2, "ordered")]
    assert attempts[1].order_id == "d1.5#2"


def test_targets_that_were_not_started_are_tried_too():
    rollout = a_rollout()
    rollout.fail("n1")
    rollout.wish(people_targets.retry_failed, "bo")
    rollout.run()

    assert rollout.state == "success"
    assert {rollout.version_on(f"n{it}") for it in range(1, 5)} == {"v2"}


def test_what_succeeded_is_left_alone():
    rollout = a_rollout(a_step(2, max_failures=1), a_step(0))
    rollout.fail("n1")
    rollout.finish("n2")

    rollout.wish(people_targets.retry_failed, "bo")

    assert len(rollout.executions(target_id="t2")) == 1


def test_it_takes_a_new_fencing_number():
    rollout = a_rollout()
    before = rollout.deployment.fence
    rollout.fail("n1")

    rollout.wish(people_targets.retry_failed, "bo")

    assert rollout.deployment.fence > before


def test_the_version_before_is_still_the_one_before_the_deployment():
    rollout = a_rollout(a_step(2, back=True, max_failures=1))
    rollout.fail("n1")
    rollout.wish(people_targets.retry_failed, "bo")

    rollout.finish("n2")
    retried = rollout.executions(target_id="t1")[-1]
    assert retried.previous_release_id == "web@v1"


def test_a_second_failure_after_a_retry_still_goes_back_to_the_version_before():
    rollout = a_rollout(a_step(1, back=True, max_failures=1), hosts=3)
    rollout.fail("n1")
    rollout.wish(people_targets.retry_failed, "bo")
    rollout.finish("n2")
    rollout.fail("n1")
    rollout.fail()
    rollout.run()

    assert rollout.state == "rolled_back"
    assert {rollout.version_on(f"n{it}") for it in (1, 2, 3)} == {"v1"}


def test_a_retried_target_waits_until_the_later_batch_is_done():
    rollout = a_rollout(a_step(1, max_failures=1), hosts=3)
    rollout.fail("n1")
    assert rollout.busy() == ["n2"]

    rollout.wish(people_targets.retry_failed, "bo")

    assert rollout.busy() == ["n2"]
    assert "waits for n2" in rollout.waits()[0]
    rollout.finish("n2")
    assert rollout.busy() == ["n1"]
    rollout.finish("n1")
    assert rollout.busy() == ["n3"]


def test_a_successful_retry_makes_room_for_another_tolerated_failure():
    rollout = a_rollout(a_step(1, max_failures=1), hosts=3)
    rollout.fail("n1")
    rollout.wish(people_targets.retry_failed, "bo")
    rollout.finish("n2")
    rollout.finish("n1")
    rollout.fail("n3")

    assert rollout.state == "success"


def test_one_task_alone_can_be_retried():
    web, api = an_application("web", hosts=2), an_application("api", hosts=2)
    strategy = a_strategy(a_step(0, max_failures=1), a_step(0))
    rollout = Rollout(a_ground(web, api), strategy=strategy)
    for task in ("web-deploy", "api-deploy"):
        rollout.report(rollout.executions(task)[0], outcome="failed")

    rollout.wish(people_targets.retry_failed, "bo", task_id="api-deploy")

    assert len(rollout.executions("web-deploy")) == 2
    assert len(rollout.executions("api-deploy")) == 3


def test_tasks_behind_the_failure_are_blocked_again():
    tasks = (
        a_task_request("a"),
        a_task_request("slow", payload={"target": "n2"}),
        a_task_request("b", after=["a"]),
    )
    rollout = a_rollout(tasks=tasks)
    rollout.report(rollout.executions("a")[0], outcome="failed")
    assert rollout.task("b").state == "cancelled"

    rollout.wish(people_targets.retry_failed, "bo")

    assert rollout.task("b").state == "blocked"
    assert rollout.task("a").state == "running"
    rollout.run()
    assert rollout.state == "success"


def test_a_finished_task_with_tolerated_failures_opens_again():
    check = a_health_check()
    rollout = a_rollout(a_step(0, max_failures=1), a_step(0), check=check)
    rollout.fail("n1")
    rollout.finish()
    assert rollout.task("web-deploy").state == "success"

    rollout.wish(people_targets.retry_failed, "bo", task_id="web-deploy")

    assert "n1" in rollout.busy()


def test_a_follower_does_not_go_on_while_an_earlier_task_is_tried_again():
    tasks = (
        a_task_request("d", "deploy", app="web"),
        a_task_request("c", after=["d"]),
        a_task_request("e", after=["c"]),
    )
    rollout = a_rollout(a_step(0, max_failures=1, canary=1), tasks=tasks)
    rollout.fail("n1")
    rollout.finish()
    rollout.wish(people_targets.retry_failed, "bo")
    rollout.report(rollout.executions("c")[0], outcome="success")

    assert rollout.task("e").state == "blocked"
    rollout.finish()
    assert rollout.task("e").state == "running"


def test_an_approval_that_the_failure_withdrew_is_asked_for_again():
    tasks = (a_task_request("ask", require_confirm=True), a_task_request("b"), a_task_request("c"))
    rollout = a_rollout(tasks=tasks)
    rollout.report(rollout.executions("b")[0], outcome="failed")
    assert rollout.deployment.gates[0].state == "withdrawn"

    rollout.wish(people_targets.retry_failed, "bo")

    assert rollout.state == "waiting_confirm"
    rollout.wish(people.confirm, "bo")
    rollout.run()
    assert rollout.state == "success"


def test_without_a_failure_there_is_nothing_to_retry():
    with pytest.raises(Conflict, match="Nothing has failed"):
        a_rollout().wish(people_targets.retry_failed, "bo")


def test_a_task_that_did_not_fail_cannot_be_retried():
    web, api = an_application("web", hosts=2), an_application("api", hosts=2)
    strategy = a_strategy(a_step(0, max_failures=1), a_step(0))
    rollout = Rollout(a_ground(web, api), strategy=strategy)
    rollout.report(rollout.executions("web-deploy")[0], outcome="failed")

    with pytest.raises(Conflict):
        rollout.wish(people_targets.retry_failed, "bo", task_id="api-deploy")


def test_an_unknown_task_is_not_found():
    with pytest.raises(NotFound):
        a_rollout().wish(people_targets.retry_failed, "bo", task_id="ghost")


def test_once_it_is_decided_to_go_back_a_retry_comes_too_late():
    rollout = a_rollout(a_step(2, back=True))
    rollout.fail("n1")

    with pytest.raises(Conflict, match="stopping"):
        rollout.wish(people_targets.retry_failed, "bo")


def test_while_it_goes_back_a_retry_is_refused():
    rollout = a_rollout(a_step(1, back=True))
    rollout.fail("n1")

    with pytest.raises(Conflict, match="going back"):
        rollout.wish(people_targets.retry_failed, "bo")


def test_an_ignored_target_is_not_tried_again():
    rollout = a_rollout(a_step(0, max_failures=2), a_step(0))
    rollout.fail("n1")
    rollout.fail("n2")
    rollout.wish(people_targets.ignore_target, "t1", "bo")

    rollout.wish(people_targets.retry_failed, "bo")

    assert len(rollout.executions(target_id="t1")) == 1
    assert len(rollout.executions(target_id="t2")) == 2
