"""The only maker of ids and the only roller of dice."""

import secrets
import time
from collections.abc import Callable

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"

IdSource = Callable[[str], str]
"""Makes a new id from a short prefix: `ids("dep")` -> `dep_06f3k9...`."""


def new_id(prefix: str) -> str:
    """An opaque id that sorts by its time of birth: 48 bits of milliseconds, 80 bits of chance."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return f"{prefix}_{_base32(number, length=26)}"


def new_secret(nbytes: int = 32) -> str:
    """A URL-safe random string for tokens and session ids."""
    return secrets.token_urlsafe(nbytes)


def jittered(seconds: float, *, by: float) -> float:
    """`seconds` moved at random by at most the fraction `by`: a fleet must not beat in step."""
    return seconds * (1 - by + 2 * by * secrets.randbelow(10_000) / 10_000)


def _base32(number: int, *, length: int) -> str:
    digits = []
    for _ in range(length):
        number, rest = divmod(number, 32)
        digits.append(_ALPHABET[rest])
    return "".join(reversed(digits))
