"""The next batch starts when the one before is healthy and its interval has passed."""

from datetime import timedelta

import pytest

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


def a_rollout(*steps, hosts=4, **request):
    web = an_application(hosts=hosts)
    ground = a_ground(web, live=live_with("v1", web))
    return Rollout(ground, strategy=a_strategy(*(steps or (a_step(1),))), **request)


def test_only_the_first_batch_is_sent_at_first():
    assert a_rollout(a_step(2)).busy() == ["n1", "n2"]


def test_the_next_batch_waits_for_every_target_of_this_one():
    rollout = a_rollout(a_step(2))

    rollout.finish("n1")

    assert rollout.busy() == ["n2"]


def test_the_next_batch_starts_when_all_are_healthy():
    rollout = a_rollout(a_step(2))

    rollout.finish("n1", "n2")

    assert rollout.busy() == ["n3", "n4"]


def test_a_running_target_is_not_yet_a_healthy_one():
    rollout = a_rollout(a_step(1))

    rollout.report(rollout.in_flight()[0], "started")
    rollout.check_begins()

    assert rollout.busy() == ["n1"]
    assert rollout.states()[0] == "running"


def test_the_interval_is_counted_from_the_moment_the_batch_was_healthy():
    rollout = a_rollout(a_step(1, interval=60))
    rollout.wait(30)
    rollout.finish("n1")

    rollout.wait(59)
    assert rollout.busy() == []
    rollout.wait(1)
    assert rollout.busy() == ["n2"]


def test_the_wait_between_batches_says_until_when():
    rollout = a_rollout(a_step(1, interval=60))

    rollout.finish("n1")

    assert rollout.waits()[0] == ("Deploy web: batch 2 starts at 12:01:00 UTC, 60 s after batch 1")
    assert rollout.last.wake_at == NOON + timedelta(seconds=60)


def test_there_is_no_wait_after_the_very_last_batch():
    rollout = a_rollout(a_step(2, interval=60), hosts=2)

    rollout.finish()

    assert rollout.state == "success"


def test_the_interval_of_a_step_also_stands_before_the_next_step():
    rollout = a_rollout(a_step(1, canary="0.1", interval=60), a_step(0))
    rollout.finish()

    assert rollout.busy() == []
    rollout.wait(60)
    assert rollout.busy() == ["n2", "n3", "n4"]


def test_the_interval_of_the_next_step_does_not_stand_before_it():
    rollout = a_rollout(a_step(1, canary="0.1"), a_step(2, interval=60))

    rollout.finish()

    assert rollout.busy() == ["n2", "n3"]


def test_the_last_healthy_target_counts_for_the_interval():
    rollout = a_rollout(a_step(2, interval=60))
    rollout.finish("n1")
    rollout.wait(50)
    rollout.finish("n2")

    rollout.wait(59)
    assert rollout.busy() == []
    rollout.wait(1)
    assert rollout.busy() == ["n3", "n4"]


def test_all_at_once_needs_one_batch():
    rollout = a_rollout(a_step(0), a_step(0))

    assert len(rollout.busy()) == 4


@pytest.mark.parametrize("batch", [1, 2, 3, 4])
def test_never_more_targets_are_under_way_than_a_batch_holds(batch):
    seen = []
    rollout = a_rollout(a_step(batch), a_step(0))
    while rollout.state == "running":
        seen.append(len(rollout.busy()))
        rollout.finish(rollout.busy()[0])

    assert max(seen) == batch
    assert rollout.state == "success"


def test_every_target_is_ordered_exactly_once():
    rollout = a_rollout(a_step(1))

    rollout.run()

    assert rollout.sent == ["d1.1#1", "d1.2#1", "d1.3#1", "d1.4#1"]


def test_a_pause_keeps_the_next_batch_from_starting():
    rollout = a_rollout(a_step(1))
    rollout.wish(people.pause, "bo")
    rollout.finish()

    assert rollout.busy() == []
    assert "paused by bo" in rollout.waits()[0]
    rollout.wish(people.resume, "bo")
    assert rollout.busy() == ["n2"]


def test_what_is_live_is_known_after_each_target():
    rollout = a_rollout(a_step(1), hosts=2)

    rollout.finish("n1")

    assert rollout.version_on("n1") == "v2"
    assert rollout.version_on("n2") == "v1"


def test_a_target_under_way_is_uncertain():
    rollout = a_rollout(a_step(1), hosts=2)

    assert rollout.live["web", "t1"].uncertain_release_id == "web@v2"
    assert rollout.live["web", "t1"].release_id == "web@v1"
    assert rollout.live["web", "t2"].uncertain_release_id is None


def test_the_version_before_is_frozen_when_the_order_is_sent():
    rollout = a_rollout(a_step(1), hosts=2)

    first, second = rollout.executions()
    assert (first.changed, first.previous_release_id) == (True, "web@v1")
    assert (second.changed, second.previous_release_id) == (False, None)


def test_two_applications_deploy_side_by_side():
    web, api = an_application("web", hosts=1), an_application("api", hosts=1)
    rollout = Rollout(a_ground(web, api))

    assert {it.application_id for it in rollout.in_flight()} == {"web", "api"}


def test_in_order_the_second_application_waits_for_the_first():
    web, api = an_application("web", hosts=1), an_application("api", hosts=1)
    rollout = Rollout(a_ground(web, api), must_in_order=("web", "api"))

    assert {it.application_id for it in rollout.in_flight()} == {"web"}
    rollout.finish()
    assert {it.application_id for it in rollout.in_flight()} == {"api"}


def test_a_health_check_task_asks_every_target_at_once():
    web = an_application(hosts=3)
    tasks = (
        a_task_request("deploy", "deploy", app="web"),
        a_task_request("check", "health_check", app="web"),
    )
    rollout = Rollout(a_ground(web, live=live_with("v1", web)), tasks=tasks)
    for _ in range(3):
        rollout.finish()

    assert rollout.busy() == ["n1", "n2", "n3"]
    assert {it.kind for it in rollout.in_flight()} == {"check"}
    assert not any(it.changed for it in rollout.in_flight())


def test_a_deployment_without_work_to_do_succeeds_at_once():
    web = an_application(can_stage=False)
    tasks = (a_task_request("prepare", "prepare", app="web"),)
    rollout = Rollout(a_ground(web), tasks=tasks)

    assert rollout.state == "success"
    assert rollout.task("prepare").reason == (
        "nothing to prepare: web cannot be staged beside itself"
    )


def test_the_task_is_pending_until_its_first_order_and_running_after_it():
    rollout = a_rollout(a_step(1), started=False)
    assert rollout.task("web-deploy").state == "blocked"

    rollout.wish(people.start, "al")

    assert rollout.task("web-deploy").state == "running"
    assert rollout.task("web-deploy").started_at == NOON
