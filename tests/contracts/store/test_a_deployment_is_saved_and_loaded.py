"""What the loop writes is what it reads, and a stale write is refused."""

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

import pytest

from boreas.domain.deployments import (
    DeploymentState,
    ExecutionState,
    Gate,
    GateKind,
    GateState,
    Reason,
    Stop,
    StopKind,
    TaskState,
)
from boreas.domain.errors import Conflict
from boreas.domain.workflow import Size, Strategy, StrategyStep


async def test_a_new_deployment_reads_back_as_it_was_written(scene):
    deployment = await scene.deploy(apps=2)

    loaded = (await scene.load(deployment))[deployment.id]

    assert loaded.snapshot.deployment == deployment
    assert loaded.project == "shop"
    assert loaded.environment == "prod"


async def test_numbers_grow_by_one(scene):
    numbers = [(await scene.deploy()).number for _ in range(3)]

    assert numbers == [1, 2, 3]


async def test_every_nested_value_survives(scene):
    first = await scene.deploy()
    now = first.created_at
    rich = {
        "strategy": Strategy(
            steps=(
                StrategyStep(canary_ratio=Fraction(1, 3), batch_size=Size(percent=Fraction(20))),
            )
        ),
        "gates": (
            Gate(
                id="deployment",
                kind=GateKind.DEPLOYMENT,
                state=GateState.OPEN,
                opened_at=now,
                expires_at=now + timedelta(days=1),
            ),
        ),
        "stop": Stop(kind=StopKind.FAILURE, at=now, reason="t1 failed"),
        "waiting_for": (Reason(code="approval", text="waits", parameters={"n": 1, "x": [None]}),),
        "held_since": now,
        "state": DeploymentState.WAITING_CONFIRM,
    }

    saved = await scene.save(first, **rich)

    assert (await scene.load(first))[first.id].snapshot.deployment == saved


async def test_changed_new_and_dropped_tasks_and_executions_are_written(scene):
    first = await scene.deploy(apps=2)
    kept, dropped = first.tasks
    changed = replace(kept, state=TaskState.RUNNING)
    added = replace(kept, id="extra")
    one, *others = first.executions
    executions = (replace(one, state=ExecutionState.RUNNING), *others[:-1])

    saved = await scene.save(first, tasks=(added, changed), executions=executions)

    async with scene.store.reading() as tx:
        assert await tx.deployments.get(first.id) == saved
    assert dropped not in saved.tasks


async def test_the_revision_grows_with_every_save_and_a_stale_one_is_refused(scene):
    first = await scene.deploy()
    second = await scene.save(first, fence=7)

    with pytest.raises(Conflict):
        await scene.save(first, fence=8)

    stored = (await scene.load(first))[first.id].snapshot.deployment
    assert stored == second
    assert stored.revision == first.revision + 1


async def test_saving_nothing_new_moves_only_the_time_of_the_next_look(scene):
    first = await scene.deploy(wake_at=None)

    async with scene.store.transaction() as tx:
        await tx.work.claim([first.id])
        await tx.work.save(first, first, wake_at=first.created_at, now=first.created_at)

    async with scene.store.transaction() as tx:
        assert await tx.work.earliest_wake() == first.created_at
        assert (await tx.work.load([first.id], first.created_at))[first.id].snapshot.deployment == (
            first
        )


async def test_an_error_undoes_everything_in_the_block(scene):
    first = await scene.deploy()

    async def save_and_fail():
        async with scene.store.transaction() as tx:
            await tx.work.claim([first.id])
            await tx.work.save(first, replace(first, fence=9), wake_at=None, now=first.created_at)
            await tx.work.earliest_wake()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await save_and_fail()

    assert (await scene.load(first))[first.id].snapshot.deployment == first


async def test_a_deployment_is_loaded_with_what_was_saved_before_in_the_same_block(scene):
    first = await scene.deploy()

    async with scene.store.transaction() as tx:
        await tx.work.claim([first.id])
        after = replace(first, fence=3)
        await tx.work.save(first, after, wake_at=None, now=first.created_at)
        loaded = await tx.work.load([first.id], first.created_at)

    assert loaded[first.id].snapshot.deployment == replace(after, revision=2)


async def test_releases_are_frozen_documents(scene):
    draft, releases, views = scene.draft(apps=2)
    async with scene.store.transaction() as tx:
        stored = await tx.deployments.create(draft, releases, views, wake_at=None)

    async with scene.store.transaction() as tx:
        bodies = await tx.work.release_bodies([body.release_id for body in releases])
    snapshot = (await scene.load(stored))[stored.id].snapshot

    assert list(bodies.values()) == releases
    assert snapshot.releases == {view.id: view for view in views}


async def test_a_retry_sees_the_releases_of_the_first_one_that_it_points_at(scene):
    first = await scene.deploy()
    release_id = first.executions[0].release_id
    draft, _, _ = scene.draft()
    rows = tuple(replace(row, release_id=release_id) for row in draft.executions)
    async with scene.store.transaction() as tx:
        again = await tx.deployments.create(replace(draft, executions=rows), [], [], wake_at=None)

    snapshot = (await scene.load(again))[again.id].snapshot

    assert release_id in snapshot.releases
