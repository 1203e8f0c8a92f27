"""The group-commit loop on the in-memory store: what is sent, acknowledged, and given back."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from bench.installation import AGENT, create_chain, found
from tests.support.eventually import eventually

from boreas.domain.deployments import DeploymentState, ExecutionState
from boreas.domain.errors import Unavailable
from boreas.domain.events import ExecutionReport
from boreas.domain.ids import DeploymentId, ServerId
from boreas.domain.outbox import OutboxRow
from boreas.engine.snapshot import Snapshot
from boreas.kit.clock import VirtualClock
from boreas.kit.tasks import TaskGroup
from boreas.runtime import loop as loop_module
from boreas.runtime.loop import Loop
from boreas.runtime.membership import ALONE, Membership
from boreas.runtime.news import Arrival
from boreas.testing.memory_store import MemoryStore

SERVER = ServerId("srv")


class Post:
    """Remembers what was sent, and how the database stood at that moment."""

    def __init__(self) -> None:
        self.rows: list[OutboxRow] = []

    def deliver(self, rows: Sequence[OutboxRow]) -> None:
        self.rows.extend(rows)


class FaultyStore(MemoryStore):
    """Says `Unavailable` at commit while `broken`."""

    broken = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[object]:
        async with super().transaction() as tx:
            yield tx
            if self.broken:
                raise Unavailable("the database is away")


class World:
    """A store with two deployments, and the loop over it."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.store = FaultyStore()
        self.post = Post()
        membership = Membership(
            store=self.store, server_id=SERVER, address="here:1", clock=self.clock, times=ALONE
        )
        self.membership = membership
        self.loop = Loop(store=self.store, membership=membership, clock=self.clock)
        self.settled: list[str] = []

    async def found(self, *, deployments: int = 1, tasks: int = 2) -> None:
        await self.membership.join()
        await found(self.store, SERVER, applications=deployments, now=self.clock.now())
        for number in range(deployments):
            async with self.store.transaction() as tx:
                await create_chain(tx, number, tasks=tasks, now=self.clock.now())

    def report(self, order_id: str, **news: object) -> None:
        report = ExecutionReport(
            order_id=order_id, at=self.clock.now(), **{"kind": "finished", **news}
        )
        self.loop.news.report(report, lambda: self.settled.append(order_id))

    async def state(self, number: int = 0) -> DeploymentState:
        async with self.store.reading() as tx:
            return (await tx.deployments.get(DeploymentId(f"dep{number}"))).state

    async def executions(self, number: int = 0) -> list[ExecutionState]:
        async with self.store.reading() as tx:
            deployment = await tx.deployments.get(DeploymentId(f"dep{number}"))
        return [execution.state for execution in deployment.executions]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    async with TaskGroup("test") as tasks:
        await made.found()
        tasks.start(lambda: made.loop.run(made.post), name="loop")
        yield made


async def test_an_order_is_sent_only_after_its_promise_is_committed(world: World) -> None:
    await eventually(lambda: len(world.post.rows) == 1)

    async with world.store.reading() as tx:
        promised = await tx.outbox.for_agent(AGENT)
    assert [row.id for row in promised] == [world.post.rows[0].id]
    assert await world.executions() == [ExecutionState.ORDERED, ExecutionState.PENDING]


async def test_what_an_agent_has_taken_is_promised_no_more(world: World) -> None:
    await eventually(lambda: len(world.post.rows) == 1)

    world.loop.news.taken(world.post.rows[0].id)

    async def promises() -> bool:
        async with world.store.reading() as tx:
            return not await tx.outbox.for_agent(AGENT)

    await eventually(promises)


async def test_a_report_starts_what_waited_for_it_and_is_then_acknowledged(world: World) -> None:
    await eventually(lambda: len(world.post.rows) == 1)

    world.report(world.post.rows[0].order_id, outcome="success")

    await eventually(lambda: len(world.post.rows) == 2)
    assert world.settled == [world.post.rows[0].order_id]
    assert await world.executions() == [ExecutionState.SUCCESS, ExecutionState.ORDERED]


async def test_a_report_is_not_acknowledged_while_the_database_is_away(world: World) -> None:
    await eventually(lambda: len(world.post.rows) == 1)
    order_id = world.post.rows[0].order_id

    world.store.broken = True
    world.report(order_id, outcome="success")
    for _ in range(5):
        await world.clock.advance(1)
    assert world.settled == []
    assert len(world.post.rows) == 1

    world.store.broken = False
    await world.clock.advance(1)
    await eventually(lambda: world.settled == [order_id])


