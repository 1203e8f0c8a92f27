"""What the server does with agents: the door, orders, reports, logs, and those that lie."""

import asyncio

import pytest
from tests.edges.gateway.conftest import House
from tests.support.eventually import eventually

from boreas.domain.ids import AgentId, DeploymentId, ServerId
from boreas.domain.outbox import OutboxKind, OutboxRow
from boreas.kit.tasks import TaskGroup
from boreas.logs.chunks import spoken
from boreas.logs.pages import Window
from boreas.logs.reading import Query
from boreas.server.gateway import gateway
from boreas.transport.dial import Dialled
from boreas.transport.frames import (
    FileRequest,
    Frame,
    Goodbye,
    Heartbeat,
    HeartbeatAnswer,
    Inventory,
    LogStored,
    Order,
    OrderTaken,
    Report,
    ReportTaken,
)
from boreas.transport.links import CloseCode
from boreas.transport.refusals import Refusal, RefusalCode


async def next_of(dialled: Dialled, kind: type[Frame]) -> Frame:
    """The next message of this kind; others are passed over."""
    async with asyncio.timeout(10):
        while not isinstance(frame := await dialled.session.control.receive(), kind):
            pass
        return frame


async def agent_with_an_order(house: House) -> tuple[Dialled, Order]:
    dialled = await house.agent().dial()
    await house.deploy_to(AgentId(dialled.welcomed.welcome.agent_id))
    order = await next_of(dialled, Order)
    assert isinstance(order, Order)
    return dialled, order


def finished(order_id: str, *, log_bytes: int = 0) -> Report:
    return Report(
        order_id=order_id,
        sequence=1,
        kind="finished",
        at=0.0,
        outcome="success",
        exit_code=0,
        log_bytes=log_bytes,
    )


async def test_an_agent_that_enrolled_is_known_with_the_labels_of_its_token(house: House) -> None:
    await house.agent().dial()

    agent = await house.known()
    assert agent is not None
    assert agent.labels == {"rack": "7"}
    await eventually(lambda: house.gateway.connected == 1)


async def test_a_token_lets_one_agent_in(house: House) -> None:
    await house.agent("n1").dial()

    with pytest.raises(Refusal) as refused:
        await house.agent("n2").dial()
    assert refused.value.refusal_code == RefusalCode.TOKEN_USED
    assert await house.known("n2") is None


async def test_an_enrolled_agent_comes_back_without_a_token(house: House) -> None:
    agent = house.agent()
    first = await agent.dial()
    first.session.close()

    second = await agent.dial()

    assert second.welcomed.welcome.agent_id == first.welcomed.welcome.agent_id


async def test_a_revoked_agent_is_put_out_and_not_let_in_again(house: House) -> None:
    agent = house.agent()
    dialled = await agent.dial()
    await eventually(lambda: house.gateway.connected == 1)
    known = await house.known()
    assert known is not None

    await house.revoke(known)

    async with asyncio.timeout(5):
        closing = await dialled.session.wait_closed()
    assert closing.code == CloseCode.REVOKED
    with pytest.raises(Refusal) as refused:
        await agent.dial()
    assert refused.value.refusal_code == RefusalCode.AGENT_REVOKED


async def test_a_copy_of_an_agent_that_answers_is_refused(house: House) -> None:
    original = house.agent()
    dialled = await original.dial()
    await eventually(lambda: house.gateway.connected == 1)
    copy = house.agent()

    async def answer_echoes() -> None:
        async for frame in dialled.session.control:
            if type(frame).__name__ == "Padding":
                dialled.session.control.send(Heartbeat(sequence=1, busy=False))

    answering = asyncio.ensure_future(answer_echoes())
    with pytest.raises(Refusal) as refused:
        await copy.dial()
    answering.cancel()
    assert refused.value.refusal_code == RefusalCode.ALREADY_CONNECTED


async def test_an_agent_whose_old_self_is_silent_takes_its_place(house: House) -> None:
    await house.agent().dial()
    await eventually(lambda: house.gateway.connected == 1)

    await house.agent().dial()

    await eventually(lambda: house.gateway.connected == 1)


