"""Moving everything to the current key, a batch in each transaction.

Started by `server.wiring` after an unlock with an old key among the given ones. Killed anywhere, it
goes on at the next start: each row has the id of the key that sealed it, and opens with that one
until the very commit that gives it the new.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Final, Protocol

import structlog

from boreas.credentials.ports import SecretsTx
from boreas.credentials.sealing import Sealer
from boreas.credentials.vault import INSTALLATION, Vault
from boreas.domain.secrets import SealedSecret, SecretDamaged, SecretsUnavailable

log = structlog.get_logger(__name__)

# So short that a writer who waits for SQLite's only place does not notice.
ROWS_AT_ONCE: Final = 500


class Transacts(Protocol):
    """Any store."""

    def transaction(self) -> AbstractAsyncContextManager[SecretsTx]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What came of it: rows under the current key now, and places that could not be opened."""

    rows: int = 0
    stuck: tuple[str, ...] = ()


async def move_to_current_key(store: Transacts, vault: Vault) -> Moved:
    """Seal with the current key whatever older keys sealed. Does nothing to a locked vault.

    A row that cannot be opened stays as it is, is told of, and keeps nobody else's from moving.
    """
    sealer = vault.sealer
    if sealer is None:
        return Moved()
    async with store.transaction() as tx:
        # First, so that servers without the new key notice before they seal more with the old.
        first = (await tx.secrets.find([INSTALLATION])).get(INSTALLATION)
        foreign = [] if first is None or first.key_id == sealer.key_id else [first]
        moved = await _reseal(tx, vault, sealer, foreign)
    after = ""
    while True:
        async with store.transaction() as tx:
            key = sealer.key_id
            rows = await tx.secrets.sealed_with_others(key, after=after, limit=ROWS_AT_ONCE)
            batch = await _reseal(tx, vault, sealer, rows)
        moved = Moved(rows=moved.rows + batch.rows, stuck=moved.stuck + batch.stuck)
        if not rows:
            _tell(moved, vault)
            return moved
        after = rows[-1].place


async def _reseal(
    tx: SecretsTx, vault: Vault, sealer: Sealer, rows: Sequence[SealedSecret]
) -> Moved:
    fresh, before, stuck = [], [], []
    for row in rows:
        try:
            plaintext = sealer.open(row)
        except (SecretDamaged, SecretsUnavailable):
            # The sealer told of the damage; a row whose key was taken away meanwhile stays, too.
            stuck.append(row.place)
            continue
        sealed = sealer.seal(row.kind, row.owner_id, row.revision, row.project_id, plaintext)
        fresh.append(replace(row, key_id=sealer.key_id, sealed=sealed))
        before.append(row.key_id)
    if fresh:
        await vault.count_ahead(tx, by=len(fresh))
        await tx.secrets.reseal(fresh, before)
    return Moved(rows=len(fresh), stuck=tuple(stuck))


def _tell(moved: Moved, vault: Vault) -> None:
    if not moved.rows and not moved.stuck:
        return
    log.info(
        "secrets were moved to the current key",
        action="secrets_moved",
        key=vault.key_ids[0],
        rows=moved.rows,
        stuck=len(moved.stuck),
        old_keys_still_needed=bool(moved.stuck),
    )
