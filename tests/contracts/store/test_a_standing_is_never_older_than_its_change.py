"""What reading transactions remember of people's standing ends with the change of it."""

import asyncio
from dataclasses import replace

import pytest

from boreas.domain.access import User
from boreas.domain.permissions import Member, Role, Standing
from boreas.domain.projects import Project
from boreas.store import SqlStore
from boreas.store.looks import GOOD_FOR_SECONDS, Looks


@pytest.fixture(params=["sqlite", "postgres"])
async def store(request, tmp_path):
    url = None
    if request.param == "postgres":
        url = request.getfixturevalue("private_postgres").new_database()
    async with SqlStore.open(url, tmp_path) as opened:
        now = opened.clock.now()
        async with opened.transaction() as tx:
            await tx.users.add(User(id="usr", username="ada", created_at=now))
            await tx.projects.add(Project(id="prj", name="shop", created_at=now))
            await tx.members.add(member(now))
        yield opened


def member(now):
    return Member(id="mem", project_id="prj", user_id="usr", role=Role.OWNER, added_at=now)


async def standing(store):
    async with store.reading() as tx:
        look = await tx.places.look("project_id", "prj", "usr")
        assert look.standing == await tx.members.standing("usr", "prj")
        return look.standing


async def test_a_change_of_role_is_seen_by_the_next_reader(store):
    assert await standing(store) == Standing(role=Role.OWNER)
    async with store.transaction() as tx:
        await tx.members.change(replace(await tx.members.get("mem"), role=Role.VIEWER))

    assert await standing(store) == Standing(role=Role.VIEWER)


async def test_who_is_removed_or_disabled_is_so_for_the_next_reader(store):
    await standing(store)
    async with store.transaction() as tx:
        await tx.members.remove("mem")
    assert (await standing(store)).role is None

    async with store.transaction() as tx:
        disabled = replace(await tx.users.get("usr"), disabled_at=store.clock.now())
        await tx.users.change(disabled)
    assert not (await standing(store)).is_active


async def test_a_writer_never_relies_on_what_was_seen(store):
    await standing(store)
    async with store.transaction() as tx:
        await tx.members.change(replace(await tx.members.get("mem"), role=Role.VIEWER))
        assert (await tx.members.standing("usr", "prj")).role is Role.VIEWER


async def test_who_began_before_the_change_does_not_keep_what_they_read(store):
    async with store.reading() as old:
        await old.users.find("usr")
        async with store.transaction() as tx:
            await tx.members.change(replace(await tx.members.get("mem"), role=Role.VIEWER))
        assert (await old.members.standing("usr", "prj")).role is Role.OWNER, "their moment"

    assert (await standing(store)).role is Role.VIEWER


def test_what_was_seen_counts_for_a_short_time_only():
    class Hand:
        at = 0.0

        def monotonic(self):
            return self.at

    hand = Hand()
    looks = Looks(hand)
    looks.keep(("a",), 1, looks.generation)
    assert looks.recall(("a",)) == 1

    hand.at += GOOD_FOR_SECONDS + 0.1

    assert looks.recall(("a",)) is None


async def test_changes_of_the_same_members_come_one_after_the_other(store):
    """Hazard 71: of two owners who are demoted at the same moment, the second is seen as last."""
    now = store.clock.now()
    async with store.transaction() as tx:
        await tx.users.add(User(id="usr2", username="grace", created_at=now))
        await tx.members.add(replace(member(now), id="mem2", user_id="usr2"))

    async def demote(member_id):
        async with store.transaction() as tx:
            await tx.members.take_turn("prj")
            found = await tx.members.of(member_id, "prj")
            if await tx.members.owners("prj") == [found.user_id]:
                return "last"
            await tx.members.change(replace(found, role=Role.VIEWER))
            return "demoted"

    ended = await asyncio.gather(demote("mem"), demote("mem2"))

    assert sorted(ended) == ["demoted", "last"]
