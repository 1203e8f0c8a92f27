"""A cycle, an unknown or a self reference is refused, naming one real cycle or the bad id."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boreas.domain.errors import InvalidInput
from boreas.domain.ids import ApplicationId
from boreas.engine.graph import graph_of
from boreas.testing.builders import a_task_request


def refusal(*tasks, order=()):
    with pytest.raises(InvalidInput) as caught:
        graph_of(tasks, order)
    return caught.value


def ring_of(error: InvalidInput) -> list[str]:
    return error.message.partition(": ")[2].split(" waits for ")


def test_an_unknown_reference_is_named():
    error = refusal(a_task_request("a"), a_task_request("b", after=["ghost"]))

    assert "'ghost'" in error.message
    assert error.fields[0].field == "tasks[1].blockBy"


def test_a_self_reference_is_named():
    error = refusal(a_task_request("a", after=["a"]))

    assert "'a' waits for itself" in error.message
    assert error.fields[0].field == "tasks[0].blockBy"


def test_an_id_used_twice_is_named():
    error = refusal(a_task_request("a"), a_task_request("a"))

    assert "'a' is used twice" in error.message
    assert error.fields[0].field == "tasks[1].id"


def test_a_cycle_of_two_is_named():
    error = refusal(a_task_request("a", after=["b"]), a_task_request("b", after=["a"]))

    assert ring_of(error) in (["a", "b", "a"], ["b", "a", "b"])


def test_a_cycle_behind_a_tail_is_named_without_the_tail():
    error = refusal(
        a_task_request("head"),
        a_task_request("a", after=["head", "c"]),
        a_task_request("b", after=["a"]),
        a_task_request("c", after=["b"]),
        a_task_request("tail", after=["c"]),
    )

    ring = ring_of(error)
    assert ring[0] == ring[-1]
    assert set(ring) == {"a", "b", "c"}


def test_an_edge_against_the_order_of_types_is_a_cycle():
    error = refusal(
        a_task_request("build", "build", app="web", after=["deploy"]),
        a_task_request("deploy", "deploy", app="web"),
    )

    assert set(ring_of(error)) == {"build", "deploy"}


def test_an_edge_against_the_order_of_applications_is_a_cycle():
    error = refusal(
        a_task_request("web", "deploy", app="web", after=["api"]),
        a_task_request("api", "deploy", app="api"),
        order=(ApplicationId("web"), ApplicationId("api")),
    )

    assert set(ring_of(error)) == {"web", "api"}


def test_a_cycle_through_whole_groups_names_real_tasks_only():
    builds = [a_task_request(f"b{it}", "build", app="web", after=["d0"]) for it in range(3)]
    deploys = [a_task_request(f"d{it}", "deploy", app="web") for it in range(3)]

    ring = ring_of(refusal(*builds, *deploys))

    assert ring[0] == ring[-1]
    assert set(ring) <= {it.id for it in (*builds, *deploys)}


def test_an_empty_graph_is_fine():
    assert graph_of(()).order == ()


@st.composite
def wild_tasks(draw):
    count = draw(st.integers(1, 12))
    ids = [f"t{it}" for it in range(count)]
    return tuple(
        a_task_request(
            it,
            draw(st.sampled_from(("custom", "build", "deploy", "health_check"))),
            app=draw(st.sampled_from(("web", "api"))),
            after=draw(st.sets(st.sampled_from([o for o in ids if o != it] or ["t0"]), max_size=3))
            if count > 1
            else (),
        )
        for it in ids
    )


@given(wild_tasks(), st.booleans())
def test_a_graph_is_either_ordered_or_refused_by_a_real_cycle(tasks, in_order):
    order = (ApplicationId("web"), ApplicationId("api")) if in_order else ()
    try:
        graph = graph_of(tasks, order)
    except InvalidInput as error:
        ring = ring_of(error)
        assert ring[0] == ring[-1]
        assert len(ring) > 2
        assert set(ring) <= {it.id for it in tasks}
        return
    place = {it: at for at, it in enumerate(graph.order)}
    assert sorted(place) == sorted(it.id for it in tasks)
    for task in tasks:
        assert all(place[it] < place[task.id] for it in graph.before(task.id))
        assert set(task.block_by) <= set(graph.before(task.id))


@given(wild_tasks())
def test_before_and_after_are_each_others_mirror(tasks):
    try:
        graph = graph_of(tasks)
    except InvalidInput:
        return
    for task in tasks:
        for before in graph.before(task.id):
            assert task.id in graph.after([before])
