"""Each of these was a bug; the seed that showed it is in the test's docstring."""

import asyncio

from boreas.domain.deployments import DeploymentState, Execution, ExecutionKind, ExecutionState
from boreas.domain.ids import AgentId, ExecutionId, TargetId, TaskId
from boreas.kit.until import Hint
from boreas.runtime.news import Arrival, NewsDesk
from boreas.runtime.order_bodies import scope_of

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
