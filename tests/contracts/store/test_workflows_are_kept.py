"""Workflow templates, their versions, and what deployments took of them, on both databases."""

from dataclasses import replace

import pytest

from boreas.domain.deployments import WorkflowOrigin
from boreas.domain.errors import Conflict, NotFound
from boreas.domain.workflows.templates import Workflow, WorkflowVersion

from .conftest import NOW, Scene, Stores


@pytest.fixture(autouse=True)
def databases(stores: Stores) -> None:
    if stores.kind == "memory":
        pytest.skip("the double has no workflows: the runtime never asks for one")


def a_workflow(scene: Scene, **changes) -> Workflow:
    made = Workflow(
        id="wfl_1", project_id=scene.project.id, name="release", created_at=NOW, updated_at=NOW
    )
    return replace(made, **changes)


def a_version(number: int, text: str = "tasks: []") -> WorkflowVersion:
    return WorkflowVersion(
        id=f"wfv_{number}",
        workflow_id="wfl_1",
        number=number,
        text=text,
        author="ada",
        created_at=NOW,
    )


async def test_versions_come_newest_first_and_by_their_number(scene: Scene) -> None:
    async with scene.store.transaction() as tx:
        await tx.workflows.add(a_workflow(scene))
        for number in (1, 2, 10):
            await tx.workflow_versions.add(a_version(number, text=f"# {number}"))
    async with scene.store.transaction() as tx:
        await tx.workflows.locked("wfl_1")
        page = await tx.workflow_versions.page(within="wfl_1", limit=2)
        rest = await tx.workflow_versions.page(within="wfl_1", cursor=page.next_cursor)
        second = await tx.workflow_versions.numbered("wfl_1", 2)

    assert [it.number for it in [*page.items, *rest.items]] == [10, 2, 1]
    assert second.text == "# 2"


@pytest.mark.parametrize("number", [0, -1, 3, 2**31, 2**63])
async def test_a_number_that_is_not_there_is_not_found(scene: Scene, number: int) -> None:
    async with scene.store.transaction() as tx:
        await tx.workflows.add(a_workflow(scene))
        with pytest.raises(NotFound):
            await tx.workflow_versions.numbered("wfl_1", number)


async def test_a_name_is_taken_once_in_a_project(scene: Scene) -> None:
    async with scene.store.transaction() as tx:
        await tx.workflows.add(a_workflow(scene))

    with pytest.raises(Conflict):
        await _added(scene, a_workflow(scene, id="wfl_2"))


async def _added(scene: Scene, workflow: Workflow) -> None:
    async with scene.store.transaction() as tx:
        await tx.workflows.add(workflow)


async def test_a_deployment_s_copy_outlives_the_workflow(scene: Scene) -> None:
    deployment, releases, views = scene.draft()
    async with scene.store.transaction() as tx:
        await tx.workflows.add(a_workflow(scene))
        stored = await tx.deployments.create(deployment, releases, views, wake_at=None)
        origin = WorkflowOrigin(id="wfl_1", name="release", version=1)
        await tx.workflows.keep_copy(stored.id, origin, "tasks: []")
    async with scene.store.transaction() as tx:
        await tx.workflows.remove("wfl_1")
    async with scene.store.reading() as tx:
        copy = await tx.workflows.copy_of(stored.id)

    assert copy is not None
    assert (copy.workflow_id, copy.number, copy.text) == ("wfl_1", 1, "tasks: []")
