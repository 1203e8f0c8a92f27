"""Edges come from three sources, united: blockBy, the order of applications, the order of types."""

import pytest

from boreas.domain.ids import ApplicationId
from boreas.domain.workflow import TaskType
from boreas.engine.graph import RANK, graph_of
from boreas.testing.builders import a_task_request

APPS = (ApplicationId("web"), ApplicationId("api"), ApplicationId("jobs"))


def tasks_of(app: str, *types: str):
    return tuple(a_task_request(f"{app}-{it}", it, app=app) for it in types)


def test_a_task_waits_for_those_it_names():
    graph = graph_of((a_task_request("a"), a_task_request("b", after=["a"])))

    assert graph.before("b") == ("a",)
    assert graph.before("a") == ()


def test_types_of_one_application_run_in_their_order():
    graph = graph_of(tasks_of("web", "health_check", "deploy", "test", "build", "prepare"))

    assert graph.order == (
        "web-prepare",
        "web-build",
        "web-test",
        "web-deploy",
        "web-health_check",
    )


@pytest.mark.parametrize(
    ("present", "waiting", "expected"),
    [
        (("prepare", "deploy"), "web-deploy", ("web-prepare",)),
        (("prepare", "health_check"), "web-health_check", ("web-prepare",)),
        (("build", "deploy"), "web-deploy", ("web-build",)),
        (("prepare", "build", "deploy"), "web-deploy", ("web-build",)),
        (("test", "health_check"), "web-health_check", ("web-test",)),
    ],
)
def test_a_missing_type_is_stepped_over(present, waiting, expected):
    assert graph_of(tasks_of("web", *present)).before(waiting) == expected


def test_every_type_but_custom_has_a_rank():
    assert set(TaskType) - set(RANK) == {TaskType.CUSTOM}


def test_custom_tasks_are_ordered_by_their_own_edges_only():
    graph = graph_of((*tasks_of("web", "build", "deploy"), a_task_request("c", app="web")))

    assert graph.before("c") == ()
    assert "c" not in graph.before("web-deploy")


def test_different_applications_do_not_wait_for_each_other_unasked():
    graph = graph_of((*tasks_of("web", "deploy"), *tasks_of("api", "deploy")))

    assert graph.before("api-deploy") == ()


def test_two_tasks_of_one_type_run_side_by_side():
    first = a_task_request("one", "build", app="web")
    second = a_task_request("two", "build", app="web")
    graph = graph_of((first, second, *tasks_of("web", "deploy")))

    assert graph.before("one") == graph.before("two") == ()
    assert set(graph.before("web-deploy")) == {"one", "two"}


def test_in_order_the_next_application_waits_for_deploy_and_health_check():
    tasks = (*tasks_of("web", "deploy", "health_check"), *tasks_of("api", "deploy"))
    graph = graph_of(tasks, APPS[:2])

    assert set(graph.before("api-deploy")) == {"web-deploy", "web-health_check"}


@pytest.mark.parametrize("free", ["prepare", "build", "test"])
def test_in_order_preparing_building_and_testing_are_not_held(free):
    tasks = (*tasks_of("web", "deploy"), *tasks_of("api", free, "deploy"))
    graph = graph_of(tasks, APPS[:2])

    assert graph.before(f"api-{free}") == ()
    assert "web-deploy" in graph.before("api-deploy")


def test_in_order_an_application_without_deploy_passes_the_wait_on():
    tasks = (*tasks_of("web", "deploy"), *tasks_of("api", "build"), *tasks_of("jobs", "deploy"))
    graph = graph_of(tasks, APPS)

    assert graph.before("jobs-deploy") == ("web-deploy",)


def test_in_order_each_application_waits_for_the_one_before_it():
    tasks = tuple(it for app in APPS for it in tasks_of(app, "deploy"))
    graph = graph_of(tasks, APPS)

    assert graph.order == ("web-deploy", "api-deploy", "jobs-deploy")


def test_the_same_edge_from_two_sources_counts_once():
    build = a_task_request("b", "build", app="web")
    deploy = a_task_request("d", "deploy", app="web", after=["b"])

    assert graph_of((build, deploy)).before("d") == ("b",)


def test_all_three_sources_are_united():
    tasks = (
        *tasks_of("web", "deploy"),
        a_task_request("note"),
        *tasks_of("api", "build"),
        a_task_request("api-deploy", "deploy", app="api", after=["note"]),
    )
    graph = graph_of(tasks, APPS[:2])

    assert set(graph.before("api-deploy")) == {"note", "web-deploy", "api-build"}


def test_everything_behind_a_task_is_found():
    graph = graph_of(tasks_of("web", "prepare", "build", "deploy"))

    assert graph.after(["web-prepare"]) == {"web-build", "web-deploy"}
    assert graph.after(["web-deploy"]) == frozenset()


def test_only_tasks_whose_predecessors_are_finished_are_ready():
    graph = graph_of(tasks_of("web", "prepare", "build", "deploy"))

    assert graph.ready(frozenset()) == ("web-prepare",)
    assert graph.ready({"web-prepare"}) == ("web-build",)


def test_whole_groups_meeting_do_not_multiply_edges():
    builds = tuple(a_task_request(f"b{it}", "build", app="web") for it in range(300))
    deploys = tuple(a_task_request(f"d{it}", "deploy", app="web") for it in range(300))
    graph = graph_of((*builds, *deploys))

    assert len(graph.before("d7")) == 300
    assert sum(len(it) for it in graph.predecessors.values()) == 600


def test_joins_never_show():
    builds = tuple(a_task_request(f"b{it}", "build", app="web") for it in range(3))
    deploys = tuple(a_task_request(f"d{it}", "deploy", app="web") for it in range(3))
    graph = graph_of((*builds, *deploys))

    assert len(graph.order) == 6
    assert graph.after(["b0"]) == {"d0", "d1", "d2"}
    assert not graph.joins & set(graph.order)
