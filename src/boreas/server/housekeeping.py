"""Forgets what nobody asks for any more: ended sessions, old answers, old failures to sign in."""

from datetime import timedelta
from typing import Final

import structlog

from boreas.domain.errors import BoreasError
from boreas.kit.clock import Clock
from boreas.store import SqlStore

log = structlog.get_logger(__name__)

_EVERY_SECONDS: Final = 3600.0
# Clients repeat a request within minutes; a week leaves room for a job that is run again on Monday.
ANSWERS_KEPT: Final = timedelta(days=7)
# Longer than the longest pause and the window after it (server.auth.guessing).
FAILURES_KEPT: Final = timedelta(days=1)


async def keep_house(store: SqlStore, clock: Clock) -> None:
    """Once an hour, for ever; an outage only puts it off."""
    while True:
        await clock.sleep(_EVERY_SECONDS)
        try:
            await forget_what_is_over(store, clock)
        except BoreasError as error:
            log.warning("not tidied", action="housekeeping_failed", reason=error.message)


async def forget_what_is_over(store: SqlStore, clock: Clock) -> None:
    """One round, in one transaction."""
    now = clock.now()
    async with store.transaction() as tx:
        await tx.sessions.remove_expired(now)
        await tx.idempotency.remove_older(now - ANSWERS_KEPT)
        await tx.login_attempts.remove_older(now - FAILURES_KEPT)
