"""`retry`: Boreas tries again by itself, after a delay, so many times."""

from boreas.domain.workflow import Retry
from boreas.engine import people, people_targets
from boreas.testing.builders import (
    a_ground,
    a_step,
    a_strategy,
    a_task_request,
    an_application,
    live_with,
)
from boreas.testing.rollout import Rollout


def a_rollout(*tasks, **request):
    web = an_application(hosts=2)
    request.setdefault("strategy", a_strategy(a_step(1, back=True)))
    return Rollout(a_ground(web, live=live_with("v1", web)), tasks=tasks, **request)


def flaky(count=2, delay=0.0, **more):
    return a_task_request("flaky", retry=Retry(count=count, delay=delay), **more)


def test_a_failed_attempt_is_followed_by_the_next():
    rollout = a_rollout(flaky())
    rollout.fail()

    assert [(it.attempt, it.state) for it in rollout.executions("flaky")] == [
        (1, "failed"),
        (2, "ordered"),
    ]


def test_a_repetition_that_succeeds_makes_the_task_succeed():
    rollout = a_rollout(flaky())
    rollout.fail()
    rollout.run()

    assert rollout.state == "success"
    assert rollout.task("flaky").state == "success"


def test_each_repetition_takes_a_new_fencing_number():
    rollout = a_rollout(flaky())
    before = rollout.deployment.fence
    rollout.fail()

    assert rollout.deployment.fence == before + 1


def test_the_delay_is_waited_for_and_said():
    rollout = a_rollout(flaky(delay=30))
    rollout.fail()

    assert rollout.busy() == []
    assert rollout.waits() == ["flaky: attempt 2 of 3 on n1 at 12:00:30 UTC"]
    rollout.wait(29)
    assert rollout.busy() == []
    rollout.wait(1)
    assert rollout.busy() == ["n1"]


def test_when_the_tries_are_used_up_the_deployment_fails():
    rollout = a_rollout(flaky(count=2))
    for _ in range(3):
        rollout.fail()

    assert rollout.state == "failed"
    assert [it.attempt for it in rollout.executions("flaky")] == [1, 2, 3]


def test_what_was_lost_is_not_repeated():
    rollout = a_rollout(flaky())
    rollout.finish(outcome="lost")

    assert rollout.state == "failed"
    assert len(rollout.executions("flaky")) == 1


def test_an_agent_that_never_came_is_not_waited_for_again():
    rollout = a_rollout(flaky(timeout_seconds=60.0), started=False)
    rollout.agent("n1", online=False)
    rollout.wish(people.start, "bo")
    rollout.wait(61)

    assert rollout.state == "failed"
    assert len(rollout.executions("flaky")) == 1


def test_a_deployment_repeats_on_the_target_before_it_takes_anything_back():
    rollout = a_rollout(
        a_task_request("deploy", "deploy", app="web", retry=Retry(count=1, delay=5))
    )
    rollout.fail("n1")
    assert rollout.deployment.stop is None
    rollout.wait(5)
    rollout.run()

    assert rollout.state == "success"
    assert (rollout.version_on("n1"), rollout.version_on("n2")) == ("v2", "v2")


def test_after_the_last_try_everything_goes_back_to_what_was_live_before():
    rollout = a_rollout(a_task_request("deploy", "deploy", app="web", retry=Retry(count=1)))
    rollout.fail("n1")
    rollout.fail("n1")
    rollout.run()

    assert rollout.state == "rolled_back"
    assert rollout.version_on("n1") == "v1"


def test_a_cancel_ends_the_waiting_for_the_next_try():
    rollout = a_rollout(flaky(delay=600))
    rollout.fail()
    rollout.wish(people.cancel, "bo")

    assert rollout.state == "cancelled"


def test_a_pause_holds_the_next_try():
    rollout = a_rollout(flaky(delay=30))
    rollout.fail()
    rollout.wish(people.pause, "bo")
    rollout.wait(60)
    assert rollout.busy() == []

    rollout.wish(people.resume, "bo")
    assert rollout.busy() == ["n1"]


def test_only_the_targets_that_failed_are_repeated():
    rollout = a_rollout(flaky(payload={"scope": "each_target"}))
    rollout.fail("n2")
    rollout.finish("n1")

    assert rollout.busy() == ["n2"]


def test_a_person_may_try_once_more_afterwards():
    rollout = a_rollout(flaky(count=1), a_task_request("slow"), strategy=a_strategy(a_step(1)))
    first = next(it for it in rollout.in_flight() if it.task_id == "flaky")
    rollout.report(first, outcome="failed")
    again = next(it for it in rollout.in_flight() if it.task_id == "flaky")
    rollout.report(again, outcome="failed")
    rollout.wish(people_targets.retry_failed, "bo")
    rollout.run()

    assert rollout.state == "success"
