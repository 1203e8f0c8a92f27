"""Projects and what they own, agents, users: names, order, pages, removal."""

import asyncio
from dataclasses import replace

import pytest

from boreas.domain.deployments import DeploymentState
from boreas.domain.errors import Conflict, InvalidInput, NotFound
from boreas.domain.projects import Project
from boreas.kit.ids import new_id


async def add(store, part, value):
    async with store.transaction() as tx:
        return await getattr(tx, part).add(value)


async def remove(store, part, key):
    async with store.transaction() as tx:
        await getattr(tx, part).remove(key)


def a_project(scene, name):
    return Project(id=new_id("prj"), name=name, created_at=scene.project.created_at)


async def test_every_noun_reads_back_as_it_was_stored(scene):
    async with scene.store.reading() as tx:
        assert await tx.projects.get(scene.project.id) == scene.project
        assert await tx.applications.all(within=scene.project.id) == scene.applications
        assert await tx.environments.named("prod", within=scene.project.id) == scene.environment
        assert await tx.targets.all(within=scene.environment.id) == scene.targets
        assert await tx.versions.get(scene.version.id) == scene.version
        assert await tx.agents.called("node-1") == scene.agents[1]
        assert await tx.agents.called(scene.agents[1].id) == scene.agents[1]
        assert await tx.agents.with_key(scene.agents[2].key_sha256) == scene.agents[2]


async def test_many_are_asked_for_at_once_and_unknown_ones_left_out(scene):
    wanted = {scene.agents[0].id, scene.agents[2].id, "agt_nobody"}

    async with scene.store.reading() as tx:
        found = await tx.agents.among(wanted)
        none = await tx.agents.among(())

    assert found == {it.id: it for it in (scene.agents[0], scene.agents[2])}
    assert none == {}


async def test_a_taken_name_is_refused_naming_the_field(scene, make):
    again = [
        ("projects", a_project(scene, "shop")),
        ("applications", make.application(scene.project, "web")),
        ("environments", replace(scene.environment, id="env_2")),
        ("targets", make.target(scene.environment, "target-0", scene.agents[0])),
        ("versions", make.version(scene.project, "1.0")),
        ("agents", make.agent("node-0")),
    ]
    for part, value in again:
        with pytest.raises(Conflict) as refused:
            await add(scene.store, part, value)
        assert refused.value.fields[0].field == "name", part


async def test_the_same_name_is_free_in_another_parent(scene, make):
    other = await add(scene.store, "projects", a_project(scene, "other"))

    await add(scene.store, "applications", make.application(other, "web"))


async def test_a_change_may_not_take_anothers_name_either(scene):
    other = await add(scene.store, "projects", a_project(scene, "other"))

    async def rename():
        async with scene.store.transaction() as tx:
            await tx.projects.change(replace(other, name="shop"))

    with pytest.raises(Conflict):
        await rename()


async def test_a_change_is_written_and_of_something_unknown_refused(scene):
    changed = replace(scene.applications[0], name="web2", spec={"scripts": {"deploy": "false"}})
    async with scene.store.transaction() as tx:
        await tx.applications.change(changed)
    async with scene.store.reading() as tx:
        assert await tx.applications.get(changed.id) == changed

    async def change_nothing():
        async with scene.store.transaction() as tx:
            await tx.projects.change(a_project(scene, "new"))

    with pytest.raises(NotFound):
        await change_nothing()


async def test_what_is_not_there_is_not_found(scene):
    for part in ("projects", "applications", "environments", "targets", "agents", "users"):
        with pytest.raises(NotFound):
            await remove(scene.store, part, "nothing")
        async with scene.store.reading() as tx:
            assert await getattr(tx, part).find("nothing") is None


async def test_a_child_of_nothing_is_refused(scene, make):
    orphan = replace(make.application(scene.project, "x"), project_id="prj_nothing")

    with pytest.raises(NotFound):
        await add(scene.store, "applications", orphan)


async def test_a_page_is_stable_while_rows_are_added(scene):
    for n in range(0, 10, 2):
        await add(scene.store, "projects", a_project(scene, f"p{n}"))

    async with scene.store.reading() as tx:
        first = await tx.projects.page(limit=2)
    await add(scene.store, "projects", a_project(scene, "p1"))
    await add(scene.store, "projects", a_project(scene, "p5"))
    seen, cursor = list(first.items), first.next_cursor
    while cursor:
        async with scene.store.reading() as tx:
            page = await tx.projects.page(limit=2, cursor=cursor)
        seen += page.items
        cursor = page.next_cursor

    assert [each.name for each in seen] == ["p0", "p2", "p4", "p5", "p6", "p8", "shop"]


async def test_names_sort_bytewise_everywhere(scene):
    for name in ("Zebra", "apple", "Äpfel", "apple-2", "apple 1"):
        await add(scene.store, "projects", a_project(scene, name))

    async with scene.store.reading() as tx:
        names = [each.name for each in await tx.projects.all()]

    assert names == sorted(names)


