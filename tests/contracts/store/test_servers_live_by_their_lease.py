"""Servers, their leases by the database's clock, and the agents that hang on them."""

import asyncio
from datetime import timedelta

import pytest

from boreas.domain.errors import Conflict


async def register(store, name, seconds=60.0):
    async with store.transaction() as tx:
        return await tx.servers.register(name, address=f"{name}:7000", lease_seconds=seconds)


async def check(store, name, epoch):
    async with store.transaction() as tx:
        await tx.servers.check(name, epoch)


async def connect(scene, server, *agents):
    async with scene.store.transaction() as tx:
        for agent in agents:
            await tx.links.connected(
                agent.id,
                server_id=server,
                address="10.0.0.1",
                transport="quic",
                now=agent.enrolled_at,
            )


async def until_buried(store, now):
    """Waits for the database's own clock to pass the lease."""
    async with asyncio.timeout(5):
        while True:
            async with store.transaction() as tx:
                orphans = await tx.servers.bury_dead(now)
            if orphans:
                return list(orphans)


async def test_a_server_holds_its_lease_and_is_known_by_its_address(store):
    epoch = await register(store, "s1")

    async with store.transaction() as tx:
        await tx.servers.check("s1", epoch)
        await tx.servers.renew("s1", epoch, lease_seconds=60)
        assert await tx.servers.addresses() == ["s1:7000"]


async def test_a_later_life_fences_the_earlier_one(store):
    first = await register(store, "s1")
    second = await register(store, "s1")

    assert second > first
    await check(store, "s1", second)
    with pytest.raises(Conflict):
        await check(store, "s1", first)

    async def renew_the_first():
        async with store.transaction() as tx:
            await tx.servers.renew("s1", first, lease_seconds=60)

    with pytest.raises(Conflict):
        await renew_the_first()


async def test_a_lease_that_ended_is_lost(store):
    epoch = await register(store, "s1", seconds=0.0)

    with pytest.raises(Conflict):
        await check(store, "s1", epoch)


async def test_a_lease_that_ended_is_not_renewed(store):
    # Others may have decided meanwhile that its agents are away: it must join again and say so.
    epoch = await register(store, "s1", seconds=0.0)

    async def renew():
        async with store.transaction() as tx:
            await tx.servers.renew("s1", epoch, lease_seconds=60)

    with pytest.raises(Conflict):
        await renew()


async def test_agents_of_a_dead_server_are_offline(scene):
    await register(scene.store, "s1", seconds=0.05)
    await connect(scene, "s1", *scene.agents[:2])
    now = scene.version.created_at

    orphans = await until_buried(scene.store, now)

    assert set(orphans) == {agent.id for agent in scene.agents[:2]}
    async with scene.store.reading() as tx:
        assert not (await tx.agents.get(scene.agents[0].id)).online


async def test_a_server_that_leaves_is_buried_at_once(scene):
    epoch = await register(scene.store, "s1")
    await connect(scene, "s1", scene.agents[0])
    async with scene.store.transaction() as tx:
        await tx.servers.retire("s1", epoch)

    async with scene.store.transaction() as tx:
        orphans = await tx.servers.bury_dead(scene.version.created_at)

    assert orphans == [scene.agents[0].id]


async def test_an_agent_is_online_while_its_server_lives(scene):
    await register(scene.store, "s1")
    await connect(scene, "s1", scene.agents[0])
    first = await scene.deploy()

    agents = (await scene.load(first))[first.id].snapshot.agents
    async with scene.store.reading() as tx:
        agent = await tx.agents.get(scene.agents[0].id)

    assert agents[scene.agents[0].id].online
    assert not agents[scene.agents[1].id].online
    assert (agent.online, agent.server_id, agent.transport) == (True, "s1", "quic")
    assert agent.connected_at == scene.agents[0].enrolled_at


async def test_leaving_one_server_does_not_cut_a_newer_link_to_another(scene):
    await register(scene.store, "s1")
    await connect(scene, "s1", scene.agents[0])
    now = scene.version.created_at

    async with scene.store.transaction() as tx:
        await tx.links.disconnected([scene.agents[0].id], server_id="s2", now=now)
    async with scene.store.reading() as tx:
        still = await tx.agents.get(scene.agents[0].id)
    async with scene.store.transaction() as tx:
        await tx.links.disconnected([scene.agents[0].id], server_id="s1", now=now)
    async with scene.store.reading() as tx:
        gone = await tx.agents.get(scene.agents[0].id)

    assert still.online
    assert not gone.online


async def test_heartbeats_keep_facts_unless_they_changed(scene):
    agent, other = scene.agents[:2]
    now = scene.version.created_at
    async with scene.store.transaction() as tx:
        await tx.links.seen({agent.id: {"host": "h1", "load": 0.5}, other.id: None}, now)
        await tx.links.seen({agent.id: None}, now + timedelta(seconds=5))

    async with scene.store.reading() as tx:
        known = await tx.agents.get(agent.id)

    assert known.facts == {"host": "h1", "load": 0.5}
    assert known.last_seen_at == now + timedelta(seconds=5)


async def test_several_servers_share_one_database(stores):
    if stores.kind == "sqlite":
        pytest.skip("one server per SQLite file")
    one, two = await stores.open(), await stores.open()

    await register(one, "s1")
    await register(two, "s2")

    async with one.transaction() as tx:
        assert await tx.servers.addresses() == ["s1:7000", "s2:7000"]


async def test_a_second_server_on_one_sqlite_file_is_refused_by_name(stores):
    if stores.kind != "sqlite":
        pytest.skip("other stores are shared")
    one, two = await stores.open(), await stores.open()
    await register(one, "s1")

    with pytest.raises(Conflict) as refused:
        await register(two, "s2")

    assert "server s1 at s1:7000" in refused.value.message
    assert "--data-dir" in refused.value.message


async def test_the_file_is_free_as_soon_as_its_server_left(stores):
    if stores.kind != "sqlite":
        pytest.skip("other stores are shared")
    one, two = await stores.open(), await stores.open()
    epoch = await register(one, "s1")
    async with one.transaction() as tx:
        await tx.servers.retire("s1", epoch)

    await register(two, "s2")

    async with two.transaction() as tx:
        assert await tx.servers.addresses() == ["s2:7000"]


async def test_a_server_that_failed_to_register_does_not_keep_the_file(stores):
    if stores.kind != "sqlite":
        pytest.skip("other stores are shared")
    one, two = await stores.open(), await stores.open()

    async def register_and_fail():
        async with one.transaction() as tx:
            await tx.servers.register("s1", address="s1:7000", lease_seconds=60)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await register_and_fail()

    await register(two, "s2")


async def test_agents_are_counted_by_the_living_server_they_hang_on(scene):
    store, (one, two) = scene.store, scene.agents[:2]
    await register(store, "s1")
    async with store.reading() as tx:
        assert await tx.servers.agents() == {"s1": 0}

    await connect(scene, "s1", one, two)

    async with store.reading() as tx:
        assert await tx.servers.agents() == {"s1": 2}
        assert set(await tx.links.on_server("s1")) == {one.id, two.id}
        assert await tx.links.on_server("s2") == []


async def test_a_revoked_agent_that_still_hangs_on_a_server_is_found(scene):
    store, (agent, other) = scene.store, scene.agents[:2]
    await register(store, "s1")
    await connect(scene, "s1", agent, other)

    async with store.transaction() as tx:
        await tx.agents.revoke(agent.id, agent.enrolled_at)

    async with store.reading() as tx:
        assert await tx.links.revoked_at("s1") == [agent.id]
        assert await tx.links.revoked_at("s2") == []
