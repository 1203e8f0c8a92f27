"""Each of these was a bug; the seed that showed it is in the test's docstring."""

import asyncio
from datetime import timedelta

from boreas.domain.deployments import DeploymentState, Execution, ExecutionKind, ExecutionState
from boreas.domain.ids import AgentId, ExecutionId, TargetId, TaskId
from boreas.kit.until import Hint
from boreas.runtime.news import Arrival, NewsDesk
from boreas.runtime.order_bodies import scope_of
from boreas.testing.builders import (
    a_ground,
    a_health_check,
    a_step,
    a_strategy,
    a_task_request,
    an_application,
)
from boreas.testing.rollout import Rollout

from .conftest import AGENT, Installation

ANNA = AgentId("anna")


def an_arrival() -> Arrival:
    return Arrival(agent_id=ANNA, address="10.0.0.1", transport="quic")


async def test_an_agent_that_came_back_within_one_round_counts_as_here() -> None:
    """Seed 10."""
    desk = NewsDesk(Hint())

    desk.departed(ANNA)
    desk.arrival(an_arrival(), asyncio.get_running_loop().create_future())

    assert desk.take().departures == []


async def test_an_agent_that_left_after_it_came_counts_as_gone() -> None:
    desk = NewsDesk(Hint())

    desk.arrival(an_arrival(), asyncio.get_running_loop().create_future())
    desk.departed(ANNA)

    assert desk.take().departures == [ANNA]


async def test_news_of_a_failed_round_does_not_undo_a_later_return() -> None:
    desk = NewsDesk(Hint())
    desk.departed(ANNA)
    failed = desk.take()
    desk.arrival(an_arrival(), asyncio.get_running_loop().create_future())

    desk.give_back(failed)

    assert desk.take().departures == []


def test_an_agent_that_came_back_within_one_round_is_online(installation: Installation) -> None:
    """Seed 10, through the real round."""
    installation.server.cut(AGENT)
    installation.server.notice_departure(AGENT)
    installation.server.connect(AGENT, installation.agent.greeting())

    installation.server.round()

    assert installation.ledger.is_online(installation.ledger.agents[AGENT])


def test_who_is_admitted_as_another_ends_goes_back_to_what_that_one_brought(
    installation: Installation,
) -> None:
    """Seed 149: both in one round."""
    first = installation.asks(1, "v1")
    installation.server.round()
    second = installation.asks(2, "v2")
    installation.server.round()
    installation.works()
    installation.ledger.wakes[second] = installation.clock.now()

    installation.server.round()

    assert installation.deployment(first).state is DeploymentState.SUCCESS
    (order,) = installation.sent(second)
    assert order.previous_release_id == "web@v1"


def test_an_order_that_was_just_sent_has_a_timer(installation: Installation) -> None:
    """Seed 14."""
    deployment = installation.asks(1, "v1")

    installation.server.round()

    assert installation.sent(deployment)[0].state is ExecutionState.ORDERED
    assert installation.ledger.due[deployment] is not None


def test_commands_of_no_application_do_not_fence_another_deployment_off() -> None:
    """Seed 3463: two deployments of different applications, both under way on one target."""
    mine, theirs = an_execution("d1.3"), an_execution("d2.7")

    assert scope_of(mine) != scope_of(theirs)
    assert scope_of(mine) == scope_of(an_execution("d1.4"))


def an_execution(id_: str) -> Execution:
    return Execution(
        id=ExecutionId(id_),
        ordinal=1,
        task_id=TaskId("clean-up"),
        target_id=TargetId("t1"),
        agent_id=AGENT,
        kind=ExecutionKind.RUN,
        state=ExecutionState.PENDING,
    )


def test_two_deploy_tasks_of_one_application_never_change_a_target_together() -> None:
    """Seed 189: three of them, with no edge between, sent three changing orders to one target."""
    tasks = tuple(a_task_request(it, "deploy", app="web") for it in ("first", "second"))
    rollout = Rollout(a_ground(hosts=2), tasks=tasks, strategy=a_strategy(a_step(2)))

    flying = rollout.in_flight()

    assert len({it.target_id for it in flying}) == len(flying) == 2
    assert "n1 waits until first is done there" in [it.text for it in rollout.last.because]

    rollout.finish()
    assert [it.task_id for it in rollout.in_flight()] == ["second", "second"]


def test_a_stop_is_asked_for_once_although_two_deadlines_have_passed() -> None:
    """Seed 6291: its timeout and its health deadline, both while the server was away."""
    rollout = Rollout(
        a_ground(an_application(health_check=a_health_check(healthy_deadline=60.0), hosts=1))
    )
    (execution,) = rollout.in_flight()
    rollout.report(execution, "verb", verb="check")

    rollout.now += timedelta(hours=2)
    decision = rollout.decide()

    assert [it.order_id for it in decision.cancels] == [execution.order_id]
