"""From a request to every task, batch and execution, visible from the first second."""

from dataclasses import replace

import pytest

from boreas.domain.errors import InvalidInput
from boreas.engine.plan import default_tasks
from boreas.testing.builders import (
    NOON,
    a_deployment,
    a_ground,
    a_health_check,
    a_step,
    a_strategy,
    a_target,
    a_task_request,
    an_application,
    live_with,
    targets,
)


def rows(deployment, task_id):
    return [it for it in deployment.executions if it.task_id == task_id]


def refusal(**request) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        a_deployment(**request)
    return caught.value


# --- the default list --------------------------------------------------------------------------


def test_by_default_each_application_is_deployed():
    ground = a_ground(an_application("web"), an_application("api"))

    assert [it.id for it in default_tasks(ground)] == ["web-deploy", "api-deploy"]


def test_an_application_with_a_health_check_is_checked():
    ground = a_ground(an_application("web", health_check=a_health_check()))

    assert [it.id for it in default_tasks(ground)] == ["web-deploy", "web-health-check"]


def test_a_given_list_is_taken_as_it_is():
    deployment = a_deployment(tasks=(a_task_request("only"),))

    assert [it.id for it in deployment.tasks] == ["only"]


# --- deploy ------------------------------------------------------------------------------------


def test_a_deployment_begins_as_pending_with_every_row():
    deployment = a_deployment(hosts=3)

    assert deployment.state == "pending"
    assert [it.id for it in deployment.executions] == ["d1.1", "d1.2", "d1.3"]
    assert {it.state for it in deployment.executions} == {"pending"}
    assert {it.state for it in deployment.tasks} == {"blocked"}


def test_each_row_knows_its_batch_release_and_agent():
    deployment = a_deployment(hosts=3, strategy=a_strategy(a_step(2)))

    assert [it.batch for it in deployment.executions] == [1, 1, 2]
    assert {it.release_id for it in deployment.executions} == {"web@v2"}
    assert [it.agent_id for it in deployment.executions] == ["a1", "a2", "a3"]


def test_targets_keep_their_stored_order():
    hosts = tuple(reversed(targets(3)))
    deployment = a_deployment(a_ground(an_application(hosts=hosts)))

    assert [it.target_id for it in deployment.executions] == ["t3", "t2", "t1"]


def test_blue_green_has_rows_to_stage_activate_and_retire():
    deployment = a_deployment(hosts=2, strategy=a_strategy(a_step(0)))

    assert [it.kind for it in deployment.executions] == [
        "stage",
        "stage",
        "activate",
        "activate",
        "retire",
        "retire",
    ]
    assert deployment.tasks[0].blue_green


def test_without_staging_blue_green_is_all_at_once():
    ground = a_ground(an_application(can_stage=False))
    deployment = a_deployment(ground, strategy=a_strategy(a_step(0)))

    assert {it.kind for it in deployment.executions} == {"deploy"}
    assert len(deployment.tasks[0].batches) == 1


def test_a_first_deployment_is_marked():
    web = an_application()

    assert a_deployment(a_ground(web)).tasks[0].first_deployment
    live = live_with("v1", web)
    assert not a_deployment(a_ground(web, live=live)).tasks[0].first_deployment


def test_one_live_target_is_enough_to_be_no_first_deployment():
    web = an_application(hosts=2)
    live = live_with("v1", web)
    del live["web", "t1"]

    assert not a_deployment(a_ground(web, live=live)).tasks[0].first_deployment


def test_a_target_where_everything_failed_so_far_is_still_new():
    web = an_application(hosts=1)
    live = live_with("v1", web)
    record = live["web", "t1"]
    live["web", "t1"] = replace(record, release_id=None, uncertain_release_id="web@broken")

    assert a_deployment(a_ground(web, live=live)).tasks[0].first_deployment


def test_a_deploy_task_needs_an_application():
    error = refusal(tasks=(a_task_request("d", "deploy"),))

    assert error.fields[0].field == "tasks[0].appId"


def test_an_unknown_application_is_named():
    error = refusal(tasks=(a_task_request("x"), a_task_request("d", "deploy", app="ghost")))

    assert error.fields[0].field == "tasks[1].appId"
    assert "'ghost'" in error.message


def test_an_unknown_application_in_the_order_is_named():
    assert refusal(must_in_order=("web", "ghost")).fields[0].field == "mustInOrder"


def test_an_application_without_targets_cannot_be_deployed():
    with pytest.raises(InvalidInput, match="web has no targets"):
        a_deployment(a_ground(an_application(hosts=0)))


