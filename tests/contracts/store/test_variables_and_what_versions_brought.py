"""Variables per level, and what is known of a version: where it succeeded, what it was resolved to.

The in-memory double has neither: only the server asks for them.
"""

from dataclasses import replace
from typing import Any

import pytest

from boreas.domain.deployments import DeploymentState, Origin
from boreas.domain.errors import Conflict
from boreas.domain.projects import Block
from boreas.domain.secrets import SecretRef
from boreas.domain.variables import Variable, VariableSnapshot
from boreas.kit.ids import new_id


@pytest.fixture
def stores(stores: Any) -> Any:
    if stores.kind == "memory":
        pytest.skip("the in-memory store keeps no variables")
    return stores


def a_variable(scene: Any, name: str, **changes: Any) -> Variable:
    given = {"owner_id": scene.project.id, "value": "x", "updated_at": scene.project.created_at}
    return Variable(
        id=new_id("var"), project_id=scene.project.id, name=name, **{**given, **changes}
    )


async def test_a_list_is_replaced_and_what_stays_keeps_its_id(scene: Any) -> None:
    first = [a_variable(scene, "A"), a_variable(scene, "B")]
    async with scene.store.transaction() as tx:
        await tx.variables.replace(scene.project.id, first)
    secret = replace(first[1], value=None, secret=SecretRef(owner_id=first[1].id, revision=1))

    async with scene.store.transaction() as tx:
        await tx.variables.replace(scene.project.id, [secret, a_variable(scene, "C")])

    async with scene.store.reading() as tx:
        found = await tx.variables.all(within=scene.project.id)
    assert [it.name for it in found] == ["B", "C"]
    assert found[0] == secret


async def test_levels_are_read_together_and_go_with_their_owner(scene: Any) -> None:
    environment = scene.environment.id
    async with scene.store.transaction() as tx:
        await tx.variables.replace(scene.project.id, [a_variable(scene, "A")])
        inner = a_variable(scene, "A", owner_id=environment, environment_id=environment)
        await tx.variables.replace(environment, [inner])

    async with scene.store.transaction() as tx:
        both = await tx.variables.of_levels([scene.project.id, environment, "nobody"])
        await tx.environments.remove(environment)
        left = await tx.variables.of_levels([environment])

    assert [len(both[key]) for key in (scene.project.id, environment, "nobody")] == [1, 1, 0]
    assert left == {environment: []}


async def ended(scene: Any, rollback_of: Any = None, **snapshot: str) -> Any:
    draft, releases, views = scene.draft(
        origin=Origin.MANUAL if rollback_of is None else Origin.ROLLBACK
    )
    draft = replace(draft, rollback_of=rollback_of)
    frozen = VariableSnapshot(plain=snapshot)
    releases = [replace(it, variables=frozen) for it in releases]
    async with scene.store.transaction() as tx:
        made = await tx.deployments.create(draft, releases, views, wake_at=None)
        over = replace(made, state=DeploymentState.SUCCESS)
        await tx.work.save(made, over, wake_at=None, now=made.created_at)
    return made


async def test_a_version_succeeded_where_it_came_and_was_not_taken_back(scene: Any) -> None:
    first = await ended(scene)
    await ended(scene, first.id)
    async with scene.store.reading() as tx:
        assert await tx.releases.succeeded(scene.version.id) == {}

    await ended(scene)

    async with scene.store.reading() as tx:
        assert await tx.releases.succeeded(scene.version.id) == {
            scene.environment.id: {scene.applications[0].id}
        }


async def test_the_newest_release_of_a_version_counts(scene: Any) -> None:
    await ended(scene, X="1")
    made = await ended(scene, X="2")

    async with scene.store.reading() as tx:
        found = await tx.releases.newest_of(scene.version.id, scene.environment.id)
        nowhere = await tx.releases.newest_of(scene.version.id, "elsewhere")
        task = await tx.releases.newest_task(scene.project.id, made.tasks[0].id)

    assert found[scene.applications[0].id].variables.plain == {"X": "2"}
    assert nowhere == {}
    assert task is not None
    assert task[1] == made.id


async def test_of_a_version_only_the_block_may_change(scene: Any) -> None:
    block = Block(reason="bad", by="ada", at=scene.project.created_at)

    async with scene.store.transaction() as tx:
        marked = await tx.versions.mark(scene.version.id, block)
        with pytest.raises(Conflict):
            await tx.versions.change(replace(scene.version, name="other"))

    async with scene.store.reading() as tx:
        assert await tx.versions.get(scene.version.id) == marked
    assert marked == replace(scene.version, blocked=block)
