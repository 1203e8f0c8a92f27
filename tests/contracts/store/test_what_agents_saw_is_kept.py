"""The last look at each place, what an agent shall look at, and what an environment last wanted."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.contracts.store.conftest import NOW

from boreas.domain.deployments import DeploymentState
from boreas.domain.drift import Observation
from boreas.engine.snapshot import LiveChange


@pytest.fixture(autouse=True)
def _not_in_memory(stores):
    if stores.kind == "memory":
        pytest.skip("the double has no observations: neither loop nor engine asks for them")


def place_of(scene, number=0):
    return {
        "application_id": scene.applications[0].id,
        "target_id": scene.targets[number].id,
    }


def looked(scene, **more):
    about = {"environment_id": scene.environment.id, "at": NOW, "about": "rel_a", "ok": True}
    return Observation(**{**place_of(scene), **about, **more})


async def make_live(scene, deployment, number=0, release_id="rel_a"):
    change = LiveChange(**place_of(scene, number), release_id=release_id)
    async with scene.store.transaction() as tx:
        await tx.work.change_live(deployment, [change], NOW)


async def seen(scene):
    async with scene.store.reading() as tx:
        return await tx.observations.in_environment(scene.environment.id)


async def test_only_the_last_look_at_a_place_is_kept(scene):
    first = looked(scene, result={"version": "1", "odd": "a\0b", "files": ["x"]})
    later = replace(first, at=NOW + timedelta(minutes=5), drifted_since=NOW, ok=False, reason="no")
    other = looked(scene, **place_of(scene, 1))
    async with scene.store.transaction() as tx:
        await tx.observations.put([first, other])
    assert sorted(await seen(scene), key=lambda it: it.target_id) == sorted(
        [first, other], key=lambda it: it.target_id
    )
    async with scene.store.transaction() as tx:
        await tx.observations.put([later])
    key = (first.application_id, first.target_id)
    async with scene.store.reading() as tx:
        assert await tx.observations.at([key]) == {key: later}


async def test_an_agent_watches_what_is_live_on_its_own_targets(scene):
    deployment = await scene.deploy()
    await make_live(scene, deployment, 0)
    await make_live(scene, deployment, 1, release_id="rel_b")
    first, third = scene.agents[0].id, scene.agents[2].id
    async with scene.store.reading() as tx:
        found = await tx.observations.watched([first, third])
    assert found[third] == []
    [place] = found[first]
    assert (place.live.release_id, place.target) == ("rel_a", scene.targets[0].name)
    assert (place.environment, place.project) == (scene.environment.name, scene.project.name)
    assert place.agent == scene.agents[0].name


async def test_the_last_deployment_that_was_not_undone_is_what_was_wanted(scene):
    application = scene.applications[0].id
    async with scene.store.reading() as tx:
        assert await tx.observations.wishes(scene.environment.id) == {}
    await end(scene, await scene.deploy(), DeploymentState.SUCCESS)
    await end(scene, await scene.deploy(), DeploymentState.ROLLED_BACK)
    await end(scene, await scene.deploy(), DeploymentState.CANCELLED)
    async with scene.store.reading() as tx:
        wish = (await tx.observations.wishes(scene.environment.id))[application]
    assert (wish.version_id, wish.version) == (scene.version.id, scene.version.name)
    await end(scene, await scene.deploy(), DeploymentState.SUCCESS, rollback_of="dep_before")
    async with scene.store.reading() as tx:
        assert (await tx.observations.wishes(scene.environment.id))[application].version_id is None


async def end(scene, deployment, state, **more):
    before = (await scene.load(deployment))[deployment.id].snapshot.deployment
    async with scene.store.transaction() as tx:
        await tx.work.claim([deployment.id])
        after = replace(before, state=state, **more)
        await tx.work.save(before, after, wake_at=None, now=NOW)


async def test_what_was_seen_goes_with_its_target_and_its_application(scene):
    async with scene.store.transaction() as tx:
        await tx.observations.put([looked(scene), looked(scene, **place_of(scene, 1))])
    async with scene.store.transaction() as tx:
        await tx.targets.remove(scene.targets[1].id)
    assert [it.target_id for it in await seen(scene)] == [scene.targets[0].id]
    async with scene.store.transaction() as tx:
        await tx.applications.remove(scene.applications[0].id)
    assert await seen(scene) == []
