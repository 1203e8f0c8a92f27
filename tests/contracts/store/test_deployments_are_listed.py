"""Lists for people: newest first, filtered, page by page."""

import pytest

from boreas.domain.deployments import DeploymentState
from boreas.domain.errors import NotFound
from boreas.store.history import Wanted


async def numbers(scene, *, limit=50, cursor=None, **wishes):
    async with scene.store.reading() as tx:
        page = await tx.deployments.page(Wanted(**wishes), limit=limit, cursor=cursor)
    return [each.number for each in page.items], page.next_cursor


async def test_pages_hold_while_new_ones_come(scene):
    for _ in range(5):
        await scene.deploy()

    first, cursor = await numbers(scene, limit=2)
    await scene.deploy()
    second, cursor = await numbers(scene, limit=2, cursor=cursor)
    third, end = await numbers(scene, limit=2, cursor=cursor)

    assert (first, second, third, end) == ([5, 4], [3, 2], [1], None)


async def test_filters_join(scene, make):
    async with scene.store.transaction() as tx:
        other = await tx.versions.add(make.version(scene.project, "2.0-RC1"))
    await scene.deploy(apps=(0,))
    await scene.deploy(apps=(1,), version=other)
    both = await scene.deploy(apps=(0, 1), version=other)
    await scene.save(both, state=DeploymentState.FAILED)
    web, api = scene.applications

    async def found(**wishes):
        return (await numbers(scene, **wishes))[0]

    assert await found() == [3, 2, 1]
    assert await found(application_id=web.id) == [3, 1]
    assert await found(application_id=api.id, version_id=other.id) == [3, 2]
    assert await found(project_id=scene.project.id) == [3, 2, 1]
    assert await found(project_id="prj_other") == []
    assert await found(environment_id=scene.environment.id, active=True) == [2, 1]
    assert await found(active=False) == [3]
    assert await found(states=[DeploymentState.FAILED, DeploymentState.SUCCESS]) == [3]
    assert await found(text="2.0-rc") == [3, 2]
    assert await found(text="#1") == [1]
    assert await found(text="ADA") == [3, 2, 1]
    assert await found(text="100%") == []
    assert await found(text="_") == [3, 2, 1], "ids have underscores; it stands for itself"


async def test_a_list_is_bare_unless_the_whole_is_wanted(scene):
    first = await scene.deploy()

    async with scene.store.reading() as tx:
        bare = (await tx.deployments.page(Wanted())).items[0]
        whole = (await tx.deployments.page(Wanted(), whole=True)).items[0]

    assert (bare.tasks, bare.executions) == ((), ())
    assert whole == first


async def test_an_unknown_deployment_is_not_found(scene):
    async with scene.store.reading() as tx:
        with pytest.raises(NotFound):
            await tx.deployments.get("dep_nothing")
