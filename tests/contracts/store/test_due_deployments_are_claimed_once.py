"""Claims, wakes and timers: nothing due is missed, nothing is worked on by two at a time."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from boreas.domain.deployments import DeploymentState, ExecutionState


async def test_only_what_is_due_is_claimed_and_the_limit_holds(scene):
    now = scene.version.created_at
    early = [await scene.deploy(wake_at=now - timedelta(seconds=n)) for n in range(3)]
    await scene.deploy(wake_at=now + timedelta(hours=1))
    await scene.deploy(wake_at=None)

    async with scene.store.transaction() as tx:
        two = await tx.work.claim_due(now, limit=2)
        every = await tx.work.claim_due(now, limit=10)

    assert list(two) == [early[2].id, early[1].id], "the longest due come first"
    assert set(every) == {each.id for each in early}


async def test_a_saved_deployment_is_due_when_it_said(scene):
    now = scene.version.created_at
    first = await scene.deploy(wake_at=now)
    await scene.save(first, fence=1, wake_at=now + timedelta(hours=1))

    assert await scene.due() == []
    async with scene.store.transaction() as tx:
        assert await tx.work.earliest_wake() == now + timedelta(hours=1)


async def test_a_wake_is_not_lost_to_a_save_of_the_same_deployment(scene):
    now = scene.version.created_at
    first = await scene.deploy(wake_at=None)

    async with scene.store.transaction() as tx:
        await tx.work.claim([first.id])
        await tx.work.wake([first.id], now)
        await tx.work.save(first, replace(first, fence=1), wake_at=None, now=now)

    async with scene.store.transaction() as tx:
        assert await tx.work.earliest_wake() == now
        assert await tx.work.claim_due(now, limit=9) == [first.id]
    assert await scene.due() == [], "a claim takes the wake"


async def test_unknown_ids_are_left_out(scene):
    first = await scene.deploy()

    async with scene.store.transaction() as tx:
        assert await tx.work.claim(["dep_nobody", first.id]) == [first.id]
        await tx.work.wake(["dep_nobody"], first.created_at)
        assert await tx.work.load(["dep_nobody"], first.created_at) == {}


async def test_an_agents_return_wakes_only_active_deployments_that_wait_for_it(scene):
    now = scene.version.created_at
    waiting = await scene.deploy(wake_at=None)
    done_there = await scene.deploy(wake_at=None)
    first, *others = done_there.executions
    done = replace(first, state=ExecutionState.SUCCESS)
    await scene.save(done_there, executions=(done, *others))
    over = await scene.deploy(wake_at=None)
    await scene.save(over, state=DeploymentState.CANCELLED)

    async with scene.store.transaction() as tx:
        await tx.work.wake_for_agents([scene.agents[0].id], now)

    assert await scene.due() == [waiting.id]


async def test_two_servers_never_claim_the_same_deployment(stores, new_scene):
    if stores.kind != "postgres":
        pytest.skip("only PostgreSQL lets two servers claim at the same time")
    one, two = await stores.open(), await stores.open()
    scene = await new_scene(one)
    everything = {(await scene.deploy()).id for _ in range(6)}
    now = scene.version.created_at

    async with one.transaction() as mine, two.transaction() as yours:
        first = await mine.work.claim_due(now, limit=4)
        second = await yours.work.claim_due(now, limit=9)

    assert len(first) == 4
    assert set(first) | set(second) == everything
    assert not set(first) & set(second)


async def test_a_wake_does_not_wait_for_who_works_on_the_deployment(stores, new_scene):
    if stores.kind != "postgres":
        pytest.skip("elsewhere transactions run one by one")
    one, two = await stores.open(), await stores.open()
    scene = await new_scene(one)
    first = await scene.deploy(wake_at=None)

    async with one.transaction() as mine:
        await mine.work.claim([first.id])
        async with asyncio.timeout(2), two.transaction() as yours:
            await yours.work.wake([first.id], first.created_at)
            await yours.work.wake_for_agents([scene.agents[0].id], first.created_at)

    assert await scene.due() == [first.id]


async def test_a_second_server_decides_on_what_the_first_has_saved(stores, new_scene):
    if stores.kind != "postgres":
        pytest.skip("only PostgreSQL lets two servers share a database")
    one, two = await stores.open(), await stores.open()
    scene = await new_scene(one)
    first = await scene.deploy()
    second_scene = replace(scene, store=two)

    assert (await scene.load(first))[first.id].snapshot.deployment.fence == 0
    saved = await second_scene.save(first, fence=5)

    seen = (await scene.load(first))[first.id].snapshot.deployment
    assert seen == saved


async def test_two_servers_admit_one_at_a_time(stores, new_scene):
    if stores.kind != "postgres":
        pytest.skip("only PostgreSQL lets two servers share a database")
    one, two = await stores.open(), await stores.open()
    scene = await new_scene(one)
    other = replace(scene, store=two)
    drafts = [await scene.deploy() for _ in range(8)]

    queued = await asyncio.gather(
        *(s.queue(d) for s, d in zip([scene, other] * 4, drafts, strict=True))
    )

    assert sum(each.admitted_at is not None for each in queued) == 1
