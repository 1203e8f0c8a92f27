"""A task that was not started can be skipped; a target can be told not to count."""

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


def a_rollout(*steps, hosts=3, check=None, **request):
    web = an_application(hosts=hosts, health_check=check)
    ground = a_ground(web, live=live_with("v1", web))
    return Rollout(ground, strategy=a_strategy(*(steps or (a_step(1, back=True),))), **request)


CHAIN = (a_task_request("a"), a_task_request("b", after=["a"]), a_task_request("c", after=["b"]))


def test_a_skipped_task_counts_as_done():
    rollout = a_rollout(tasks=CHAIN)

    rollout.wish(people_targets.skip_task, "b", "bo", comment="not needed")
    assert rollout.task("c").state == "blocked"
    rollout.finish()

    assert rollout.task("b").state == "success"
    assert rollout.task("b").reason == "skipped by bo: not needed"
    assert rollout.task("c").state == "running"


def test_its_targets_say_that_they_were_skipped():
    rollout = a_rollout(tasks=CHAIN)

    rollout.wish(people_targets.skip_task, "b", "bo")

    assert rollout.executions("b")[0].reason == "skipped by bo"


def test_a_task_that_waits_for_approval_can_be_skipped():
    rollout = a_rollout(tasks=(a_task_request("a", require_confirm=True),))

    rollout.wish(people_targets.skip_task, "a", "bo")

    assert rollout.state == "success"
    assert rollout.deployment.gates[0].state == "withdrawn"


def test_a_started_task_cannot_be_skipped():
    rollout = a_rollout(tasks=CHAIN)

    with pytest.raises(Conflict, match="a is running"):
        rollout.wish(people_targets.skip_task, "a", "bo")


def test_an_unknown_task_is_not_found():
    with pytest.raises(NotFound):
        a_rollout().wish(people_targets.skip_task, "ghost", "bo")


def test_an_ignored_target_is_not_started():
    rollout = a_rollout()

    rollout.wish(people_targets.ignore_target, "t2", "bo")
    rollout.finish("n1")

    assert rollout.busy() == ["n3"]
    assert rollout.executions()[1].reason == "ignored by bo"


def test_the_deployment_succeeds_without_it():
    rollout = a_rollout()
    rollout.wish(people_targets.ignore_target, "t2", "bo")
    rollout.run()

    assert rollout.state == "success"
    assert rollout.version_on("n2") == "v1"


def test_an_ignored_target_under_way_is_asked_to_stop_and_waited_for():
    rollout = a_rollout()

    rollout.wish(people_targets.ignore_target, "t1", "bo", comment="broken disk")

    assert rollout.cancels[0].reason == "ignored by bo: broken disk"
    assert rollout.busy() == ["n1"]
    rollout.finish("n1", outcome="cancelled")
    assert rollout.busy() == ["n2"]


@pytest.mark.parametrize("outcome", ["failed", "lost", "cancelled"])
def test_however_an_ignored_target_ends_it_is_no_failure(outcome):
    rollout = a_rollout()
    rollout.wish(people_targets.ignore_target, "t1", "bo")
    rollout.finish("n1", outcome=outcome)
    rollout.run()

    assert rollout.state == "success"


def test_a_failed_target_that_is_ignored_counts_no_more():
    rollout = a_rollout(a_step(1, max_failures=1), a_step(0))
    rollout.fail("n1")
    rollout.wish(people_targets.ignore_target, "t1", "bo")
    rollout.fail("n2")
    rollout.run()

    assert rollout.state == "success"


def test_it_is_ignored_in_every_task_unless_one_is_named():
    rollout = a_rollout(check=a_health_check())
    rollout.wish(people_targets.ignore_target, "t2", "bo", task_id="web-health-check")

    ignored = [(it.task_id, it.target_id) for it in rollout.executions(ignored=True)]
    assert ignored == [("web-health-check", "t2")]
    rollout.wish(people_targets.ignore_target, "t3", "bo")
    assert len(rollout.executions(ignored=True)) == 3


def test_a_changed_target_that_is_ignored_still_goes_back():
    rollout = a_rollout()
    rollout.finish("n1")
    rollout.wish(people_targets.ignore_target, "t1", "bo")
    rollout.fail("n2")
    rollout.run()

    assert rollout.state == "rolled_back"
    assert rollout.version_on("n1") == "v1"


def test_but_its_way_back_may_fail_without_failing_the_whole():
    rollout = a_rollout()
    rollout.finish("n1")
    rollout.wish(people_targets.ignore_target, "t1", "bo")
    rollout.fail("n2")
    rollout.finish("n2")
    rollout.fail("n1")

    assert rollout.state == "rolled_back"


def test_a_way_back_that_hangs_can_be_ignored():
    rollout = a_rollout()
    rollout.finish("n1")
    rollout.fail("n2")
    rollout.wish(people_targets.ignore_target, "t2", "bo")
    rollout.finish("n2", outcome="cancelled")
    rollout.finish("n1")

    assert rollout.state == "rolled_back"


def test_a_target_can_be_ignored_once():
    rollout = a_rollout()
    rollout.wish(people_targets.ignore_target, "t2", "bo")

    with pytest.raises(Conflict, match="ignored already"):
        rollout.wish(people_targets.ignore_target, "t2", "bo")


def test_an_unknown_target_is_not_found():
    with pytest.raises(NotFound):
        a_rollout().wish(people_targets.ignore_target, "t99", "bo")


def test_all_targets_ignored_is_nothing_to_do():
    rollout = a_rollout(started=False)
    for target in ("t1", "t2", "t3"):
        rollout.wish(people_targets.ignore_target, target, "bo")
    rollout.wish(people.start, "bo")

    assert rollout.state == "success"
    assert rollout.task("web-deploy").reason == "ignored by bo"
