"""Secrets for tests: keys that are keys, and rows that live in memory.

`memory = MemorySecrets(); vault = await a_vault(memory)` is open and needs no database:
`vault.put(memory, ...)`, `vault.open(memory, ref)`. On a real store: `await open_vault_on(store)`.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from hashlib import sha256
from typing import Protocol

from boreas.credentials.keys import KeyRing, SecretKey
from boreas.credentials.ports import SecretsTx
from boreas.credentials.vault import Vault
from boreas.domain.errors import Conflict
from boreas.domain.ids import ProjectId
from boreas.domain.secrets import SealedSecret, SecretRef
from boreas.kit.clock import Clock, VirtualClock


def a_key(name: str = "first") -> SecretKey:
    """A key that looks random; the same for the same name."""
    return SecretKey(sha256(f"key for tests: {name}".encode()).digest())


def a_key_ring(*names: str) -> KeyRing:
    """Keys by name, the current one first."""
    current, *old = [a_key(name) for name in names or ("first",)]
    return KeyRing(current=current, old=tuple(old))


class MemorySecrets:
    """Fits `boreas.credentials.ports.SecretsTx` and `SecretRows` at once."""

    def __init__(self) -> None:
        self.rows: dict[SecretRef, SealedSecret] = {}
        self.facts: dict[str, str] = {}

    @property
    def secrets(self) -> "MemorySecrets":
        return self

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["MemorySecrets"]:
        """Every change counts at once."""
        yield self

    @property
    def meta(self) -> "MemoryFacts":
        return MemoryFacts(self.facts)

    async def next_revision(self, owner_id: str) -> int:
        return 1 + max((ref.revision for ref in self.rows if ref.owner_id == owner_id), default=0)

    async def add(self, row: SealedSecret) -> None:
        if row.ref in self.rows:
            raise Conflict(f"{row.ref} is there already")
        self.rows[row.ref] = row

    async def find(self, refs: Sequence[SecretRef]) -> Mapping[SecretRef, SealedSecret]:
        return {ref: self.rows[ref] for ref in refs if ref in self.rows}

    async def key_counts(self) -> Mapping[str, int]:
        ids = [row.key_id for row in self.rows.values()]
        return {key_id: ids.count(key_id) for key_id in ids}

    async def sealed_with_others(
        self, key_id: str, *, after: str, limit: int
    ) -> Sequence[SealedSecret]:
        others = {row.place: row for row in self.rows.values() if row.key_id != key_id}
        return [others[place] for place in sorted(others) if place > after][:limit]

    async def reseal(self, rows: Sequence[SealedSecret], before: Sequence[str]) -> int:
        same = [
            row
            for row, key in zip(rows, before, strict=True)
            if row.ref in self.rows and self.rows[row.ref].key_id == key
        ]
        self.rows.update({row.ref: row for row in same})
        return len(same)

    async def remove_of(self, owner_id: str, *, keep: Sequence[int] = ()) -> None:
        for ref in [r for r in self.rows if r.owner_id == owner_id and r.revision not in keep]:
            del self.rows[ref]

    async def remove_in(self, project_id: ProjectId) -> None:
        for ref in [ref for ref, row in self.rows.items() if row.project_id == project_id]:
            del self.rows[ref]


class MemoryFacts:
    """Small facts in memory; everybody's turn is at once."""

    def __init__(self, facts: dict[str, str]) -> None:
        self._facts = facts

    async def take_turn(self, name: str) -> None:
        return None

    async def get(self, name: str) -> str | None:
        return self._facts.get(name)

    async def put(self, name: str, value: str) -> None:
        self._facts[name] = value


class Transacts(Protocol):
    """Any store."""

    def transaction(self) -> AbstractAsyncContextManager[SecretsTx]: ...


async def a_vault(memory: MemorySecrets, *names: str, clock: Clock | None = None) -> Vault:
    """A vault that tried these keys on what is in memory."""
    vault = Vault(a_key_ring(*names), clock or VirtualClock())
    await vault.unlock(memory)
    return vault


async def open_vault_on(store: Transacts, *names: str) -> Vault:
    """A vault that tried these keys on a whole store."""
    vault = Vault(a_key_ring(*names), VirtualClock())
    async with store.transaction() as tx:
        await vault.unlock(tx)
    return vault
