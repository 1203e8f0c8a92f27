"""When a log is complete for a server that was not there when its length was announced."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from boreas.domain.ids import AgentId, DeploymentId, ExecutionId, TaskId
from boreas.domain.outbox import Place
from boreas.kit.clock import VirtualClock
from boreas.logs.store import LogStore
from boreas.server.log_keeper import GRACE_SECONDS, LogKeeper
from boreas.testing.memory_store import MemoryStore

ORDER = "dep1.1#1"
PLACE = Place(
    execution_id=ExecutionId("dep1.1"),
    deployment_id=DeploymentId("dep1"),
    task_id=TaskId("web"),
    target="n1",
    agent_id=AgentId("agt"),
)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def keeper(tmp_path: Path, clock: VirtualClock) -> AsyncIterator[LogKeeper]:
    logs = LogStore(tmp_path, clock)

    async def none(_: object) -> tuple[DeploymentId, ...]:
        return ()

    yield LogKeeper(logs=logs, store=MemoryStore(), finished_among=none, clock=clock)
    await logs.aclose()


async def test_right_after_a_restart_the_rest_of_a_log_is_waited_for(keeper: LogKeeper) -> None:
    assert not keeper.has_all_of([ORDER])


async def test_once_agents_are_back_a_log_of_before_is_complete(
    keeper: LogKeeper, clock: VirtualClock
) -> None:
    await clock.advance(GRACE_SECONDS + 1)

    assert keeper.has_all_of([ORDER])


async def test_bytes_that_were_announced_are_waited_for_however_long(
    keeper: LogKeeper, clock: VirtualClock
) -> None:
    keeper.expect(PLACE, ORDER, 100)

    await clock.advance(GRACE_SECONDS + 1)

    assert not keeper.has_all_of([ORDER])
    assert keeper.misses_any_of([ORDER])
