"""Admission: the locks of (application, environment), the queue, and who gives way."""

from dataclasses import replace

from boreas.domain.deployments import DeploymentState, Origin
from boreas.domain.projects import QueuePolicy

SUCCESS = DeploymentState.SUCCESS


async def admission_of(scene, deployment):
    return (await scene.load(deployment))[deployment.id].snapshot.admission


async def test_the_first_one_gets_its_locks(scene):
    first = await scene.queue(await scene.deploy(apps=2))

    assert first.admitted_at
    assert (await admission_of(scene, first)).granted


async def test_the_second_one_waits_and_sees_who_holds_them(scene):
    first = await scene.queue(await scene.deploy())
    second = await scene.queue(await scene.deploy())

    stands = await admission_of(scene, second)

    assert not second.admitted_at
    assert not stands.granted
    assert stands.place == 1
    assert [(h.deployment_id, h.number, h.active) for h in stands.holders] == [(first.id, 1, True)]
    assert stands.holders[0].application_id == scene.applications[0].id


async def test_the_third_one_sees_the_queue_before_it(scene):
    await scene.queue(await scene.deploy())
    second = await scene.queue(await scene.deploy())
    third = await scene.queue(await scene.deploy())

    stands = await admission_of(scene, third)

    assert stands.place == 2
    assert [(h.number, h.active) for h in stands.holders] == [(1, True), (2, False)]
    assert stands.holders[1].deployment_id == second.id


async def test_all_locks_are_taken_or_none(scene):
    await scene.queue(await scene.deploy(apps=(0,)))
    both = await scene.queue(await scene.deploy(apps=(0, 1)))

    other = await scene.deploy(apps=(1,))
    async with scene.store.transaction() as tx:
        await tx.work.claim([other.id])
        early = await tx.work.try_admit(replace(other, number=0), other.created_at)

    assert not both.admitted_at
    assert early.granted, "the second application's lock was not left behind"


async def test_nobody_overtakes_a_lower_number(scene):
    holder = await scene.queue(await scene.deploy(apps=(0,)))
    await scene.queue(await scene.deploy(apps=(0, 1)))

    late = await scene.queue(await scene.deploy(apps=(1,)))

    assert not late.admitted_at
    assert holder.admitted_at


async def test_other_applications_go_on_side_by_side(scene):
    first = await scene.queue(await scene.deploy(apps=(0,)))
    second = await scene.queue(await scene.deploy(apps=(1,)))

    assert first.admitted_at
    assert second.admitted_at


async def test_giving_locks_back_makes_the_queue_due(scene):
    first = await scene.queue(await scene.deploy(wake_at=None))
    second = await scene.queue(await scene.deploy(wake_at=None))
    elsewhere = await scene.queue(await scene.deploy(apps=(1,), wake_at=None))

    await scene.finish(first, SUCCESS)

    assert await scene.due() == [second.id]
    assert (await scene.queue(second)).admitted_at
    assert elsewhere.admitted_at


async def test_one_that_ends_while_it_waits_makes_those_behind_it_due(scene):
    first = await scene.queue(await scene.deploy(wake_at=None))
    second = await scene.queue(await scene.deploy(wake_at=None))
    third = await scene.queue(await scene.deploy(wake_at=None))

    await scene.save(second, state=DeploymentState.CANCELLED)

    assert third.id in await scene.due()
    assert (await admission_of(scene, third)).place == 1
    assert first.admitted_at


async def test_an_older_automatic_one_learns_of_a_newer_that_already_succeeded(scene, make):
    older = scene.version
    async with scene.store.transaction() as tx:
        newer = await tx.versions.add(make.version(scene.project, "2.0"))
    done = await scene.queue(await scene.deploy(version=newer))
    await scene.finish(done, SUCCESS)

    automatic = await scene.deploy(version=older, origin=Origin.AUTOMATIC)
    by_hand = await scene.deploy(version=older)

    assert (await admission_of(scene, automatic)).newer_version_deployed == "2.0"
    assert (await admission_of(scene, by_hand)).newer_version_deployed is None


async def test_coalescing_names_the_newest_waiting_automatic_one(store, new_scene):
    scene = await new_scene(store, queue_policy=QueuePolicy.COALESCE)
    await scene.queue(await scene.deploy())
    first = await scene.queue(await scene.deploy(origin=Origin.AUTOMATIC))
    await scene.queue(await scene.deploy(origin=Origin.AUTOMATIC))
    newest = await scene.queue(await scene.deploy(origin=Origin.AUTOMATIC))

    stands = await admission_of(scene, first)

    assert stands.superseded_by == newest.id
    assert stands.superseded_by_number == newest.number
    assert stands.policy is QueuePolicy.COALESCE
    assert (await admission_of(scene, newest)).superseded_by is None


async def test_one_that_brings_less_supersedes_nobody(store, new_scene):
    scene = await new_scene(store, queue_policy=QueuePolicy.COALESCE)
    await scene.queue(await scene.deploy(apps=2))
    both = await scene.queue(await scene.deploy(apps=2, origin=Origin.AUTOMATIC))
    await scene.queue(await scene.deploy(apps=1, origin=Origin.AUTOMATIC))

    assert (await admission_of(scene, both)).superseded_by is None


async def test_one_that_is_superseded_keeps_nobody_waiting(store, new_scene):
    scene = await new_scene(store, queue_policy=QueuePolicy.COALESCE)
    await scene.queue(await scene.deploy(apps=(0,)))
    await scene.queue(await scene.deploy(apps=(0, 1), origin=Origin.AUTOMATIC, wake_at=None))
    by_hand = await scene.queue(await scene.deploy(apps=(1,), wake_at=None))
    await scene.queue(await scene.deploy(apps=(0, 1), origin=Origin.AUTOMATIC, wake_at=None))

    later = await scene.queue(by_hand)

    assert not by_hand.admitted_at
    assert later.admitted_at


async def test_one_that_is_superseded_becomes_due_to_hear_of_it(store, new_scene):
    scene = await new_scene(store, queue_policy=QueuePolicy.COALESCE)
    await scene.queue(await scene.deploy(wake_at=None))
    old = await scene.queue(await scene.deploy(origin=Origin.AUTOMATIC, wake_at=None))
    by_hand = await scene.queue(await scene.deploy(wake_at=None))
    assert await scene.due() == []

    await scene.queue(await scene.deploy(origin=Origin.AUTOMATIC, wake_at=None))

    assert await scene.due() == [old.id]
    assert not by_hand.admitted_at


async def test_the_queue_can_be_asked_without_a_lock(scene):
    await scene.queue(await scene.deploy())
    second = await scene.queue(await scene.deploy())

    async with scene.store.reading() as tx:
        stands = await tx.deployments.admissions([second])

    assert stands[second.id].place == 1
