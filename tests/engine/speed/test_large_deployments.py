"""Thousands of tasks cost as much each as a hundred do; counted in work done, not in seconds."""

import sys
from collections.abc import Callable
from typing import Any

import pytest

from boreas.engine.decide import decide
from boreas.engine.graph import graph_of
from boreas.testing.builders import (
    NOON,
    a_deployment,
    a_ground,
    a_snapshot,
    a_step,
    a_strategy,
    a_task_request,
    an_application,
)


def calls_of(act: Callable[[], Any]) -> int:
    """How many Python functions were called: the same on a busy and on an idle machine."""
    count = 0

    def seen(frame: object, event: str, arg: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(seen)
    try:
        act()
    finally:
        sys.setprofile(None)
    return count


def no_ops(count: int):
    """Tasks with nothing to do, each behind the five before it."""
    return tuple(
        a_task_request(f"t{it}", "prepare", after=[f"t{o}" for o in range(max(0, it - 5), it)])
        for it in range(count)
    )


def custom(count: int):
    return tuple(
        a_task_request(f"t{it}", after=[f"t{o}" for o in range(max(0, it - 5), it)])
        for it in range(count)
    )


def test_five_thousand_tasks_with_twenty_two_thousand_edges_are_accepted_in_order():
    tasks = no_ops(5000)
    assert sum(len(it.block_by) for it in tasks) > 22_000

    graph = graph_of(tasks)

    assert graph.order == tuple(f"t{it}" for it in range(5000))


def test_five_thousand_no_op_tasks_end_in_one_decision():
    deployment = a_deployment(a_ground(), tasks=no_ops(5000))

    decision = decide(a_snapshot(deployment), NOON)

    assert decision.next.state == "success"


@pytest.mark.parametrize("make", [no_ops, custom])
def test_work_per_task_does_not_grow_with_their_number(make):
    def work(count: int) -> float:
        snapshot = a_snapshot(a_deployment(a_ground(), tasks=make(count)))
        return calls_of(lambda: decide(snapshot, NOON)) / count

    work(50)
    assert work(4000) < 1.3 * work(400)


def test_a_decision_without_news_touches_no_task():
    deployment = a_deployment(a_ground(), tasks=custom(2000))
    snapshot = a_snapshot(decide(a_snapshot(deployment), NOON).next)

    assert decide(snapshot, NOON).next is snapshot.deployment


def test_a_thousand_targets_start_in_one_decision():
    ground = a_ground(an_application(hosts=1000))
    deployment = a_deployment(ground, strategy=a_strategy(a_step(0), a_step(0)))
    decision = decide(a_snapshot(deployment, ground), NOON)

    assert len(decision.orders) == 1000


def test_laying_out_is_linear_too():
    def work(count: int) -> float:
        tasks = custom(count)
        return calls_of(lambda: a_deployment(a_ground(), tasks=tasks)) / count

    work(50)
    assert work(2000) < 1.3 * work(200)
