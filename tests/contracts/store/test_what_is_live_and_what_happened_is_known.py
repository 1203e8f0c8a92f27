"""Live records and the history of a deployment."""

from datetime import timedelta

from boreas.domain.events import Notice
from boreas.engine.snapshot import LiveChange


async def change_live(scene, deployment, now, **change):
    place = {"application_id": scene.applications[0].id, "target_id": scene.targets[0].id}
    async with scene.store.transaction() as tx:
        await tx.work.change_live(deployment, [LiveChange(**place, **change)], now)


async def live(scene, deployment):
    snapshot = (await scene.load(deployment))[deployment.id].snapshot
    return snapshot.live.get((scene.applications[0].id, scene.targets[0].id))


async def test_a_proven_release_is_live_since_it_was_proven(scene):
    first = await scene.deploy()
    release = first.executions[0].release_id
    now = first.created_at

    await change_live(scene, first, now, release_id=release)
    later = now + timedelta(hours=1)
    await change_live(scene, first, later, release_id=release, uncertain_release_id="rel_x")

    known = await live(scene, first)
    assert known.release_id == release
    assert known.uncertain_release_id == "rel_x"
    assert known.since == now
    async with scene.store.reading() as tx:
        assert await tx.environments.live(scene.environment.id) == [known]


async def test_another_release_is_live_since_its_own_time(scene):
    first = await scene.deploy()
    now = first.created_at
    await change_live(scene, first, now, release_id="rel_a")
    await change_live(scene, first, now + timedelta(hours=1), release_id="rel_b")

    assert (await live(scene, first)).since == now + timedelta(hours=1)


async def test_nothing_known_is_no_record(scene):
    first = await scene.deploy()
    await change_live(scene, first, first.created_at, release_id="rel_a")
    await change_live(scene, first, first.created_at, release_id=None)

    assert await live(scene, first) is None


async def test_a_later_deployment_sees_the_release_that_is_live(scene):
    first = await scene.deploy()
    release = first.executions[0].release_id
    await change_live(scene, first, first.created_at, release_id=release)

    second = await scene.deploy()
    snapshot = (await scene.load(second))[second.id].snapshot

    assert release in snapshot.releases
    assert second.executions[0].release_id in snapshot.releases


async def test_history_is_kept_in_order(scene):
    first, other = await scene.deploy(), await scene.deploy()
    notices = [Notice(code=f"n{n}", text=f"text {n}", parameters={"n": n}) for n in range(5)]
    async with scene.store.transaction() as tx:
        await tx.work.add_events(first.id, notices[:3], first.created_at)
        await tx.work.add_events(other.id, notices[:1], first.created_at)
        await tx.work.add_events(first.id, notices[3:], first.created_at)

    async with scene.store.reading() as tx:
        events = await tx.deployments.events(first.id)
        rest = await tx.deployments.events(first.id, after=events[1].sequence, limit=2)

    assert [event.notice for event in events] == notices
    assert [event.notice.code for event in rest] == ["n2", "n3"]