def test_at_least_one_application_is_needed():
    ground = replace(a_ground(), applications=())

    with pytest.raises(InvalidInput, match="no application"):
        a_deployment(ground)


# --- other types -------------------------------------------------------------------------------


def test_a_health_check_has_one_row_per_target():
    deployment = a_deployment(tasks=(a_task_request("h", "health_check", app="web"),))

    assert [(it.kind, it.batch) for it in rows(deployment, "h")] == [("check", 1)] * 3


def test_prepare_without_a_command_stages_where_the_driver_can():
    deployment = a_deployment(tasks=(a_task_request("p", "prepare", app="web"),))

    assert {it.kind for it in rows(deployment, "p")} == {"stage"}


def test_prepare_where_the_driver_cannot_stage_is_nothing_to_do():
    ground = a_ground(an_application(can_stage=False))
    deployment = a_deployment(ground, tasks=(a_task_request("p", "prepare", app="web"),))

    assert rows(deployment, "p") == []
    assert "cannot be staged" in deployment.tasks[0].reason


def test_prepare_without_an_application_is_nothing_to_do():
    deployment = a_deployment(tasks=(a_task_request("p", "prepare"),))

    assert deployment.tasks[0].reason == "nothing to prepare"


def test_prepare_with_a_command_runs_it():
    task = a_task_request("p", "prepare", app="web", command="make")

    assert [it.kind for it in rows(a_deployment(tasks=(task,)), "p")] == ["run"]


@pytest.mark.parametrize("type_", ["build", "test", "custom"])
@pytest.mark.parametrize("command", ["", "   ", 7])
def test_build_test_and_custom_need_a_command(type_, command):
    task = replace(a_task_request("t", type_, app="web"), payload={"command": command})

    assert refusal(tasks=(task,)).fields[0].field == "tasks[0].payload.command"


@pytest.mark.parametrize("type_", ["build", "test", "custom"])
def test_a_command_runs_once_on_the_first_target_by_default(type_):
    deployment = a_deployment(tasks=(a_task_request("t", type_, app="web"),))

    assert [it.target_id for it in deployment.executions] == ["t1"]


def test_a_command_can_run_on_each_target():
    task = a_task_request("t", app="web", payload={"scope": "each_target"})

    assert [it.target_id for it in a_deployment(tasks=(task,)).executions] == ["t1", "t2", "t3"]


@pytest.mark.parametrize("named", ["t2", "n2"])
def test_a_command_can_name_its_target_by_id_or_name(named):
    task = a_task_request("t", payload={"target": named})

    assert [it.target_id for it in a_deployment(tasks=(task,)).executions] == ["t2"]


def test_an_unknown_target_is_named():
    error = refusal(tasks=(a_task_request("t", payload={"target": "n9"}),))

    assert error.fields[0].field == "tasks[0].payload.target"


def test_an_unknown_scope_is_named_with_the_choices():
    error = refusal(tasks=(a_task_request("t", payload={"scope": "twice"}),))

    assert error.fields[0].field == "tasks[0].payload.scope"
    assert "once or each_target" in error.message


def test_each_target_and_a_named_one_contradict_each_other():
    task = a_task_request("t", payload={"scope": "each_target", "target": "n1"})

    assert refusal(tasks=(task,)).fields[0].field == "tasks[0].payload.target"


def test_a_task_without_application_runs_on_the_environments_first_target():
    ground = a_ground(
        an_application("web", hosts=[a_target(2)]), an_application("api", hosts=[a_target(1)])
    )
    deployment = a_deployment(ground, tasks=(a_task_request("t"),))

    assert [it.target_id for it in deployment.executions] == ["t2"]


def test_a_task_without_a_name_is_called_by_its_id():
    assert a_deployment(tasks=(a_task_request("t", name=""),)).tasks[0].name == "t"


def test_the_same_request_gives_the_same_plan():
    assert a_deployment() == a_deployment()
    assert a_deployment().created_at == NOON


# --- build -------------------------------------------------------------------------------------


def test_builds_of_one_deployment_are_spread_over_the_builders():
    built = [
        replace(it, release=replace(it.release, builds=f"registry.example.org/{it.name}:v2"))
        for it in (an_application("web"), an_application("api"), an_application("mail"))
    ]
    forges = tuple(replace(a_target(number), id=f"builder:{number}") for number in (1, 2))
    ground = replace(a_ground(*built), builders=forges)

    deployment = a_deployment(ground)

    tasks = [f"{name}-build" for name in ("web", "api", "mail")]
    assert [rows(deployment, id_)[0].target_id for id_ in tasks] == [
        "builder:1",
        "builder:2",
        "builder:1",
    ]
