"""An offline agent's target waits with that reason until the timeout; never handed over blindly."""

from dataclasses import replace

import pytest

from boreas.engine import people
from boreas.testing.builders import (
    a_ground,
    a_step,
    a_strategy,
    a_task_request,
    agents_of,
    an_application,
    live_with,
)
from boreas.testing.rollout import Rollout


def a_rollout(*steps, hosts=3, away=(), **request):
    web = an_application(hosts=hosts)
    ground = a_ground(web, live=live_with("v1", web))
    rollout = Rollout(
        ground,
        strategy=a_strategy(*(steps or (a_step(1),))),
        started=False,
        **request,
    )
    for name in away:
        rollout.agent(name, online=False)
    start(rollout)
    return rollout


def start(rollout):
    rollout.wish(people.start, "al")


def test_nothing_is_sent_to_an_agent_that_is_away():
    rollout = a_rollout(away=["n1"])

    assert rollout.sent == []
    assert rollout.states()[0] == "pending"


def test_the_wait_names_target_and_agent():
    rollout = a_rollout(away=["n1"])

    assert rollout.waits() == ["n1 waits for its agent node-n1, which is offline"]
    assert rollout.executions()[0].reason == "agent node-n1 is offline"
    assert rollout.task("web-deploy").state == "pending"
    assert rollout.task("web-deploy").reason == "waits for the agents of n1"


def test_when_it_comes_back_its_target_starts():
    rollout = a_rollout(away=["n1"])
    rollout.wait(600)

    rollout.agent("n1", online=True)

    assert rollout.busy() == ["n1"]
    assert rollout.executions()[0].reason is None
    assert rollout.task("web-deploy").state == "running"


def test_other_targets_of_the_batch_go_on():
    rollout = a_rollout(a_step(2), away=["n1"])

    assert rollout.busy() == ["n2"]


def test_the_next_batch_waits_for_the_absent_one():
    rollout = a_rollout(a_step(2), away=["n1"])

    rollout.finish("n2")

    assert rollout.busy() == []
    assert rollout.state == "running"


def test_after_the_timeout_it_has_failed():
    tasks = (a_task_request("d", "deploy", app="web", timeout_seconds=100),)
    rollout = a_rollout(away=["n1"], tasks=tasks)

    rollout.wait(99)
    assert rollout.state == "running"
    rollout.wait(1)

    assert rollout.executions()[0].reason == "agent node-n1 offline for 100 s"
    assert rollout.state == "failed"


def test_without_a_timeout_of_its_own_a_task_waits_an_hour():
    rollout = a_rollout(away=["n1"])

    rollout.wait(3599)
    assert rollout.state == "running"
    rollout.wait(1)
    assert rollout.state == "failed"


def test_the_wait_begins_when_its_turn_has_come():
    tasks = (a_task_request("d", "deploy", app="web", timeout_seconds=100),)
    rollout = a_rollout(away=["n2"], tasks=tasks)
    rollout.wait(50)
    rollout.finish("n1")

    rollout.wait(99)
    assert rollout.state == "running"
    rollout.wait(1)
    assert rollout.state == "failed"


def test_an_absent_target_that_was_never_touched_does_not_go_back():
    tasks = (a_task_request("d", "deploy", app="web", timeout_seconds=100),)
    rollout = a_rollout(a_step(1, back=True), away=["n2"], tasks=tasks)
    rollout.finish("n1")
    rollout.wait(100)
    rollout.run()

    assert rollout.state == "rolled_back"
    assert [it.target_id for it in rollout.executions(kind="revert")] == ["t1"]


def test_an_agent_that_goes_away_under_way_is_waited_for():
    rollout = a_rollout()

    rollout.agent("n1", online=False)
    rollout.wait(3000)

    assert rollout.busy() == ["n1"]


def test_its_result_counts_when_it_comes_back():
    rollout = a_rollout()
    rollout.agent("n1", online=False)
    rollout.wait(3000)
    rollout.agent("n1", online=True)

    rollout.finish("n1")

    assert rollout.busy() == ["n2"]


def test_if_it_never_comes_back_its_order_is_lost():
    tasks = (a_task_request("d", "deploy", app="web", timeout_seconds=100),)
    rollout = a_rollout(tasks=tasks)
    rollout.agent("n1", online=False)

    rollout.wait(159)
    assert rollout.states()[0] == "ordered"
    rollout.wait(1)
    assert rollout.states()[0] == "lost"
    assert rollout.executions()[0].reason == (
        "lost: agent node-n1 went away and did not come back in 100 s"
    )


