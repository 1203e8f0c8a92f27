"""Slows down who guesses passwords, without locking out the person whose password it is.

Failures count per (account, source): the real user, coming from elsewhere, is not held up. Pure
but for its own memory; each server counts for itself.
"""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from boreas.domain.errors import TooMany

FREE_TRIES: Final = 5
WINDOW: Final = 300.0
FIRST_PAUSE: Final = 30.0
LONGEST_PAUSE: Final = 3600.0
# An attacker with many addresses must not fill the memory; the oldest pair is forgotten first.
MAX_PAIRS: Final = 10_000


@dataclass(slots=True)
class _Tries:
    """Failed or still undecided tries of one pair."""

    count: int = 0
    last: float = 0.0
    blocked_until: float = 0.0


class Guesses:
    """Counts tries; `now` is a monotonic clock's."""

    def __init__(self) -> None:
        self._pairs: OrderedDict[tuple[str, str], _Tries] = OrderedDict()

    def begin(self, account: str, address: str, now: float) -> None:
        """Before the password is looked at; `TooMany` with `retry_after` while held up.

        The try counts as failed until `succeeded` says otherwise, so that a hundred tries sent at
        once are not a hundred free ones.
        """
        pair = _pair(account, address)
        tries = self._pairs.setdefault(pair, _Tries())
        self._pairs.move_to_end(pair)
        if now < tries.blocked_until:
            raise TooMany(
                "too many failed sign-ins; wait before the next one",
                parameters={"retry_after": round(tries.blocked_until - now, 1)},
            )
        if now - max(tries.last, tries.blocked_until) > WINDOW:
            tries.count = 0
        tries.count += 1
        tries.last = now
        tries.blocked_until = now + _pause(tries.count)
        while len(self._pairs) > MAX_PAIRS:
            self._pairs.popitem(last=False)

    def succeeded(self, account: str, address: str) -> None:
        """The password was right: forget the pair's failures."""
        self._pairs.pop(_pair(account, address), None)


def _pause(failures: int) -> float:
    if failures < FREE_TRIES:
        return 0.0
    return float(min(FIRST_PAUSE * 2 ** (failures - FREE_TRIES), LONGEST_PAUSE))


def _pair(account: str, address: str) -> tuple[str, str]:
    return account.casefold()[:200], source_of(address)


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
