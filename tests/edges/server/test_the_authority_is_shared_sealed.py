"""The authority's key in a shared database: sealed when there is a key, and shared all the same."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.support.postgres import PrivatePostgres, running_postgres

from boreas.credentials.keys import KeyRing
from boreas.credentials.rotation import move_to_current_key
from boreas.credentials.vault import VaultState
from boreas.domain.errors import NotFound
from boreas.domain.secrets import SecretsUnavailable
from boreas.kit.clock import SystemClock
from boreas.server.pki import shared_authority
from boreas.server.vault_keeper import unlocked_vault
from boreas.store import SqlStore
from boreas.testing.secrets import a_key_ring

NOW = datetime(2026, 3, 1, tzinfo=UTC)
KEY = "pki.ca_key"


@pytest.fixture(scope="module")
def private_postgres() -> Iterator[PrivatePostgres]:
    yield from running_postgres()


@pytest.fixture
async def shared(private_postgres: PrivatePostgres, tmp_path: Path) -> AsyncIterator[SqlStore]:
    async with SqlStore.open(private_postgres.new_database(), tmp_path) as store:
        yield store


async def started(store: SqlStore, directory: Path, ring: KeyRing | None) -> bytes:
    """A server's start as far as the authority; its pin."""
    vault = await unlocked_vault(store, ring, SystemClock())
    await move_to_current_key(store, vault)
    return (await shared_authority(store, directory, NOW, vault)).pin


async def everything_in(store: SqlStore) -> str:
    async with store._engine.connect() as connection:
        rows = [*await connection.execute(text("SELECT value FROM meta"))]
        rows += [*await connection.execute(text("SELECT sealed FROM secrets"))]
    return repr(rows)


async def test_servers_share_one_authority_without_showing_its_key(
    shared: SqlStore, tmp_path: Path
) -> None:
    first = await started(shared, tmp_path / "one", a_key_ring())

    second = await started(shared, tmp_path / "two", a_key_ring())

    assert first == second
    assert "PRIVATE KEY" not in await everything_in(shared)


async def test_a_key_that_lay_open_is_sealed_as_soon_as_that_can_be(
    shared: SqlStore, tmp_path: Path
) -> None:
    before = await started(shared, tmp_path / "one", None)
    assert "PRIVATE KEY" in await everything_in(shared)

    after = await started(shared, tmp_path / "one", a_key_ring())

    assert before == after == await started(shared, tmp_path / "new", a_key_ring())
    assert "PRIVATE KEY" not in await everything_in(shared)


async def test_it_moves_to_a_new_key_with_all_other_secrets(
    shared: SqlStore, tmp_path: Path
) -> None:
    before = await started(shared, tmp_path / "one", a_key_ring("old"))

    await started(shared, tmp_path / "one", a_key_ring("new", "old"))

    assert await started(shared, tmp_path / "new", a_key_ring("new")) == before


@pytest.mark.parametrize("ring", [None, a_key_ring("wrong")], ids=["no key", "wrong key"])
async def test_without_the_key_a_known_server_goes_on_and_a_new_one_is_told_which_key(
    shared: SqlStore, tmp_path: Path, ring: KeyRing | None
) -> None:
    before = await started(shared, tmp_path / "one", a_key_ring("right"))
    stored = await everything_in(shared)

    assert await started(shared, tmp_path / "one", ring) == before
    with pytest.raises(SecretsUnavailable, match=a_key_ring("right").current.id):
        await started(shared, tmp_path / "new", ring)

    assert await everything_in(shared) == stored, "nothing was touched"


async def test_when_the_key_is_lost_a_server_that_was_there_shares_the_authority_again(
    shared: SqlStore, tmp_path: Path
) -> None:
    before = await started(shared, tmp_path / "one", a_key_ring("lost"))
    async with shared._engine.begin() as connection:
        await connection.execute(text("DELETE FROM secrets"))

    with pytest.raises(NotFound, match=r"pki/ca\.key"):
        await started(shared, tmp_path / "new", a_key_ring("fresh"))
    assert await started(shared, tmp_path / "one", a_key_ring("fresh")) == before
    assert await started(shared, tmp_path / "new", a_key_ring("fresh")) == before


async def test_two_servers_that_start_at_once_on_different_keys_do_not_both_have_it_their_way(
    shared: SqlStore,
) -> None:
    first = await unlocked_vault(shared, a_key_ring("one"), SystemClock())
    second = await unlocked_vault(shared, a_key_ring("two"), SystemClock())

    assert (first.state, second.state) == (VaultState.OPEN, VaultState.LOCKED)
