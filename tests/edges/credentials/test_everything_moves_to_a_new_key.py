"""A key is replaced at a restart; whatever happens meanwhile, every secret can be read."""

import asyncio
import random
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.support.sealing import (
    filled,
    kill_points,
    killed_while_moving,
    moved,
    opened,
)

from boreas.credentials.rotation import Moved, move_to_current_key
from boreas.credentials.vault import Vault, VaultState
from boreas.domain.secrets import SecretKind
from boreas.kit.clock import SystemClock, VirtualClock
from boreas.server.vault_keeper import unlocked_vault
from boreas.store import SqlStore
from boreas.testing.secrets import MemorySecrets, a_key, a_key_ring, a_vault

SECRETS = 1500


async def kept(memory: MemorySecrets, *, secrets: int = 3) -> None:
    vault = await a_vault(memory, "old")
    for number in range(secrets):
        await vault.put(memory, SecretKind.VARIABLE, f"var_{number}", None, b"%d" % number)


async def test_with_both_keys_everything_moves_and_the_old_one_is_needed_no_more() -> None:
    memory = MemorySecrets()
    await kept(memory, secrets=1201)

    outcome = await move_to_current_key(memory, await a_vault(memory, "new", "old"))

    assert outcome == Moved(rows=1202)
    alone = await a_vault(memory, "new")
    assert await memory.secrets.key_counts() == {a_key("new").id: 1202}
    assert all(
        [await alone.open(memory, ref) for ref in memory.rows if ref.owner_id != "installation"]
    )


async def test_moving_twice_changes_nothing_more() -> None:
    memory = MemorySecrets()
    await kept(memory)
    await move_to_current_key(memory, await a_vault(memory, "new", "old"))
    rows = dict(memory.rows)

    outcome = await move_to_current_key(memory, await a_vault(memory, "new", "old"))

    assert outcome == Moved()
    assert memory.rows == rows


async def test_without_the_old_key_nothing_moves() -> None:
    memory = MemorySecrets()
    await kept(memory)
    rows = dict(memory.rows)
    locked = Vault(a_key_ring("new"), VirtualClock())
    await locked.unlock(memory)

    outcome = await move_to_current_key(memory, locked)

    assert outcome == Moved()
    assert memory.rows == rows


async def test_a_damaged_row_is_told_of_and_keeps_no_other_from_moving() -> None:
    memory = MemorySecrets()
    await kept(memory)
    first = next(ref for ref in memory.rows if ref.owner_id == "var_0")
    object.__setattr__(memory.rows[first], "sealed", b"\x01 of no use to anybody, but long enough")
    vault = await a_vault(memory, "new", "old")

    with capture_logs() as logged:
        outcome = await move_to_current_key(memory, vault)

    assert outcome == Moved(rows=3, stuck=("var_0/1",))
    assert [entry["action"] for entry in logged] == ["secret_damaged", "secrets_moved"]
    assert logged[-1]["old_keys_still_needed"] is True


@pytest.mark.timeout(300)
def test_killed_at_fifty_random_points_every_secret_can_be_read(tmp_path: Path) -> None:
    names = ["a", "b"]
    filled(tmp_path, a_key_ring("a"), secrets=SECRETS)
    dice = random.Random(78)
    began = time.monotonic()
    moved(tmp_path, a_key_ring("b", "a"))
    longest = time.monotonic() - began
    mixed = killed = 0

    for moment in kill_points(dice, longest=longest):
        ring = a_key_ring(*names)
        killed += killed_while_moving(tmp_path, ring, after=moment)
        found = opened(tmp_path, ring, secrets=SECRETS)
        mixed += len(found) > 1
        if found == {a_key(names[0]).id}:
            names.reverse()

    assert killed >= 25, "most were still at work"
    assert mixed >= 1, "some were in the middle"
    moved(tmp_path, a_key_ring(*names))
    assert opened(tmp_path, a_key_ring(names[0]), secrets=SECRETS) == {a_key(names[0]).id}


def test_a_wrong_key_is_noticed_among_ten_thousand_secrets_within_two_seconds(
    tmp_path: Path,
) -> None:
    filled(tmp_path, a_key_ring("right"), secrets=10_000)

    async def look() -> tuple[VaultState, float]:
        async with SqlStore.open(None, tmp_path) as store:
            began = time.monotonic()
            vault = await unlocked_vault(store, a_key_ring("wrong"), SystemClock())
            return vault.state, time.monotonic() - began

    with capture_logs() as logged:
        state, seconds = asyncio.run(look())

    assert state is VaultState.LOCKED
    assert logged[0]["missing_keys"] == [a_key("right").id]
    assert seconds < 2
