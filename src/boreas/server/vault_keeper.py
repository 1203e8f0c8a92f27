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
    """Move to the current key what old ones sealed, then count seals ahead, for ever."""
    moved = False
    while vault.state is VaultState.OPEN:
        try:
            if not moved:
                await move_to_current_key(store, vault)
                moved = True
            if vault.should_count_ahead:
                async with store.transaction() as tx:
                    await vault.count_ahead(tx)
        except BoreasError as error:
            log.warning("secrets not looked after", action="vault_waits", reason=error.message)
        await clock.sleep(_EVERY_SECONDS)
