"""A store remembers what it wrote; what it answers is always what the database holds."""

from dataclasses import replace

import pytest

from boreas.domain.deployments import TaskState


async def save_and_fail(scene, first, after):
    async with scene.store.transaction() as tx:
        await tx.work.claim([first.id])
        await tx.work.save(first, after, wake_at=None, now=first.created_at)
        await tx.work.load([first.id], first.created_at)
        raise RuntimeError


async def test_an_undone_save_is_not_remembered_even_if_its_revision_comes_again(scene):
    first = await scene.deploy()
    wrong = replace(first.tasks[0], name="undone", state=TaskState.RUNNING)
    with pytest.raises(RuntimeError):
        await save_and_fail(scene, first, replace(first, tasks=(wrong,)))

    right = await scene.save(first, tasks=(replace(first.tasks[0], name="done"),))

    loaded = (await scene.load(first))[first.id].snapshot.deployment
    assert loaded == right
    assert loaded.tasks[0].name == "done"


async def test_what_is_remembered_equals_what_is_stored(scene):
    first = await scene.deploy(apps=2)
    one, two = first.tasks
    saved = await scene.save(first, tasks=(two, replace(one, name="renamed")), fence=4)
    saved = await scene.save(saved, executions=saved.executions[:2])

    remembered = (await scene.load(first))[first.id].snapshot.deployment
    async with scene.store.reading() as tx:
        stored = await tx.deployments.get(first.id)

    assert remembered == stored == saved


async def test_many_deployments_are_loaded_in_as_many_queries_as_one(stores, new_scene):
    if stores.kind == "memory":
        pytest.skip("the double asks no database")
    from sqlalchemy import event

    store = await stores.open()
    scene = await new_scene(store)
    many = [await scene.deploy() for _ in range(12)]
    asked = []

    def count(connection, cursor, statement, *rest):
        asked.append(statement)

    event.listen(store._engine.sync_engine, "before_cursor_execute", count)
    await scene.load(many[0])
    for_one = len(asked)
    asked.clear()
    await scene.load(*many)

    assert len(asked) == for_one
    assert for_one < 20


async def test_many_saves_are_sent_in_as_many_statements_as_one(stores, new_scene):
    if stores.kind == "memory":
        pytest.skip("the double asks no database")
    from sqlalchemy import event

    store = await stores.open()
    scene = await new_scene(store)
    many = [await scene.deploy() for _ in range(12)]
    writes = []

    def count(connection, cursor, statement, *rest):
        if statement.startswith(("INSERT", "UPDATE", "DELETE")):
            writes.append(statement)

    async def change(*deployments, name):
        async with store.transaction() as tx:
            loaded = await tx.work.load(
                await tx.work.claim([d.id for d in deployments]), scene.version.created_at
            )
            for each in loaded.values():
                before = each.snapshot.deployment
                tasks = tuple(replace(task, name=name) for task in before.tasks)
                executions = tuple(replace(e, reason=name) for e in before.executions)
                after = replace(before, tasks=tasks, executions=executions)
                await tx.work.save(before, after, wake_at=None, now=before.created_at)

    event.listen(store._engine.sync_engine, "before_cursor_execute", count)
    await change(many[0], name="one")
    for_one = len(writes)
    writes.clear()
    await change(*many, name="all")

    assert len(writes) == for_one == 3
    async with store.reading() as tx:
        assert (await tx.deployments.get(many[-1].id)).executions[-1].reason == "all"
