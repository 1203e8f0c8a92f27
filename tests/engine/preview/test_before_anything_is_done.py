"""dryRun: batches by name, what changes, approvals, agents away; and the warnings of a plan."""

from dataclasses import replace
from datetime import datetime

import pytest

from boreas.domain.deployments import ApprovalPolicy
from boreas.domain.ids import AgentId
from boreas.engine.plan_lint import lint
from boreas.engine.preview import plan_preview
from boreas.testing.builders import (
    a_deployment,
    a_ground,
    a_health_check,
    a_step,
    a_strategy,
    a_task_request,
    agents_of,
    an_application,
    live_with,
)

WEB = an_application("web", hosts=3)


def preview(ground=None, *, away=(), **request):
    ground = ground or a_ground(WEB, live=live_with("v1", WEB))
    agents = agents_of(ground)
    for name in away:
        agents[AgentId(name)] = replace(agents[AgentId(name)], online=False)
    return plan_preview(a_deployment(ground, **request), ground, agents)


def codes(ground=None, **request) -> set[str]:
    ground = ground or a_ground(WEB, live=live_with("v1", WEB))
    return {it.code for it in lint(a_deployment(ground, **request), ground)}


# --- the plan ----------------------------------------------------------------------------------


def test_batches_are_shown_by_name():
    (task,) = preview(strategy=a_strategy(a_step(2))).tasks

    assert [(it.batch, it.targets) for it in task.rounds] == [(1, ("n1", "n2")), (2, ("n3",))]


def test_tasks_come_in_an_order_in_which_they_could_run():
    tasks = (a_task_request("b", after=["a"]), a_task_request("a"))

    assert [it.id for it in preview(tasks=tasks).tasks] == ["a", "b"]
    assert preview(tasks=tasks).tasks[1].waits_for == ("a",)


def test_blue_green_shows_its_three_rounds():
    (task,) = preview(strategy=a_strategy(a_step(0))).tasks

    assert [it.kind for it in task.rounds] == ["stage", "activate", "retire"]


def test_each_target_says_what_is_replaced():
    changes = preview().changes

    assert [(it.target, it.before, it.after) for it in changes] == [
        (name, "web@v1", "web@v2") for name in ("n1", "n2", "n3")
    ]


def test_a_new_target_has_nothing_before():
    assert {it.before for it in preview(a_ground(WEB)).changes} == {None}


def test_a_mixed_target_says_so():
    live = live_with("v1", WEB)
    live["web", "t2"] = replace(live["web", "t2"], uncertain_release_id="web@x")

    assert [it.mixed for it in preview(a_ground(WEB, live=live)).changes] == [False, True, False]


def test_an_application_without_a_deploy_task_is_not_changed():
    assert preview(tasks=(a_task_request("t"),)).changes == ()


def test_every_approval_is_announced():
    tasks = (
        a_task_request("d", "deploy", app="web", name="Deploy"),
        a_task_request("t", after=["d"], name="Tell", require_confirm=True),
    )
    steps = (a_step(1, canary="0.1", approval=True), a_step(0))

    assert preview(tasks=tasks, strategy=a_strategy(*steps), manual_approval=True).approvals == (
        "before the first task",
        "after step 1 of Deploy",
        "before Tell",
    )


def test_an_approval_that_is_already_answered_is_not_expected():
    steps = (a_step(1, canary="0.1", approval=True, answer=True), a_step(0))

    assert preview(strategy=a_strategy(*steps)).approvals == ()


def test_targets_whose_agents_are_away_are_named():
    assert preview(away=["a2"]).offline == ("n2",)


def test_nothing_is_done():
    ground = a_ground(WEB)
    deployment = a_deployment(ground)
    plan_preview(deployment, ground, agents_of(ground))

    assert deployment == a_deployment(ground)
    assert isinstance(deployment.created_at, datetime)


# --- warnings ----------------------------------------------------------------------------------


def test_a_careful_plan_has_no_warnings():
    web = an_application("web", hosts=3, health_check=a_health_check())
    ground = a_ground(web, live=live_with("v1", web))

    assert codes(ground, strategy=a_strategy(a_step(1, back=True))) == set()


def test_downtime_is_said_before():
    why = "it binds host port 80 and has no proxy"
    web = an_application("web", can_stage=False, cannot_stage_because=why)
    ground = a_ground(web, live=live_with("v1", web))

    texts = [it.text for it in preview(ground).warnings]
    assert f"this will cause downtime of web on each target: {why}" in texts


def test_what_is_not_known_to_interrupt_is_not_called_downtime():
    web = an_application("web", can_stage=False)
    web = replace(web, release=replace(web.release, interrupts=False))

    assert "downtime" not in codes(a_ground(web, live=live_with("v1", web)))


def test_blue_green_that_cannot_be_is_said_before():
    web = an_application("web", can_stage=False)
    ground = a_ground(web, live=live_with("v1", web))

    assert {"not_blue_green", "downtime"} <= codes(ground, strategy=a_strategy(a_step(0)))


def test_a_first_deployment_is_announced_and_has_no_downtime():
    web = an_application("web", can_stage=False)

    found = codes(a_ground(web))
    assert "first_deployment" in found
    assert "downtime" not in found


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ((a_step(0, canary="0.5", back=True), a_step(0, canary="0.1")), "empty_step"),
        ((a_step(9, back=True),), "batch_too_big"),
        ((a_step(1, canary="0.1"), a_step(0)), "canary_without_rollback"),
        ((a_step(1, max_failures=3),), "tolerates_all"),
        ((a_step(1, canary="0.4", back=True),), "implicit_step"),
        ((), "no_strategy"),
        ((a_step(1, approval=True, answer=False),), "refused_in_advance"),
        ((a_step(1, back=True),), "no_health_check"),
    ],
)
def test_a_strategy_worth_a_second_look(steps, code):
    assert code in codes(strategy=a_strategy(*steps))


@pytest.mark.parametrize(
    ("check", "code"),
    [
        ({"min_healthy_seconds": 300, "healthy_deadline": 300}, "never_healthy"),
        ({"healthy_deadline": 600, "progress_deadline": 600}, "progress_first"),
    ],
)
def test_deadlines_that_clash(check, code):
    web = an_application("web", health_check=a_health_check(**check))

    assert code in codes(a_ground(web))


def test_without_a_progress_deadline_nothing_fires_first():
    check = a_health_check(healthy_deadline=600, progress_deadline=0)

    assert "progress_first" not in codes(a_ground(an_application(health_check=check)))


def test_a_timeout_shorter_than_the_health_window():
    web = an_application("web", health_check=a_health_check(min_healthy_seconds=60))
    task = a_task_request("d", "deploy", app="web", timeout_seconds=30)

    assert "timeout_too_short" in codes(a_ground(web), tasks=(task,))


def test_an_application_that_no_task_deploys():
    assert "never_deployed" in codes(tasks=(a_task_request("t"),))


def test_a_custom_task_without_edges():
    tasks = (a_task_request("d", "deploy", app="web"), a_task_request("t"))

    assert "loose_task" in codes(tasks=tasks)


def test_several_approvers_are_announced():
    policy = ApprovalPolicy(required=2)

    assert "many_approvers" in codes(manual_approval=True, approval_policy=policy)
    assert "many_approvers" not in codes(approval_policy=policy)
