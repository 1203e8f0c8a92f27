"""Blue-green: stage everywhere, switch everywhere, keep the old side for a while, retire it."""

import pytest

from boreas.engine import people
from boreas.engine.waves import is_blue_green
from boreas.testing.builders import (
    a_ground,
    a_health_check,
    a_step,
    a_strategy,
    an_application,
    live_with,
)
from boreas.testing.rollout import Rollout


def a_rollout(*, back=True, grace=0.0, hosts=2, can_stage=True, live=True, check=None, **request):
    web = an_application(hosts=hosts, can_stage=can_stage, health_check=check)
    ground = a_ground(web, live=live_with("v1", web) if live else {})
    strategy = a_strategy(a_step(0, back=back), grace=grace)
    return Rollout(ground, strategy=strategy, **request)


def kinds(rollout) -> set[str]:
    return {it.kind.value for it in rollout.in_flight()}


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (a_strategy(a_step(0)), True),
        (a_strategy(a_step(1), kind="blue_green"), True),
        (a_strategy(kind="blue_green"), True),
        (a_strategy(), False),
        (a_strategy(a_step(1)), False),
        (a_strategy(a_step(0, canary="0.5")), False),
        (a_strategy(a_step("10%")), False),
        (a_strategy(a_step(0), a_step(0)), False),
    ],
)
def test_it_is_asked_for_by_name_or_by_a_single_step_of_zeros(strategy, expected):
    assert is_blue_green(strategy) is expected


def test_first_everything_is_staged_with_the_old_version_live():
    rollout = a_rollout()

    assert kinds(rollout) == {"stage"}
    assert rollout.busy() == ["n1", "n2"]
    assert not any(it.changed for it in rollout.executions())
    assert all(it.uncertain_release_id is None for it in rollout.live.values())


def test_the_staged_copies_are_checked_before_anything_switches():
    rollout = a_rollout()

    assert [it.value for it in rollout.in_flight()[0].verbs] == ["stage", "check_staged"]


def test_nothing_switches_until_every_target_is_staged():
    rollout = a_rollout()

    rollout.finish("n1")
    assert kinds(rollout) == {"stage"}
    rollout.finish("n2")
    assert kinds(rollout) == {"activate"}


def test_all_switch_at_once_and_are_checked():
    rollout = a_rollout()
    rollout.finish()

    assert rollout.busy() == ["n1", "n2"]
    assert [it.value for it in rollout.in_flight()[0].verbs] == ["activate", "check"]
    assert all(it.changed for it in rollout.executions(kind="activate"))


def test_the_old_side_is_kept_for_the_grace_time():
    rollout = a_rollout(grace=300)
    rollout.finish()
    rollout.finish()

    assert rollout.state == "running"
    assert rollout.task("web-deploy").state == "success"
    assert rollout.waits() == [
        "the old side is kept for an instant return until 2030-01-01 12:05:00 UTC"
    ]


def test_after_the_grace_time_it_is_retired():
    rollout = a_rollout(grace=300)
    rollout.finish()
    rollout.finish()

    rollout.wait(299)
    assert rollout.busy() == []
    rollout.wait(1)
    assert kinds(rollout) == {"retire"}
    rollout.finish()
    assert rollout.state == "success"


def test_in_the_grace_time_a_person_can_still_go_back():
    rollout = a_rollout(grace=300)
    rollout.finish()
    rollout.finish()

    rollout.wish(people.rollback, "bo")
    assert kinds(rollout) == {"revert"}
    rollout.finish()

    assert rollout.state == "rolled_back"
    assert rollout.version_on("n1") == "v1"
    assert {it.state for it in rollout.executions(kind="retire")} == {"skipped"}


def test_a_pause_keeps_the_old_side():
    rollout = a_rollout(grace=60)
    rollout.finish()
    rollout.finish()
    rollout.wish(people.pause, "bo")
    rollout.wait(600)
    assert "the old side is kept: paused by bo" in rollout.waits()

    rollout.wish(people.resume, "bo")
    assert kinds(rollout) == {"retire"}


def test_a_failure_to_retire_changes_nothing():
    rollout = a_rollout()
    rollout.finish()
    rollout.finish()

    rollout.fail()

    assert rollout.state == "success"


def test_a_failure_before_the_switch_leaves_the_old_version_untouched():
    rollout = a_rollout()

    rollout.fail("n1")
    rollout.finish("n2")

    assert rollout.state == "failed"
    assert rollout.executions(kind="revert") == []
    assert rollout.version_on("n1") == rollout.version_on("n2") == "v1"
    assert {it.state for it in rollout.executions(kind="activate")} == {"skipped"}


def test_a_failure_after_the_switch_takes_every_target_back_at_once():
    rollout = a_rollout()
    rollout.finish()
    rollout.fail("n1")
    rollout.finish("n2")

    assert kinds(rollout) == {"revert"}
    assert rollout.busy() == ["n1", "n2"]
    rollout.finish()
    assert rollout.state == "rolled_back"


def test_without_going_back_a_failure_after_the_switch_leaves_it():
    rollout = a_rollout(back=False)
    rollout.finish()
    rollout.fail("n1")
    rollout.finish("n2")

    assert rollout.state == "failed"


def test_what_cannot_be_staged_is_switched_all_at_once():
    rollout = a_rollout(can_stage=False)

    assert kinds(rollout) == {"deploy"}
    assert rollout.busy() == ["n1", "n2"]
    assert not rollout.task("web-deploy").blue_green


def test_two_applications_in_order_switch_one_after_the_other():
    web, api = an_application("web", hosts=1), an_application("api", hosts=1)
    ground = a_ground(web, api, live=live_with("v1", web, api))
    rollout = Rollout(ground, strategy=a_strategy(a_step(0)), must_in_order=("web", "api"))
    rollout.finish()
    rollout.finish()

    assert {it.application_id for it in rollout.in_flight()} == {"api"}
    assert {it.state for it in rollout.executions("web-deploy", kind="retire")} == {"pending"}


def test_nothing_is_retired_while_a_later_task_may_still_take_everything_back():
    check = a_health_check()
    rollout = a_rollout(check=check)
    rollout.finish()
    rollout.finish()
    assert kinds(rollout) == {"check"}

    rollout.fail("n1")
    rollout.finish()
    rollout.run()

    assert rollout.state == "rolled_back"
    assert {it.state for it in rollout.executions(kind="retire")} == {"skipped"}


def test_an_offline_agent_does_not_keep_the_retiring_waiting_for_ever():
    rollout = a_rollout()
    rollout.finish()
    rollout.finish("n1")
    rollout.finish("n2")
    rollout.agent("n1", online=False)
    rollout.finish("n2")

    rollout.wait(2 * 3600)

    assert rollout.state == "success"
