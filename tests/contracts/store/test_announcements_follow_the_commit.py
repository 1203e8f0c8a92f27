"""Everybody hears of a commit, nobody of what was undone."""

import asyncio

import pytest


async def announce(store, *payloads, channel="boreas_due"):
    async with store.transaction() as tx:
        for payload in payloads:
            await tx.announce(channel, payload)


async def heard(listening, how_many):
    async with asyncio.timeout(10):
        return [await anext(listening) for _ in range(how_many)]


async def test_what_was_announced_is_heard_in_order_and_once(store):
    listening = store.listen("boreas_due", "boreas_changed")

    await announce(store, "a", "b", "a")
    await announce(store, "elsewhere", channel="boreas_agents")
    await announce(store, "c 2", channel="boreas_changed")

    assert await heard(listening, 3) == [
        ("boreas_due", "a"),
        ("boreas_due", "b"),
        ("boreas_changed", "c 2"),
    ]


async def test_an_empty_payload_is_a_payload(store):
    listening = store.listen("boreas_due")

    await announce(store, "")

    assert await heard(listening, 1) == [("boreas_due", "")]


async def test_nothing_is_heard_before_the_commit_or_of_an_undone_block(store):
    listening = store.listen("boreas_due")

    async def undone():
        async with store.transaction() as tx:
            await tx.announce("boreas_due", "undone")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await undone()
    async with store.transaction() as tx:
        await tx.announce("boreas_due", "done")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(listening), 0.05)

    assert await heard(listening, 1) == [("boreas_due", "done")]


async def test_every_listener_hears_it(store):
    both = [store.listen("boreas_due"), store.listen("boreas_due")]

    await announce(store, "x")

    assert [await heard(one, 1) for one in both] == [[("boreas_due", "x")]] * 2


async def until_connected(two, one):
    """The second server's ear is open once it hears the first."""
    probe = two.listen("probe")
    async with asyncio.timeout(10):
        while True:
            await announce(one, "?", channel="probe")
            try:
                return await asyncio.wait_for(anext(probe), 0.2)
            except TimeoutError:
                continue


async def test_other_servers_hear_it_too(stores):
    if stores.kind == "sqlite":
        pytest.skip("one server per SQLite file")
    one, two = await stores.open(), await stores.open()
    await until_connected(two, one)
    listening = two.listen("boreas_outbox")

    await announce(one, "agt_1", channel="boreas_outbox")

    assert await heard(listening, 1) == [("boreas_outbox", "agt_1")]


async def test_a_broken_ear_grows_again(stores):
    if stores.kind != "postgres":
        pytest.skip("only PostgreSQL has an ear that can break")
    one, two = await stores.open(), await stores.open()
    await until_connected(two, one)

    async with one.transaction() as tx:
        await tx._unit.connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE query LIKE 'LISTEN%%' AND datname = current_database()"
        )
    await until_connected(two, one)
