"""The audit trail: in the transaction of the change, in one chain, and never changed again."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import insert, text, update

from boreas.domain.audit import Author, Break, Head, Link, difference, follow
from boreas.domain.permissions import Member, Role, Standing
from boreas.kit.ids import new_id
from boreas.store import SqlStore
from boreas.store.audit import Sought
from boreas.store.release_tables import audit


class Ada:
    author = Author(user_id="usr_1", name="ada", address="192.0.2.1", via="session")


@pytest.fixture(params=["sqlite", "postgres"])
async def trail(request, tmp_path):
    url = None
    if request.param == "postgres":
        url = request.getfixturevalue("private_postgres").new_database()
    async with SqlStore.open(url, tmp_path) as store:
        yield store


async def note(store, subject="p1", action="project.update", **more):
    async with store.transaction() as tx:
        await tx.audit.note(Ada(), action, "project", subject, **more)


async def verdict(store):
    async with store.reading() as tx:
        return follow(Head(), await tx.audit.links(after=0))


async def test_entries_follow_each_other_without_a_gap(trail):
    await note(
        trail, project_id="p1", before={"name": "a", "kept": 1}, after={"name": "b", "kept": 1}
    )
    async with trail.transaction() as tx:
        await tx.audit.note(Ada(), "one", "project", "p2")
        await tx.audit.note(Ada(), "two", "project", "p2", why="because")

    async with trail.reading() as tx:
        newest = [entry.written for entry in (await tx.audit.page(Sought())).items]
        head = await tx.audit.head()
    assert [entry["sequence"] for entry in newest] == [3, 2, 1]
    assert newest[2]["before"] == {"name": "a"}
    assert newest[2]["after"] == {"name": "b"}
    assert (newest[0]["actor"], newest[0]["address"], newest[0]["why"]) == (
        *("ada", "192.0.2.1", "because"),
    )
    assert await verdict(trail) == head


async def test_what_is_rolled_back_leaves_no_entry(trail):
    async def fail_at_the_end():
        async with trail.transaction() as tx:
            await tx.audit.note(Ada(), "one", "project", "p1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail_at_the_end()

    assert await verdict(trail) == Head()


async def test_changes_at_the_same_time_make_one_chain(trail):
    await asyncio.gather(*(note(trail, f"p{number}") for number in range(20)))

    found = await verdict(trail)
    assert isinstance(found, Head)
    assert found.sequence == 20


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'eve'", "DELETE FROM audit"])
async def test_the_database_refuses_to_change_or_remove_an_entry(trail, statement):
    await note(trail)

    with pytest.raises(Exception, match="append-only"):
        async with trail._engine.begin() as connection:
            await connection.execute(text(statement))


async def without_guard(store, statement):
    """What somebody who owns the database can do."""
    async with store._engine.begin() as connection:
        if store.is_sqlite:
            await connection.execute(text("DROP TRIGGER audit_is_not_changed"))
            await connection.execute(text("DROP TRIGGER audit_is_not_removed"))
        else:
            await connection.execute(text("DROP TRIGGER audit_is_append_only ON audit"))
        await connection.execute(statement)


async def test_the_first_entry_that_was_changed_is_named(trail):
    for number in range(5):
        await note(trail, f"p{number}")
    changed = (
        update(audit).where(audit.c.sequence == 3).values(document=audit.c.document.op("||")(" "))
    )
    await without_guard(trail, changed)

    assert await verdict(trail) == Break(
        sequence=3, problem="entry 3 was changed after it was written, or the one before it was"
    )


async def test_a_column_that_says_something_else_than_the_entry_is_named(trail):
    await note(trail)
    await without_guard(trail, update(audit).values(actor="eve"))

    assert await verdict(trail) == Break(sequence=1, problem="entry 1: its actor was changed")


async def test_an_entry_that_is_missing_is_named(trail):
    for number in range(4):
        await note(trail, f"p{number}")
    await without_guard(trail, audit.delete().where(audit.c.sequence == 2))

    found = await verdict(trail)
    assert (found.sequence, found.problem) == (2, "entry 2 is missing; the next one is 3")


async def test_an_entry_that_was_put_in_is_named(trail):
    await note(trail)
    async with trail.reading() as tx:
        link = (await tx.audit.links(after=0))[0]
    forged = {
        "sequence": 2,
        "at": trail.clock.now(),
        "actor": "ada",
        "action": "x",
        "subject_id": "p1",
        "hash": link.hash,
        "document": link.text,
    }
    async with trail._engine.begin() as connection:
        await connection.execute(insert(audit), forged)

    assert isinstance(await verdict(trail), Break)


async def test_entries_are_found_by_who_what_and_when(trail):
    await note(trail, "p1", "project.update", project_id="p1")
    await note(trail, "p2", "project.delete", project_id="p2")
    await note(trail, "u1", "user.sign_in")

    async def found(**sought):
        async with trail.reading() as tx:
            page = await tx.audit.page(Sought(**sought))
            return [entry.written["subject_id"] for entry in page.items]

    assert await found(project_ids=["p1"]) == ["p1"]
    assert await found(project_ids=[]) == []
    assert await found(action="project.") == ["p2", "p1"]
    assert await found(action="project.delete") == ["p2"]
    assert await found(actor="eve") == []
    assert await found(subject_id="u1") == ["u1"]
    assert await found(subject_kind="project") == ["u1", "p2", "p1"]
    assert await found(until=trail.clock.now()) == ["u1", "p2", "p1"]
    assert await found(since=trail.clock.now()) == []


async def test_roles_are_read_with_the_account_they_belong_to(trail):
    from boreas.domain.access import User
    from boreas.domain.projects import Project

    now = trail.clock.now()
    user = User(id="usr_1", username="ada", created_at=now)
    project = Project(id="prj_1", name="shop", created_at=now)
    member = Member(
        id=new_id("mem"), project_id="prj_1", user_id="usr_1", role=Role.OWNER, added_at=now
    )
    async with trail.transaction() as tx:
        await tx.users.add(user)
        await tx.projects.add(project)
        await tx.members.add(member)

    async with trail.transaction() as tx:
        assert await tx.members.standing("usr_1", "prj_1") == Standing(role=Role.OWNER)
        assert await tx.members.owners("prj_1") == ["usr_1"]
        assert await tx.members.roles_of("usr_1") == {"prj_1": Role.OWNER}
        await tx.users.change(replace(user, disabled_at=now))
        assert await tx.members.owners("prj_1") == []
        assert not (await tx.members.standing("usr_1", "prj_1")).is_active
        assert not (await tx.members.standing("usr_2", "prj_1")).is_active
        assert await tx.members.standing("usr_1", "prj_2") == Standing(is_active=False)


def test_a_secret_is_never_written_and_a_hash_only_as_a_fingerprint():
    before, after = difference(
        {"password_hash": "$argon2id$abc", "name": "x"},
        {"password_hash": "$argon2id$def", "name": "x", "data": {"token": "t0ken"}},
    )

    written = f"{before} {after}"
    assert "argon2" not in written
    assert "t0ken" not in written
    assert before["password_hash"] != after["password_hash"]


def test_what_is_too_long_is_kept_as_its_size_and_fingerprint():
    _, after = difference(None, {"spec": "x" * 100_000})

    assert set(after) == {"too_long", "sha256"}


def test_the_hash_covers_the_entry_before():
    assert follow(Head(), [Link(sequence=1, text="{}", hash="0", columns={})]) == Break(
        sequence=1, problem="entry 1 was changed after it was written, or the one before it was"
    )