async def test_a_heartbeat_is_answered(house: House) -> None:
    dialled = await house.agent().dial()

    dialled.session.control.send(Heartbeat(sequence=5, busy=False, facts={"host": "h"}))

    answer = await next_of(dialled, HeartbeatAnswer)
    assert isinstance(answer, HeartbeatAnswer)
    assert answer.sequence == 5


async def test_an_order_is_sent_again_on_the_next_link_until_it_is_taken(house: House) -> None:
    agent = house.agent()
    first = await agent.dial()
    await house.deploy_to(AgentId(first.welcomed.welcome.agent_id))
    order = await next_of(first, Order)
    first.session.close()

    second = await agent.dial()
    again = await next_of(second, Order)

    assert again == order


async def test_a_report_is_acknowledged_and_ends_the_deployment(house: House) -> None:
    dialled, order = await agent_with_an_order(house)
    dialled.session.control.send(OrderTaken(outbox_id=order.outbox_id))
    dialled.session.control.send(finished(order.order_id))

    assert isinstance(await next_of(dialled, ReportTaken), ReportTaken)
    async with house.store.reading() as tx:
        assert (await tx.deployments.get("dep0")).state == "success"


async def test_a_report_about_another_agents_order_has_no_effect(house: House) -> None:
    _, order = await agent_with_an_order(house)
    await house.add_token_again()
    stranger = await house.agent("n2").dial()

    stranger.session.control.send(finished(order.order_id))

    await next_of(stranger, ReportTaken)
    async with house.store.reading() as tx:
        assert (await tx.deployments.get("dep0")).state == "running"


async def test_an_order_that_the_agent_no_longer_holds_is_lost(house: House) -> None:
    agent = house.agent()
    dialled = await agent.dial()
    await house.deploy_to(AgentId(dialled.welcomed.welcome.agent_id))
    order = await next_of(dialled, Order)
    assert isinstance(order, Order)
    dialled.session.control.send(OrderTaken(outbox_id=order.outbox_id))
    agent_id = AgentId(dialled.welcomed.welcome.agent_id)

    async def is_taken() -> bool:
        async with house.store.reading() as tx:
            return bool(await tx.links.unfinished_orders(agent_id))

    await eventually(is_taken)
    dialled.session.close()

    back = await agent.dial()
    back.session.control.send(Inventory(order_ids=(), busy=False))

    async def is_failed() -> bool:
        async with house.store.reading() as tx:
            return (await tx.deployments.get("dep0")).state == "failed"

    await eventually(is_failed)


async def test_log_bytes_are_stored_once_and_acknowledged_when_durable(house: House) -> None:
    dialled, order = await agent_with_an_order(house)
    chunks = spoken("hello\nworld\n", 1_700_000_000_000_000)
    log = dialled.session.open_log(order.order_id, start_offset=0)
    await log.send(chunks, last=True)
    stored = await next_of(dialled, LogStored)
    again = dialled.session.open_log(order.order_id, start_offset=0)
    await again.send(chunks, last=True)
    await next_of(dialled, LogStored)

    assert stored == LogStored(order_id=order.order_id, offset=len(chunks))
    page = await house.logs.page("dep0", "task0", Window.asked(tail=10), Query())
    assert [line.message for line in page.lines] == ["hello", "world"]


async def test_a_log_has_everything_once_its_announced_bytes_are_stored(house: House) -> None:
    dialled, order = await agent_with_an_order(house)
    chunks = spoken("hello\n", 1_700_000_000_000_000)
    before = house.keeper.has_all_of([order.order_id])

    dialled.session.control.send(finished(order.order_id, log_bytes=len(chunks)))
    await next_of(dialled, ReportTaken)
    announced = house.keeper.has_all_of([order.order_id])
    log = dialled.session.open_log(order.order_id, start_offset=0)
    await log.send(chunks, last=True)
    await next_of(dialled, LogStored)

    assert not before
    assert not announced
    assert house.keeper.has_all_of([order.order_id])


async def test_nobody_writes_into_the_log_of_anothers_order(house: House) -> None:
    _, order = await agent_with_an_order(house)
    await house.add_token_again()
    stranger = await house.agent("n2").dial()

    log = stranger.session.open_log(order.order_id, start_offset=0)
    await log.send(spoken("lies", 1), last=True)

    told = await next_of(stranger, LogStored)
    assert isinstance(told, LogStored)
    # It may drop all of it, and sends it never again.
    assert told.offset > 2**60
    page = await house.logs.page("dep0", "task0", Window.asked(tail=10), Query())
    assert page.lines == ()


