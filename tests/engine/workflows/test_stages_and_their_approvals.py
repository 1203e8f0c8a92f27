"""Stages: each begins when the one before is over, and agreed to where it asks."""

import pytest

from boreas.domain.errors import InvalidInput
from boreas.domain.workflow import Stage
from boreas.engine import people
from boreas.engine.edit import update_task
from boreas.engine.explain import blocked_words
from boreas.engine.successor import NewDeployment, retry_of
from boreas.testing.builders import a_ground, a_step, a_strategy, a_task_request, an_application
from boreas.testing.rollout import Rollout

TWO = (Stage(name="Build"), Stage(name="Deploy", approval=True))


def a_rollout(*tasks, stages=TWO, **request):
    ground = a_ground(an_application(hosts=2))
    return Rollout(
        ground,
        tasks=tasks,
        stages=stages,
        strategy=a_strategy(a_step(0, max_failures=0)),
        **request,
    )


def two_stages(**request):
    return a_rollout(
        a_task_request("a", stage=0),
        a_task_request("b", stage=0),
        a_task_request("c", stage=1),
        a_task_request("d", stage=1),
        **request,
    )


def test_tasks_of_one_stage_run_side_by_side():
    rollout = two_stages()

    assert {it.task_id for it in rollout.in_flight()} == {"a", "b"}


def test_the_next_stage_waits_for_all_of_the_one_before():
    rollout = two_stages(stages=(Stage(name="1"), Stage(name="2")))
    rollout.report(rollout.in_flight()[0], outcome="success")

    assert [it.task_id for it in rollout.in_flight()] == ["b"]


def test_a_stage_with_approval_asks_once_when_everything_before_is_over():
    rollout = two_stages()
    rollout.finish()

    assert rollout.state == "waiting_confirm"
    assert [it.id for it in rollout.deployment.gates] == ["stage:2"]
    assert [it for it in rollout.waits() if "stage Deploy" in it] == [
        "waits for approval before stage Deploy, until 2030-01-02 12:00:00 UTC"
    ]
    assert blocked_words(rollout.deployment)["c"] == "waits for the approval of stage Deploy"


def test_it_goes_on_saying_so_while_nobody_answers():
    rollout = two_stages()
    rollout.finish()
    rollout.wait(3600)

    assert "approval" in rollout.codes()


def test_a_confirmed_stage_begins():
    rollout = two_stages()
    rollout.finish()
    rollout.wish(people.confirm, "bo")

    assert {it.task_id for it in rollout.in_flight()} == {"c", "d"}


def test_a_refused_stage_is_not_started():
    rollout = two_stages()
    rollout.finish()
    rollout.wish(people.reject, "bo", comment="not on a Friday")

    assert rollout.state == "cancelled"
    assert "approval before stage Deploy was refused by bo" in rollout.deployment.error_message


def test_a_test_may_follow_the_deployment_in_a_later_stage():
    rollout = a_rollout(
        a_task_request("deploy", "deploy", app="web", stage=0),
        a_task_request("smoke", "test", app="web", stage=1),
        stages=(Stage(name="1"), Stage(name="2")),
    )
    rollout.run()

    assert rollout.state == "success"


def test_a_stage_that_is_not_there_is_refused():
    with pytest.raises(InvalidInput, match="there is no stage 3"):
        a_rollout(a_task_request("a", stage=2))


def test_an_edited_stage_is_agreed_to_again():
    rollout = two_stages()
    rollout.finish()
    rollout.wish(
        update_task,
        a_task_request("c", stage=1, command="something else"),
        "bo",
        ground=rollout.ground,
        expected=1,
    )
    rollout.wish(people.confirm, "bo")

    assert {it.task_id for it in rollout.in_flight()} == {"c", "d"}


def test_a_retry_of_the_finished_deployment_keeps_stages_and_what_was_agreed_to():
    rollout = two_stages()
    rollout.finish()
    rollout.wish(people.confirm, "bo")
    rollout.report(rollout.in_flight()[0], outcome="success")
    rollout.fail()
    assert rollout.state == "failed"

    new = NewDeployment(
        id="d2", number=2, by="bo", now=rollout.now, live=rollout.live, target_names={}
    )
    again = Rollout(rollout.ground, deployment=retry_of(rollout.deployment, new))

    assert [it.task_id for it in again.in_flight()] == ["d"]
    assert again.deployment.stages == TWO


def test_thousands_of_tasks_in_stages_cost_no_thousands_of_edges():
    from boreas.engine.graph import graph_of

    tasks = [a_task_request(f"t{n}", stage=n // 2500) for n in range(5000)]
    graph = graph_of(tasks)

    assert sum(map(len, graph.predecessors.values())) < 10_000