async def test_a_repeated_report_is_acknowledged_and_changes_nothing(world: World) -> None:
    await eventually(lambda: len(world.post.rows) == 1)
    order_id = world.post.rows[0].order_id
    world.report(order_id, outcome="success")
    await eventually(lambda: len(world.post.rows) == 2)

    world.report(order_id, outcome="failed")

    await eventually(lambda: world.settled == [order_id, order_id])
    assert await world.executions() == [ExecutionState.SUCCESS, ExecutionState.ORDERED]


async def test_a_report_of_a_deployment_that_is_gone_is_acknowledged(world: World) -> None:
    world.report("dep_unknown.1#1", outcome="success")

    await eventually(lambda: world.settled == ["dep_unknown.1#1"])


async def test_one_deployment_that_cannot_be_decided_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    await world.found(deployments=2, tasks=1)
    real = loop_module.decide

    def broken_for_the_first(snapshot: Snapshot, now: object) -> object:
        if snapshot.deployment.id == "dep0":
            raise ZeroDivisionError
        return real(snapshot, now)

    monkeypatch.setattr(loop_module, "decide", broken_for_the_first)
    async with TaskGroup("test") as tasks:
        tasks.start(lambda: world.loop.run(world.post), name="loop")
        await eventually(lambda: len(world.post.rows) == 1)

    assert world.post.rows[0].deployment_id == "dep1"
    assert await world.state(0) is DeploymentState.PENDING


async def test_what_was_told_stands_also_when_nothing_can_be_decided_of_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await eventually(lambda: len(world.post.rows) == 1)
    order_id = world.post.rows[0].order_id
    with monkeypatch.context() as patch:
        patch.setattr(loop_module, "decide", _broken)
        world.report(order_id, outcome="success")
        await eventually(lambda: world.settled == [order_id])
        assert await world.executions() == [ExecutionState.SUCCESS, ExecutionState.PENDING]

    await world.clock.advance(61)
    world.loop.wake()

    await eventually(lambda: len(world.post.rows) == 2)


async def test_a_report_that_cannot_be_applied_is_not_acknowledged(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await eventually(lambda: len(world.post.rows) == 1)
    order_id = world.post.rows[0].order_id
    with monkeypatch.context() as patch:
        patch.setattr(loop_module, "apply_reports", _broken)
        world.report(order_id, outcome="success")
        world.report("dep_unknown.1#1", outcome="success")
        await eventually(lambda: bool(world.settled))
    assert world.settled == ["dep_unknown.1#1"]

    # The agent says it again on its next link.
    world.report(order_id, outcome="success")

    await eventually(lambda: len(world.post.rows) == 2)
    assert await world.executions() == [ExecutionState.SUCCESS, ExecutionState.ORDERED]


def _broken(*_: object) -> object:
    raise ZeroDivisionError


async def test_an_agent_counts_as_here_once_that_is_committed(world: World) -> None:
    world.loop.news.departed(AGENT)

    async def is_online() -> bool:
        async with world.store.reading() as tx:
            return (await tx.agents.get(AGENT)).online

    async def is_offline() -> bool:
        return not await is_online()

    await eventually(is_offline)
    await world.loop.news.arrived(Arrival(agent_id=AGENT, address="there:2", transport="quic"))
    assert await is_online()


async def test_a_server_that_lost_its_lease_writes_nothing_until_it_joined_again(
    world: World,
) -> None:
    await eventually(lambda: len(world.post.rows) == 1)
    async with world.store.transaction() as tx:
        epoch = await tx.servers.register(SERVER, address="here:1", lease_seconds=60)

    world.report(world.post.rows[0].order_id, outcome="success")

    async def is_settled() -> bool:
        await world.clock.advance(0.1)
        return bool(world.settled)

    await eventually(is_settled)
    async with world.store.transaction() as tx:
        later = await tx.servers.register(SERVER, address="here:1", lease_seconds=60)
    assert later > epoch + 1


async def test_deployments_look_again_when_their_agents_server_has_its_lease_again() -> None:
    # While nobody held it, another server may have decided to wait for the agents.
    world = World()
    await world.found()
    async with TaskGroup("test") as tasks:
        tasks.start(lambda: world.loop.run(world.post), name="loop")
        await eventually(lambda: len(world.post.rows) == 1)

    async def due() -> list[DeploymentId]:
        async with world.store.transaction() as tx:
            return list(await tx.work.claim_due(world.clock.now(), limit=10))

    assert await due() == []

    await world.membership.join()

    assert await due() == [DeploymentId("dep0")]
