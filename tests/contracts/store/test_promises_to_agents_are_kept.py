"""The outbox: saved with the state, in order, until the agent has it."""

from dataclasses import replace

from boreas.domain.delivery import CredentialUse
from boreas.domain.deployments import ExecutionState
from boreas.domain.ids import ExecutionId
from boreas.domain.outbox import OutboxKind, OutboxRow
from boreas.domain.secrets import SecretRef
from boreas.domain.variables import VariableSnapshot


def promise(deployment, ordinal, *, kind=OutboxKind.ORDER, body=b"\x00\xffbody"):
    execution = deployment.executions[ordinal]
    return OutboxRow(
        agent_id=execution.agent_id,
        kind=kind,
        order_id=execution.order_id,
        deployment_id=deployment.id,
        scope="t/a",
        fence=3,
        body=body,
    )


async def put(scene, *rows):
    async with scene.store.transaction() as tx:
        return await tx.outbox.put(rows)


async def waiting_for(scene, agent):
    async with scene.store.transaction() as tx:
        return list(await tx.outbox.for_agent(agent.id))


async def test_promises_come_back_whole_and_in_order(scene):
    first = await scene.deploy(apps=2)
    rows = [promise(first, 0), promise(first, 3, kind=OutboxKind.CANCEL), promise(first, 1)]

    stored = await put(scene, *rows)

    assert [replace(row, id=0) for row in stored] == rows
    assert await waiting_for(scene, scene.agents[0]) == stored[:2]


async def test_numbers_grow_from_transaction_to_transaction(scene):
    first = await scene.deploy(targets=1)

    stored = [(await put(scene, promise(first, 0)))[0] for _ in range(3)]
    many = await put(scene, *[promise(first, 0) for _ in range(120)])

    ids = [row.id for row in [*stored, *many]]
    assert ids == sorted(set(ids))


async def test_whoever_has_not_acknowledged_something_is_named(scene):
    first = await scene.deploy(targets=2)
    stored = await put(scene, promise(first, 0), promise(first, 0), promise(first, 1))
    async with scene.store.transaction() as tx:
        await tx.outbox.taken([stored[2].id])

    async with scene.store.reading() as tx:
        assert list(await tx.outbox.agents()) == [stored[0].agent_id]


async def test_what_an_agent_has_is_forgotten(scene):
    first = await scene.deploy(apps=2)
    one, two = await put(scene, promise(first, 0), promise(first, 3))

    async with scene.store.transaction() as tx:
        await tx.outbox.taken([one.id])

    assert await waiting_for(scene, scene.agents[0]) == [two]


async def test_promises_of_executions_that_became_final_are_removed(scene):
    first = await scene.deploy(apps=2)
    _, other = await put(scene, promise(first, 0), promise(first, 3))
    over = replace(first.executions[0], state=ExecutionState.CANCELLED)

    await scene.save(first, executions=(over, *first.executions[1:]))

    assert await waiting_for(scene, scene.agents[0]) == [other]


async def test_unfinished_orders_are_those_the_agent_took_and_did_not_end(scene):
    first = await scene.deploy(apps=2)
    taken, on_its_way = first.executions[0], first.executions[3]
    in_flight = [replace(e, state=ExecutionState.ORDERED) for e in (taken, on_its_way)]
    rest = [e for e in first.executions if e.ordinal not in (0, 3)]
    executions = tuple(sorted([*in_flight, *rest], key=lambda e: e.ordinal))
    await scene.save(first, executions=executions)
    await put(scene, promise(first, 3))

    async with scene.store.transaction() as tx:
        unfinished = await tx.links.unfinished_orders(scene.agents[0].id)

    assert list(unfinished) == [taken.order_id]


async def test_the_fence_only_grows(scene):
    drawn = []
    for _ in range(3):
        async with scene.store.transaction() as tx:
            drawn += [await tx.work.next_fence(), await tx.work.next_fence()]

    assert drawn == sorted(set(drawn))


async def test_an_execution_says_which_secrets_its_order_has(scene):
    of_release, of_project = (
        SecretRef(owner_id="a", revision=2),
        SecretRef(owner_id="b", revision=1),
    )
    git = CredentialUse(credential_id="c", type="ssh", ref=SecretRef(owner_id="c", revision=3))
    deployment, (release,), views = scene.draft()
    release = replace(
        release,
        variables=VariableSnapshot(secret={"TOKEN": of_release}),
        credentials={"git": git},
    )
    first, second, *_ = deployment.executions
    alone = replace(second, release_id=None)
    deployment = replace(
        deployment,
        executions=(first, alone),
        variables=VariableSnapshot(secret={"OTHER": of_project}),
    )
    async with scene.store.transaction() as tx:
        await tx.deployments.create(deployment, [release], views, wake_at=None)

    async with scene.store.reading() as tx:
        places = await tx.links.places([first.id, alone.id])

    assert places[first.id].secret_variables == {"TOKEN": of_release}
    assert places[first.id].credentials == {"git": git}
    assert places[alone.id].secret_variables == {"OTHER": of_project}
    assert not places[alone.id].credentials


async def test_an_execution_says_where_it_belongs(scene):
    deployment = await scene.deploy()
    execution = deployment.executions[0]

    async with scene.store.reading() as tx:
        places = await tx.links.places([execution.id, ExecutionId("unknown.1")])

    assert list(places) == [execution.id]
    assert places[execution.id].task_id == execution.task_id
    assert places[execution.id].agent_id == execution.agent_id
    assert places[execution.id].deployment_id == deployment.id
