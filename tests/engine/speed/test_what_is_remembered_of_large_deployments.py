"""A memory of graphs and lists counts only for the very tasks and executions it was made from."""

from dataclasses import replace

import pytest

from boreas.domain.ids import TaskId
from boreas.engine import memory
from boreas.engine.draft import Draft
from boreas.engine.graph import graph_of
from boreas.engine.memory import known_of, remember
from boreas.testing.builders import NOON, a_deployment, a_task_request


@pytest.fixture(autouse=True)
def _small_ones_are_remembered_too(monkeypatch):
    monkeypatch.setattr(memory, "FEW", 0)


@pytest.fixture
def deployment():
    return a_deployment(tasks=(a_task_request("a"), a_task_request("b", after=["a"])))


def test_what_was_made_for_it_is_known_again(deployment):
    graph = graph_of(deployment.tasks)

    remember(deployment, graph=graph, of_task=None)

    assert known_of(deployment).graph is graph
    assert known_of(replace(deployment, revision=7)).graph is graph


def test_other_tasks_under_the_same_id_are_another_deployment(deployment):
    remember(deployment, graph=graph_of(deployment.tasks), of_task={TaskId("a"): ()})

    other = a_deployment(tasks=(a_task_request("a"), a_task_request("c")))

    assert other.id == deployment.id
    assert known_of(other).graph is None
    assert known_of(other).of_task is None


def test_another_order_of_applications_is_another_graph(deployment):
    remember(deployment, graph=graph_of(deployment.tasks), of_task=None)

    assert known_of(replace(deployment, must_in_order=("x",))).graph is None


def test_a_draft_that_moves_an_edge_forgets_the_graph(deployment):
    remember(deployment, graph=graph_of(deployment.tasks), of_task=None)
    draft = Draft(deployment, NOON)

    draft.update_task(TaskId("b"), block_by=())

    assert known_of(draft.changed()).graph is None


def test_a_draft_that_changes_states_keeps_it(deployment):
    graph = graph_of(deployment.tasks)
    remember(deployment, graph=graph, of_task=None)
    draft = Draft(deployment, NOON)

    draft.update_task(TaskId("b"), reason="waits")

    assert known_of(draft.changed()).graph is graph


def test_a_row_that_is_added_is_found_at_its_task(deployment):
    draft = Draft(deployment, NOON)
    (first,) = draft.of_task(TaskId("a"))

    draft.append(first)

    assert len(draft.of_task(TaskId("a"))) == 2
    assert len(Draft(draft.changed(), NOON).of_task(TaskId("a"))) == 2
