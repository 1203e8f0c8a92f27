"""`continue_on`: what goes on behind a failure, and what the deployment comes to then."""

import pytest

from boreas.domain.workflow import Bad, Stage
from boreas.engine import people_targets
from boreas.testing.builders import (
    a_ground,
    a_step,
    a_strategy,
    a_task_request,
    an_application,
    live_with,
)
from boreas.testing.rollout import Rollout

ON_FAILURE = (Bad.FAILURE,)
ON_BOTH = (Bad.FAILURE, Bad.CANCELLED)


def a_rollout(*tasks, back=True, **request):
    web = an_application(hosts=2)
    ground = a_ground(web, live=live_with("v1", web))
    return Rollout(ground, tasks=tasks, strategy=a_strategy(a_step(1, back=back)), **request)


def test_a_task_that_says_so_goes_on_although_the_one_before_failed():
    rollout = a_rollout(
        a_task_request("lint"), a_task_request("build", after=["lint"], continue_on=ON_FAILURE)
    )
    rollout.fail()

    assert rollout.task("lint").state == "failed"
    assert [it.task_id for it in rollout.in_flight()] == ["build"]


def test_the_deployment_succeeds_and_says_what_was_passed_over():
    rollout = a_rollout(
        a_task_request("lint"), a_task_request("build", after=["lint"], continue_on=ON_FAILURE)
    )
    rollout.fail()
    rollout.run()

    assert rollout.state == "success"
    assert rollout.deployment.error_message == (
        "lint failed on n1: exit code 1 and was passed over"
    )


def test_without_it_a_failure_stops_everything():
    rollout = a_rollout(a_task_request("lint"), a_task_request("build", after=["lint"]))
    rollout.fail()

    assert rollout.state == "failed"
    assert rollout.task("build").state == "cancelled"


def test_what_does_not_say_so_is_not_started_and_the_deployment_fails_at_its_end():
    rollout = a_rollout(
        a_task_request("docs"),
        a_task_request("publish", after=["docs"]),
        a_task_request("tidy", after=["docs"], continue_on=ON_FAILURE),
    )
    rollout.fail()
    assert rollout.task("publish").reason == "not started: docs failed"
    assert [it.task_id for it in rollout.in_flight()] == ["tidy"]
    rollout.run()

    assert rollout.state == "failed"
    assert rollout.deployment.error_message == (
        "docs failed on n1: exit code 1; not started: publish"
    )


def test_a_task_may_go_on_behind_one_that_was_not_started():
    rollout = a_rollout(
        a_task_request("a"),
        a_task_request("b", after=["a"]),
        a_task_request("always", after=["a", "b"], continue_on=ON_BOTH),
    )
    rollout.fail()

    assert [it.task_id for it in rollout.in_flight()] == ["always"]


def test_going_on_after_a_failure_alone_does_not_mean_after_what_was_not_started():
    rollout = a_rollout(
        a_task_request("a"),
        a_task_request("b", after=["a"]),
        a_task_request("c", after=["a", "b"], continue_on=ON_FAILURE),
    )
    rollout.fail()

    assert rollout.state == "failed"
    assert rollout.task("c").state == "cancelled"


@pytest.mark.parametrize("type_", ["deploy", "health_check"])
def test_a_failure_of_the_fleet_is_never_passed_over(type_):
    rollout = a_rollout(
        a_task_request("fleet", type_, app="web"),
        a_task_request("tell", after=["fleet"], continue_on=ON_BOTH),
    )
    rollout.fail()
    rollout.run()

    assert rollout.state in ("failed", "rolled_back")
    assert rollout.task("tell").state == "cancelled"


def test_the_other_orders_of_the_failed_task_finish_first():
    rollout = a_rollout(
        a_task_request("lint", payload={"scope": "each_target"}),
        a_task_request("build", after=["lint"], continue_on=ON_FAILURE),
    )
    rollout.fail("n1")
    assert rollout.busy() == ["n2"]
    rollout.finish("n2")

    assert rollout.task("lint").state == "failed"
    assert [it.task_id for it in rollout.in_flight()] == ["build"]


def test_a_whole_stage_may_go_on():
    rollout = a_rollout(
        a_task_request("lint", stage=0),
        a_task_request("unit", stage=0),
        a_task_request("build", stage=1, continue_on=ON_FAILURE),
        a_task_request("pack", stage=1, continue_on=ON_FAILURE),
        stages=(Stage(name="Check"), Stage(name="Build")),
    )
    lint, unit = rollout.in_flight()
    rollout.report(lint, outcome="failed")
    rollout.report(unit, outcome="success")
    rollout.run()

    assert rollout.state == "success"
    assert rollout.task("lint").state == "failed"


def test_what_a_stage_says_counts_for_earlier_stages_and_not_inside_it():
    stages = (Stage(name="Check"), Stage(name="Deploy", continue_on=ON_FAILURE))
    rollout = a_rollout(
        a_task_request("lint", stage=0),
        a_task_request("migrate", stage=1),
        a_task_request("deploy", "deploy", app="web", stage=1, after=["migrate"]),
        stages=stages,
    )
    rollout.fail()
    assert [it.task_id for it in rollout.in_flight()] == ["migrate"]
    rollout.fail()

    assert rollout.state == "failed"
    assert rollout.task("deploy").state == "cancelled"
    assert rollout.version_on("n1") == "v1"


def test_what_was_not_done_takes_the_fleet_back_where_the_strategy_says_so():
    rollout = a_rollout(
        a_task_request("deploy", "deploy", app="web"),
        a_task_request("docs", after=["deploy"]),
        a_task_request("publish", after=["docs"]),
        a_task_request("tidy", after=["docs"], continue_on=ON_FAILURE),
    )
    rollout.run(
        lambda it: {"outcome": "failed"} if it.task_id == "docs" else {"outcome": "success"}
    )

    assert rollout.state == "rolled_back"
    assert {rollout.version_on("n1"), rollout.version_on("n2")} == {"v1"}


def test_a_retry_in_place_gives_what_was_not_started_its_chance():
    rollout = a_rollout(
        a_task_request("docs"),
        a_task_request("publish", after=["docs"]),
        a_task_request("tidy", after=["docs"], continue_on=ON_FAILURE),
    )
    rollout.fail()
    rollout.wish(people_targets.retry_failed, "bo", task_id="docs")
    rollout.run()

    assert rollout.state == "success"
    assert rollout.states("publish")[-1] == "success"
