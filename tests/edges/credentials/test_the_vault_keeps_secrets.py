"""What is put away comes back to its owner, and to nobody else."""

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from boreas.credentials.sealing import Sealer
from boreas.credentials.vault import INSTALLATION, WARN_AT, Vault, VaultState
from boreas.domain.errors import NotFound
from boreas.domain.ids import ProjectId
from boreas.domain.secrets import (
    SecretDamaged,
    SecretKind,
    SecretRef,
    SecretsUnavailable,
)
from boreas.kit.clock import VirtualClock
from boreas.testing.secrets import MemorySecrets, a_key, a_key_ring, a_vault

SHOP = ProjectId("prj_shop")
VALUE = b"hunter2, said with \x00 and \xff"


@pytest.fixture
def memory() -> MemorySecrets:
    return MemorySecrets()


async def put(vault: Vault, memory: MemorySecrets, owner: str = "cred_1") -> SecretRef:
    return await vault.put(memory, SecretKind.CREDENTIAL, owner, SHOP, VALUE)


async def test_a_value_comes_back_as_it_was(memory: MemorySecrets) -> None:
    vault = await a_vault(memory)

    ref = await put(vault, memory)

    assert ref == SecretRef(owner_id="cred_1", revision=1)
    assert await vault.open(memory, ref) == VALUE


async def test_each_value_of_an_owner_is_a_revision_of_its_own(memory: MemorySecrets) -> None:
    vault = await a_vault(memory)
    first = await put(vault, memory)

    second = await vault.put(memory, SecretKind.CREDENTIAL, "cred_1", SHOP, b"newer")

    assert second.revision == 2
    assert await vault.open(memory, first) == VALUE
    assert await vault.open(memory, second) == b"newer"


async def test_the_same_value_is_sealed_differently_each_time(memory: MemorySecrets) -> None:
    vault = await a_vault(memory)

    first, second = await put(vault, memory), await put(vault, memory)

    assert memory.rows[first].sealed[1:13] != memory.rows[second].sealed[1:13]
    assert VALUE not in memory.rows[first].sealed
    assert vault.fingerprint(VALUE) == vault.fingerprint(VALUE)


async def test_a_revision_that_is_gone_is_not_found(memory: MemorySecrets) -> None:
    vault = await a_vault(memory)

    with pytest.raises(NotFound, match="cred_9"):
        await vault.open(memory, SecretRef(owner_id="cred_9", revision=1))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": SecretKind.VARIABLE},
        {"project_id": "prj_other"},
        {"project_id": None},
        {"sealed": b""},
        {"sealed": b"\x02"},
    ],
)
async def test_a_changed_row_does_not_open(
    memory: MemorySecrets, change: dict[str, object]
) -> None:
    vault = await a_vault(memory)
    ref = await put(vault, memory)

    memory.rows[ref] = replace(memory.rows[ref], **change)  # type: ignore[arg-type]

    with pytest.raises(SecretDamaged, match="was changed outside"):
        await vault.open(memory, ref)


async def test_no_bit_of_a_seal_can_be_flipped_and_no_byte_cut(memory: MemorySecrets) -> None:
    vault = await a_vault(memory)
    ref = await put(vault, memory)
    row = memory.rows[ref]
    flipped = [
        row.sealed[:n] + bytes([row.sealed[n] ^ 1 << bit]) + row.sealed[n + 1 :]
        for n in range(len(row.sealed))
        for bit in range(8)
    ]

    for sealed in [*flipped, *(row.sealed[:n] for n in range(len(row.sealed)))]:
        memory.rows[ref] = replace(row, sealed=sealed)
        with pytest.raises(SecretDamaged):
            await vault.open(memory, ref)


async def test_the_ciphertext_of_one_owner_does_not_open_as_anothers(
    memory: MemorySecrets,
) -> None:
    vault = await a_vault(memory)
    mine, other = await put(vault, memory, "cred_1"), await put(vault, memory, "cred_2")

    memory.rows[other] = replace(memory.rows[other], sealed=memory.rows[mine].sealed)

    with capture_logs() as logged, pytest.raises(SecretDamaged):
        await vault.open(memory, other)
    assert [entry["action"] for entry in logged] == ["secret_damaged"]


