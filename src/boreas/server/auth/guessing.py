"""Slows down who guesses passwords, without locking out the person whose password it is.

Failures count per (account, source): the real user, coming from elsewhere, is not held up. They
are counted in the store, for all servers together; a restart forgets none.
"""

import ipaddress
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

from boreas.domain.errors import InvalidInput, TooMany, Unauthenticated
from boreas.server.auth.secrets import fingerprint
from boreas.store import SqlStore
from boreas.store.access import Attempts

FREE_TRIES: Final = 5
WINDOW: Final = 300.0
FIRST_PAUSE: Final = 30.0
LONGEST_PAUSE: Final = 3600.0


class Guesses:
    """Counts failed tries in the store, and those under way here."""

    def __init__(self) -> None:
        self._undecided: Counter[str] = Counter()

    @asynccontextmanager
    async def one_try(
        self, store: SqlStore, account: str, address: str, now: datetime
    ) -> AsyncIterator[None]:
        """Around one look at a password; `TooMany` with `retry_after` while held up.

        Leaving with a refusal is a failure, leaving in peace forgives those before. A try under way
        counts as failed, so that a hundred tries sent at once are not a hundred free ones.
        """
        key = _key(account, address)
        others = self._undecided[key]
        self._undecided[key] += 1
        try:
            async with store.reading() as tx:
                known = await tx.login_attempts.of(key)
            _refuse_while_held_up(known, others, now)
            try:
                yield
            except (Unauthenticated, InvalidInput):
                async with store.transaction() as tx:
                    await tx.login_attempts.failed(key, now, forget_after=_remembered_for(known))
                raise
            if known is not None:
                async with store.transaction() as tx:
                    await tx.login_attempts.clear(key)
        finally:
            self._undecided[key] -= 1
            if not self._undecided[key]:
                del self._undecided[key]


def _refuse_while_held_up(known: Attempts | None, others: int, now: datetime) -> None:
    failures, wait = 0, 0.0
    if known is not None and now - known.last_failed_at <= _remembered_for(known):
        failures = known.failures
        wait = _pause(failures) - (now - known.last_failed_at).total_seconds()
    if others:
        wait = max(wait, _pause(failures + others))
    if wait > 0:
        raise TooMany(
            "too many failed sign-ins; wait before the next one",
            parameters={"retry_after": round(wait, 1)},
        )


def _pause(failures: int) -> float:
    if failures < FREE_TRIES:
        return 0.0
    return float(min(FIRST_PAUSE * 2 ** (failures - FREE_TRIES), LONGEST_PAUSE))


def _remembered_for(known: Attempts | None) -> timedelta:
    """Long enough to wait out the pause and try once more."""
    return timedelta(seconds=WINDOW + _pause(known.failures if known else 0))


def _key(account: str, address: str) -> str:
    # Hashed: people write their password into the field of the name, and nobody reads keys.
    return fingerprint(f"{account.casefold()}\n{source_of(address)}")


def source_of(address: str) -> str:
    """One source: an IPv4 address, or the /64 that one IPv6 customer owns.

    >>> source_of("2001:db8::1:2:3:4")
    '2001:db8::/64'
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))
