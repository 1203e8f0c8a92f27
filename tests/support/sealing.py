"""A database full of secrets, and processes that move them to another key and are killed."""

import asyncio
import os
import random
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

from structlog.testing import capture_logs

from boreas.credentials.keys import KeyRing
from boreas.credentials.rotation import Moved, move_to_current_key
from boreas.credentials.sealing import Sealer
from boreas.credentials.vault import Vault
from boreas.domain.secrets import SealedSecret, SecretKind, SecretRef
from boreas.kit.clock import SystemClock
from boreas.store import SqlStore

BORN = datetime(2026, 3, 1, tzinfo=UTC)


def value_of(number: int) -> bytes:
    """What the secret with this number is."""
    return f"the value of secret {number}".encode()


def ref_of(number: int) -> SecretRef:
    """Where the secret with this number is."""
    return SecretRef(owner_id=f"cred_{number:05}", revision=1)


def filled(path: Path, ring: KeyRing, *, secrets: int, url: str | None = None) -> None:
    """So many secrets, all sealed with the current key."""

    async def fill() -> None:
        async with SqlStore.open(url, path) as store, store.transaction() as tx:
            await Vault(ring, SystemClock()).unlock(tx)
            sealer = Sealer(ring)
            for number in range(secrets):
                await tx.secrets.add(_row(sealer, number))

    asyncio.run(fill())


def _row(sealer: Sealer, number: int) -> SealedSecret:
    kind, owner = SecretKind.CREDENTIAL, ref_of(number).owner_id
    return SealedSecret(
        kind=kind,
        owner_id=owner,
        revision=1,
        key_id=sealer.key_id,
        sealed=sealer.seal(kind, owner, 1, None, value_of(number)),
        created_at=BORN,
    )


def moved(path: Path, ring: KeyRing, url: str | None = None) -> Moved:
    """Everything under the current key, as a server does it at its start."""

    async def move() -> Moved:
        async with SqlStore.open(url, path) as store:
            vault = Vault(ring, SystemClock())
            async with store.transaction() as tx:
                await vault.unlock(tx)
            return await move_to_current_key(store, vault)

    with capture_logs():
        return asyncio.run(move())


def opened(path: Path, ring: KeyRing, *, secrets: int, url: str | None = None) -> set[str]:
    """The keys under which they lie; fails unless each is what was put away."""

    async def look() -> set[str]:
        async with SqlStore.open(url, path) as store, store.transaction() as tx:
            vault = Vault(ring, SystemClock())
            await vault.unlock(tx)
            numbers = range(secrets)
            values = await vault.open_all(tx, [ref_of(number) for number in numbers])
            assert [values[ref_of(number)] for number in numbers] == [*map(value_of, numbers)]
            return set(await tx.secrets.key_counts())

    return asyncio.run(look())


def killed_while_moving(path: Path, ring: KeyRing, *, after: float) -> bool:
    """A process that moves everything and is killed after so many seconds; was it in time?"""
    child = os.fork()
    if child == 0:
        try:
            moved(path, ring)
        finally:
            os._exit(0)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def kill_points(dice: random.Random, *, longest: float) -> list[float]:
    """Fifty moments of the work."""
    return [dice.uniform(0, longest) for _ in range(50)]
