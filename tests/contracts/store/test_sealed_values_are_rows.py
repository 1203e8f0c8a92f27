"""The one table of ciphertexts on both databases; its double ships in `boreas.testing.secrets`."""

from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from boreas.credentials.ports import SecretsTx
from boreas.domain.credentials import CredentialAction, CredentialEvent
from boreas.domain.errors import Conflict
from boreas.domain.ids import ProjectId
from boreas.domain.secrets import SealedSecret, SecretKind, SecretRef
from boreas.store import SqlStore
from boreas.testing.secrets import MemorySecrets

BORN = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
async def shelf(stores: Any) -> Any:
    if stores.kind == "memory":
        return MemorySecrets()
    return await stores.open()


def a_row(owner: str, revision: int = 1, **more: Any) -> SealedSecret:
    return SealedSecret(
        **{
            "kind": SecretKind.VARIABLE,
            "owner_id": owner,
            "revision": revision,
            "project_id": ProjectId("prj_1"),
            "key_id": "old",
            "sealed": b"\x00\xff" + owner.encode(),
            "created_at": BORN,
            **more,
        }
    )


def transaction(shelf: Any) -> AbstractAsyncContextManager[SecretsTx]:
    found: AbstractAsyncContextManager[SecretsTx] = shelf.transaction()
    return found


async def test_a_row_comes_back_as_it_was(shelf: Any) -> None:
    rows = [a_row("a"), a_row("a", 2, project_id=None), a_row("b", kind=SecretKind.CREDENTIAL)]
    async with transaction(shelf) as tx:
        for row in rows:
            await tx.secrets.add(row)

    async with transaction(shelf) as tx:
        wanted = [*(row.ref for row in rows), SecretRef(owner_id="a", revision=9)]
        assert await tx.secrets.find(wanted) == {row.ref: row for row in rows}
        assert await tx.secrets.key_counts() == {"old": 3}


async def test_revisions_count_up_for_each_owner_and_none_is_written_twice(shelf: Any) -> None:
    async with transaction(shelf) as tx:
        assert await tx.secrets.next_revision("a") == 1
        await tx.secrets.add(a_row("a"))
        assert await tx.secrets.next_revision("a") == 2
        assert await tx.secrets.next_revision("b") == 1
    with pytest.raises(Conflict):
        async with transaction(shelf) as tx:
            await tx.secrets.add(a_row("a"))


async def test_only_a_row_that_still_has_the_key_it_had_is_sealed_anew(shelf: Any) -> None:
    mine, taken = a_row("a"), a_row("b", key_id="other")
    async with transaction(shelf) as tx:
        await tx.secrets.add(mine)
        await tx.secrets.add(taken)
    fresh = [replace(row, key_id="new", sealed=b"fresh") for row in (mine, taken)]

    async with transaction(shelf) as tx:
        changed = await tx.secrets.reseal(fresh, ["old", "old"])

    async with transaction(shelf) as tx:
        assert await tx.secrets.find([mine.ref, taken.ref]) == {
            mine.ref: fresh[0],
            taken.ref: taken,
        }
    assert changed in (1, -1), "not every driver counts rows of several statements"


async def test_what_other_keys_sealed_is_walked_in_order(shelf: Any) -> None:
    async with transaction(shelf) as tx:
        for number in range(5):
            await tx.secrets.add(a_row(f"own{number}", key_id="new" if number == 2 else "old"))

    async with transaction(shelf) as tx:
        first = await tx.secrets.sealed_with_others("new", after="", limit=2)
        rest = await tx.secrets.sealed_with_others("new", after=first[-1].place, limit=9)

    assert [row.owner_id for row in (*first, *rest)] == ["own0", "own1", "own3", "own4"]


async def test_an_owners_and_a_projects_rows_can_be_forgotten(shelf: Any) -> None:
    rows = [a_row("a"), a_row("a", 2), a_row("b"), a_row("c", project_id=ProjectId("prj_2"))]
    async with transaction(shelf) as tx:
        for row in rows:
            await tx.secrets.add(row)
        await tx.secrets.remove_of("a", keep=[2])
        assert set(await tx.secrets.find([row.ref for row in rows])) == {r.ref for r in rows[1:]}
        await tx.secrets.remove_in(ProjectId("prj_1"))
        assert set(await tx.secrets.find([row.ref for row in rows])) == {rows[3].ref}


async def test_a_credentials_log_is_paged_newest_first_and_knows_the_last_use(
    stores: Any,
) -> None:
    if stores.kind == "memory":
        pytest.skip("the memory store keeps no log of credentials; nothing in the loop needs it")
    store: SqlStore = await stores.open()
    events = [
        CredentialEvent(
            credential_id="cred_1",
            at=BORN.replace(day=day),
            action=CredentialAction.CREATE if day == 1 else CredentialAction.USE,
            revision=1,
            owner="prj_1" if day == 1 else "",
        )
        for day in (1, 2, 3)
    ]
    async with store.transaction() as tx:
        await tx.credential_uses.note(*events)

    async with store.reading() as tx:
        first = await tx.credential_uses.page("cred_1", limit=2)
        rest = await tx.credential_uses.page("cred_1", cursor=first.next_cursor)
        used = await tx.credential_uses.last_used(["cred_1", "cred_2"])
        owner = await tx.credential_uses.owner_of("cred_1")

    assert [replace(event, id=0) for event in (*first.items, *rest.items)] == events[::-1]
    assert used == {"cred_1": BORN.replace(day=3)}
    assert owner == "prj_1"