async def test_a_cursor_that_nobody_gave_is_refused(scene):
    async with scene.store.reading() as tx:
        for cursor in ("%%%", "bm90IGpzb24", "WzFd", "", "e30"):
            with pytest.raises(InvalidInput):
                await tx.projects.page(cursor=cursor)


async def test_versions_are_listed_newest_first_and_never_change(scene, make):
    newer = await add(scene.store, "versions", make.version(scene.project, "2.0"))

    async with scene.store.reading() as tx:
        first = await tx.versions.page(within=scene.project.id, limit=1)
        second = await tx.versions.page(within=scene.project.id, limit=1, cursor=first.next_cursor)

    assert [*first.items, *second.items] == [newer, scene.version]
    with pytest.raises(Conflict):
        await remove(scene.store, "versions", newer.id)


async def test_targets_keep_their_order_and_can_be_put_in_another(scene, make):
    added = await add(
        scene.store, "targets", make.target(scene.environment, "a-last", scene.agents[0])
    )
    ids = [target.id for target in scene.targets]
    async with scene.store.transaction() as tx:
        await tx.targets.in_order(scene.environment.id, [added.id, *reversed(ids)])

    async with scene.store.reading() as tx:
        ordered = await tx.targets.all(within=scene.environment.id)

    assert [target.id for target in ordered] == [added.id, *reversed(ids)]
    assert [target.position for target in ordered] == [0, 1, 2, 3]


async def test_an_order_must_name_every_target(scene):
    async def forget_one():
        async with scene.store.transaction() as tx:
            await tx.targets.in_order(scene.environment.id, [scene.targets[0].id])

    with pytest.raises(InvalidInput):
        await forget_one()


async def test_nothing_an_active_deployment_uses_can_be_removed(scene):
    first = await scene.deploy()
    used = [
        ("projects", scene.project.id),
        ("applications", scene.applications[0].id),
        ("environments", scene.environment.id),
        ("targets", scene.targets[0].id),
        ("agents", scene.agents[0].id),
    ]
    for part, key in used:
        with pytest.raises(Conflict) as refused:
            await remove(scene.store, part, key)
        assert f"#{first.number}" in refused.value.message, part


async def test_an_agent_that_a_target_needs_is_not_removed(scene, make):
    with pytest.raises(Conflict) as refused:
        await remove(scene.store, "agents", scene.agents[0].id)
    assert "target-0" in refused.value.message

    spare = await add(scene.store, "agents", make.agent("spare"))
    await remove(scene.store, "agents", spare.id)


async def test_a_project_goes_with_everything_below_it(scene):
    first = await scene.deploy()
    await scene.queue(first)
    running = (await scene.load(first))[first.id].snapshot.deployment
    await scene.finish(running, DeploymentState.SUCCESS)

    await remove(scene.store, "projects", scene.project.id)

    async with scene.store.reading() as tx:
        assert await tx.projects.find(scene.project.id) is None
        assert await tx.applications.find(scene.applications[0].id) is None
        assert await tx.targets.find(scene.targets[0].id) is None
        assert await tx.versions.find(scene.version.id) is None
        assert await tx.deployments.events(first.id) == []
        with pytest.raises(NotFound):
            await tx.deployments.get(first.id)
        assert await tx.agents.find(scene.agents[0].id) is not None
    async with scene.store.transaction() as tx:
        assert await tx.work.earliest_wake() is None


async def test_a_deployment_of_something_removed_is_refused(scene):
    draft, releases, views = scene.draft()
    await remove(scene.store, "targets", scene.targets[0].id)

    async def create():
        async with scene.store.transaction() as tx:
            await tx.deployments.create(draft, releases, views, wake_at=None)

    with pytest.raises(NotFound):
        await create()


async def test_a_revoked_agent_stays_revoked_since_the_first_time(scene):
    agent = scene.agents[0]
    for _ in range(2):
        async with scene.store.transaction() as tx:
            await tx.agents.revoke(agent.id, agent.enrolled_at)
    first = await scene.deploy()

    view = (await scene.load(first))[first.id].snapshot.agents[agent.id]

    assert view.revoked


async def test_reading_never_waits_for_a_writer(scene):
    async with scene.store.transaction() as tx:
        await tx.projects.add(a_project(scene, "unseen"))
        async with asyncio.timeout(2), scene.store.reading() as reader:
            assert await reader.projects.named("unseen") is None


async def test_a_reader_sees_one_moment(scene):
    async with scene.store.reading() as reader:
        assert await reader.projects.named("later") is None
        await add(scene.store, "projects", a_project(scene, "later"))
        assert await reader.projects.named("later") is None


async def test_writers_that_meet_take_turns(scene):
    async def one(n):
        async with scene.store.transaction() as tx:
            return await tx.versions.add(
                replace(scene.version, id=new_id("ver"), name=f"v{n}", sequence=0)
            )

    added = await asyncio.gather(*(one(n) for n in range(20)))

    assert len({version.sequence for version in added}) == 20
