"""The vault of a running server: unlocked at start, moved to the current key, counted ahead.

Called by `server.wiring`. A key that is missing or wrong does not keep the server from starting:
what needs no secret goes on, what does is told which key is missing.
"""

from typing import Final

import structlog

from boreas.credentials.keys import KeyRing
from boreas.credentials.rotation import move_to_current_key
from boreas.credentials.vault import Vault, VaultState
from boreas.domain.errors import BoreasError
from boreas.kit.clock import Clock
from boreas.store import SqlStore

log = structlog.get_logger(__name__)

_EVERY_SECONDS: Final = 60.0
_TIDY_SECONDS: Final = 3600.0


async def unlocked_vault(store: SqlStore, ring: KeyRing | None, clock: Clock) -> Vault:
    """A vault that tried the keys on what is stored; what is wrong is logged, and nothing done."""
    vault = Vault(ring, clock)
    async with store.transaction() as tx:
        state = await vault.unlock(tx)
    trouble = vault.trouble
    if state is VaultState.LOCKED and trouble is not None:
        log.error(trouble.message, action="secrets_locked", **trouble.parameters)
    return vault


async def keep_vault(store: SqlStore, vault: Vault, clock: Clock) -> None:
    """Move to the current key what old ones sealed, then count ahead and tidy, for ever."""
    moved, tidied = False, -_TIDY_SECONDS
    while vault.state is VaultState.OPEN:
        try:
            if not moved:
                await move_to_current_key(store, vault)
                moved = True
            if clock.monotonic() - tidied >= _TIDY_SECONDS:
                await forget_left_values(store)
                tidied = clock.monotonic()
            if vault.should_count_ahead:
                async with store.transaction() as tx:
                    await vault.count_ahead(tx)
        except BoreasError as error:
            log.warning("secrets not looked after", action="vault_waits", reason=error.message)
        await clock.sleep(_EVERY_SECONDS)


async def forget_left_values(store: SqlStore) -> None:
    """Values of credentials that were deleted by force, once the last run with one is over."""
    async with store.transaction() as tx:
        await tx.credentials.forget_left_values()