def test_a_lost_target_may_be_changed_and_goes_back():
    tasks = (a_task_request("d", "deploy", app="web", timeout_seconds=100),)
    rollout = a_rollout(a_step(1, back=True), tasks=tasks)
    rollout.agent("n1", online=False)
    rollout.wait(160)
    assert rollout.waits()[0].startswith("n1 waits for its agent")

    rollout.agent("n1", online=True)
    rollout.finish("n1")

    assert rollout.state == "rolled_back"


def test_a_way_back_to_an_absent_agent_waits_and_then_fails():
    tasks = (a_task_request("d", "deploy", app="web", timeout_seconds=100),)
    rollout = a_rollout(a_step(1, back=True), tasks=tasks)
    rollout.agent("n1", online=False)
    rollout.wait(160 + 100)

    assert rollout.state == "failed"
    assert "going back failed on n1: agent node-n1 offline" in rollout.deployment.error_message


def test_a_revoked_agent_is_not_waited_for():
    rollout = a_rollout(away=["n1"])

    rollout.agent("n1", revoked=True)

    assert rollout.executions()[0].reason == "not started: agent node-n1 was revoked"
    assert rollout.state == "failed"


def test_an_order_at_a_revoked_agent_is_lost_at_once():
    rollout = a_rollout()

    rollout.agent("n1", revoked=True)

    assert rollout.states()[0] == "lost"
    assert rollout.state == "failed"


def test_an_agent_that_no_longer_exists_is_not_waited_for():
    web = an_application(hosts=1)
    ground = a_ground(web)
    rollout = Rollout(ground, started=False)
    agents = agents_of(ground)
    agents.clear()
    rollout.snapshot = replace(rollout.snapshot, agents=agents)
    start(rollout)

    assert rollout.state == "failed"
    assert rollout.executions()[0].reason == "not started: agent a1 no longer exists"


@pytest.mark.parametrize("tolerance", [1, "50%"])
def test_absent_targets_count_as_failures_and_may_be_tolerated(tolerance):
    tasks = (a_task_request("d", "deploy", app="web", timeout_seconds=100),)
    rollout = a_rollout(a_step(3, max_failures=tolerance), away=["n1"], tasks=tasks)
    rollout.finish()
    rollout.wait(100)

    assert rollout.state == "success"


def test_a_custom_task_waits_for_its_agent_too():
    rollout = a_rollout(away=["n1"], tasks=(a_task_request("a"),))

    assert rollout.task("a").state == "pending"
    assert rollout.codes() == {"agent_offline"}


@pytest.mark.parametrize("seconds", [5, 60, 3000])
def test_a_canary_holds_through_a_partition_and_goes_on_where_it_was(seconds):
    """The link of the canary is cut: nobody else is touched, nothing is decided about it."""
    rollout = a_rollout(a_step(canary="1/3"), a_step(2))
    assert rollout.busy() == ["n1"]

    rollout.agent("n1", online=False)
    rollout.wait(seconds)

    assert rollout.busy() == ["n1"]
    assert {it.target_id for it in rollout.executions() if it.ordered_at} == {"t1"}
    rollout.agent("n1", online=True)
    rollout.finish("n1")
    assert rollout.busy() == ["n2", "n3"]


def test_a_canary_that_stays_cut_off_for_an_hour_is_lost_and_the_rest_untouched():
    rollout = a_rollout(a_step(canary="1/3", back=True), a_step(2))

    rollout.agent("n1", online=False)
    rollout.wait(2 * 3600)

    assert rollout.states()[0] == "lost"
    assert {it.target_id for it in rollout.executions() if it.ordered_at} == {"t1"}


def test_a_result_that_comes_after_the_order_was_given_up_changes_nothing():
    tasks = (a_task_request("d", "deploy", app="web", timeout_seconds=100),)
    rollout = a_rollout(tasks=tasks)
    rollout.agent("n1", online=False)
    rollout.wait(200)
    given_up = rollout.states()

    rollout.agent("n1", online=True)
    rollout.finish("n1")

    assert rollout.states()[0] == given_up[0] == "lost"