async def test_bytes_that_are_no_log_end_the_link(house: House) -> None:
    dialled, order = await agent_with_an_order(house)

    log = dialled.session.open_log(order.order_id, start_offset=0)
    await log.send(b"\xff" * 1000, last=True)

    async with asyncio.timeout(5):
        await dialled.session.wait_closed()


async def test_a_file_that_is_not_there_is_refused_by_name(house: House) -> None:
    dialled, order = await agent_with_an_order(house)

    stream = dialled.session.open_transfer(
        FileRequest(transfer_id="t", order_id=order.order_id, name="../../etc/passwd")
    )

    answer = await stream.header()
    assert "no plain file name" in str(answer)


async def test_a_log_whose_beginning_the_agent_no_longer_has_says_so(house: House) -> None:
    dialled, order = await agent_with_an_order(house)
    chunks = spoken("the rest\n", 1_700_000_000_000_000)

    log = dialled.session.open_log(order.order_id, start_offset=1000)
    await log.send(chunks, last=True)

    assert await next_of(dialled, LogStored) == LogStored(
        order_id=order.order_id, offset=1000 + len(chunks)
    )
    page = await house.logs.page("dep0", "task0", Window.asked(tail=10), Query())
    assert "1000" in page.lines[0].message
    assert page.lines[-1].message == "the rest"


async def test_an_agent_may_drop_the_logs_of_orders_that_nobody_knows(house: House) -> None:
    dialled = await house.agent().dial()

    dialled.session.control.send(Inventory(order_ids=("gone.1#1",), busy=False))

    stored = await next_of(dialled, LogStored)
    assert isinstance(stored, LogStored)
    assert stored.offset > 2**60


async def test_an_order_that_nobody_told_of_is_found_by_looking(house: House) -> None:
    dialled, order = await agent_with_an_order(house)
    untold = OutboxRow(
        agent_id=AgentId(dialled.welcomed.welcome.agent_id),
        kind=OutboxKind.ORDER,
        order_id="dep0.1#2",
        deployment_id=DeploymentId("dep0"),
        scope=order.scope,
        fence=order.fence,
        body=order.body,
    )
    async with house.store.transaction() as tx:
        await tx.outbox.put([untold])

    await house.gateway.fetch_promised()

    found = await next_of(dialled, Order)
    assert found.order_id == "dep0.1#2"


async def test_a_log_that_was_announced_and_has_not_come_is_known_to_be_missing(
    house: House,
) -> None:
    dialled, order = await agent_with_an_order(house)

    dialled.session.control.send(finished(order.order_id, log_bytes=100))
    await next_of(dialled, ReportTaken)

    assert house.keeper.misses_any_of([order.order_id])
    assert not house.keeper.has_all_of([order.order_id])


async def test_a_revocation_that_nobody_told_of_is_found_by_looking(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "_LOOK_EVERY_SECONDS", 0.05)
    dialled = await house.agent().dial()
    await eventually(lambda: house.gateway.connected == 1)
    known = await house.known()
    assert known is not None
    async with house.store.transaction() as tx:
        await tx.agents.revoke(known.id, house.clock.now())

    async with TaskGroup("test") as tasks:
        tasks.start(house.gateway.keep_looking, name="looking")
        async with asyncio.timeout(5):
            closing = await dialled.session.wait_closed()
    assert closing.code == CloseCode.REVOKED


async def test_a_server_with_too_many_agents_says_goodbye_to_some_of_them(house: House) -> None:
    await house.add_token(uses=4)
    links = [await house.agent(f"n{number}").dial() for number in range(4)]
    await eventually(lambda: house.gateway.connected == 4)
    await house.gateway.hand_on_surplus()
    assert all(link.session.closing is None for link in links)

    async with house.store.transaction() as tx:
        await tx.servers.register(ServerId("other"), address="there:1", lease_seconds=60)
    await house.gateway.hand_on_surplus()
    await house.gateway.hand_on_surplus()

    # Those that were asked to go are not counted out yet; nobody is asked twice.
    goodbyes = [await next_of(link, Goodbye) for link in links[:2]]
    assert len(goodbyes) == 2