async def test_without_a_key_storing_is_refused_with_the_mend(memory: MemorySecrets) -> None:
    vault = Vault(None, VirtualClock())

    state = await vault.unlock(memory)

    assert state is VaultState.NO_KEY
    with pytest.raises(SecretsUnavailable, match=r"QUIC_FLOW_SECRET_KEY.*openssl rand") as refused:
        await put(vault, memory)
    assert refused.value.parameters["code"] == "secret_key_not_set"
    assert not memory.rows


@pytest.mark.parametrize(
    ("given", "code"), [((), "secret_key_missing"), (("wrong",), "secret_key_wrong")]
)
async def test_a_missing_or_wrong_key_is_named_and_nothing_is_touched(
    memory: MemorySecrets, given: tuple[str, ...], code: str
) -> None:
    right = await a_vault(memory, "right")
    ref = await put(right, memory)
    before, facts = dict(memory.rows), dict(memory.facts)

    vault = Vault(a_key_ring(*given) if given else None, VirtualClock())
    state = await vault.unlock(memory)

    assert state is VaultState.LOCKED
    for attempt in (vault.open(memory, ref), put(vault, memory)):
        with pytest.raises(SecretsUnavailable, match=right.key_ids[0]) as refused:
            await attempt
        assert refused.value.parameters["code"] == code
        assert refused.value.parameters["missing_keys"] == [right.key_ids[0]]
    assert (memory.rows, memory.facts) == (before, facts)


async def test_what_an_old_key_sealed_opens_while_the_old_key_is_given(
    memory: MemorySecrets,
) -> None:
    ref = await put(await a_vault(memory, "old"), memory)

    vault = await a_vault(memory, "new", "old")

    assert vault.state is VaultState.OPEN
    assert await vault.open(memory, ref) == VALUE


async def test_fingerprints_stay_the_same_when_the_key_changes(memory: MemorySecrets) -> None:
    before = (await a_vault(memory, "old")).fingerprint(VALUE)

    assert (await a_vault(memory, "new", "old")).fingerprint(VALUE) == before


async def test_a_server_that_missed_a_rotation_stores_nothing_more(
    memory: MemorySecrets,
) -> None:
    stale = await a_vault(memory, "old")
    row = memory.rows[INSTALLATION]
    newer = Sealer(a_key_ring("new"))
    memory.rows[INSTALLATION] = replace(row, key_id=newer.key_id)

    with pytest.raises(SecretsUnavailable, match=newer.key_id):
        await put(stale, memory)


async def test_seals_are_counted_before_they_are_made(memory: MemorySecrets) -> None:
    vault = await a_vault(memory)
    name = f"secrets.sealed_with.{vault.key_ids[0]}"
    assert memory.facts[name] == "4096"

    for _ in range(2100):
        await put(vault, memory, "cred_1")
    await vault.count_ahead(memory)

    assert memory.facts[name] == "8192"


async def test_a_key_that_sealed_half_of_what_it_may_is_told_of(memory: MemorySecrets) -> None:
    name = f"secrets.sealed_with.{a_key().id}"
    memory.facts[name] = str(WARN_AT - 5000)
    with capture_logs() as before:
        await a_vault(memory)
    memory.facts[name] = str(WARN_AT - 1)

    with capture_logs() as logged:
        await a_vault(memory)

    assert before == []
    assert [entry["action"] for entry in logged] == ["secret_key_worn"]


async def test_nothing_of_the_vault_shows_a_secret(memory: MemorySecrets) -> None:
    vault = await a_vault(memory)
    ref = await put(vault, memory)

    shown = f"{vault!r} {vault.__dict__} {memory.rows[ref]!r} {ref!r}"

    assert "hunter2" not in shown
    assert repr(memory.rows[ref].sealed) not in shown
