"""The keys that secrets are sealed with, from the text an administrator gave.

Called by `server.settings` only. A key never shows itself: people and records name it by its id,
which is made from the key but does not tell it.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

from boreas.domain.errors import invalid

VARIABLE: Final = "QUIC_FLOW_SECRET_KEY"
FILE_VARIABLE: Final = "QUIC_FLOW_SECRET_KEY_FILE"
KEY_BYTES: Final = 32
MEND: Final = "make one with `openssl rand -base64 32`"

# 32 random bytes have about 30 distinct values; fewer than 20 happen less than once in 10^9 keys.
_LEAST_DISTINCT: Final = 20
_HEX: Final = re.compile(r"[0-9A-Fa-f]{64}")


@dataclass(frozen=True, slots=True)
class SecretKey:
    """32 bytes of chance; `repr` shows only the id."""

    material: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """Names the key in rows, logs and messages without telling anything of it."""
        return self.derived("key id")[:6].hex()

    def derived(self, purpose: str) -> bytes:
        """32 bytes for one purpose only (HKDF-Expand's first block: the key is uniform)."""
        return hmac.digest(self.material, b"boreas " + purpose.encode() + b"\x01", "sha256")

    def __repr__(self) -> str:
        return f"SecretKey({self.id})"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    """The current key seals; the old ones still open what they sealed."""

    current: SecretKey
    old: tuple[SecretKey, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """Of all keys, the current one first."""
        return tuple(key.id for key in (self.current, *self.old))

    def find(self, key_id: str) -> SecretKey | None:
        """The key with this id, if it was given."""
        return next((key for key in (self.current, *self.old) if key.id == key_id), None)


def ring_from(environ: Mapping[str, str]) -> KeyRing | None:
    """The keys of this environment; None if there is no word of any.

    `InvalidInput` names the variable and what is wrong, never the text that was given.
    """
    given, path = environ.get(VARIABLE), environ.get(FILE_VARIABLE)
    if given is not None and path is not None:
        raise invalid(VARIABLE, f"is given as well as {FILE_VARIABLE}", "give one of them")
    if path is not None:
        return read_ring(_text_of(Path(path)), FILE_VARIABLE)
    return None if given is None else read_ring(given, VARIABLE)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise invalid(FILE_VARIABLE, f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        # Not as the cause: it would carry the bytes along.
        raise invalid(FILE_VARIABLE, f"{path} is not text", MEND) from None


def read_ring(text: str, named: str = VARIABLE) -> KeyRing:
    """Keys separated by commas: the first seals, all open."""
    parts = [part.strip() for part in text.split(",")]
    keys = [_read_key(part, _place(named, n, parts)) for n, part in enumerate(parts, start=1)]
    if len(set(keys)) < len(keys):
        raise invalid(named, "has the same key twice", "leave one of them out")
    return KeyRing(current=keys[0], old=tuple(keys[1:]))


def _place(named: str, number: int, parts: list[str]) -> str:
    return named if len(parts) == 1 else f"{named} (key {number} of {len(parts)})"


def _read_key(text: str, named: str) -> SecretKey:
    if not text:
        raise invalid(named, "is empty", MEND)
    material = _decoded(text)
    if material is None:
        raise invalid(named, "is neither base64 nor hex", MEND)
    if len(material) != KEY_BYTES:
        raise invalid(named, f"has {len(material)} bytes, not {KEY_BYTES}", MEND)
    if _looks_made_up(material):
        raise invalid(named, "does not look random; it could be guessed", MEND)
    return SecretKey(material)


def _decoded(text: str) -> bytes | None:
    if _HEX.fullmatch(text):
        return bytes.fromhex(text)
    plain = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error:
        return None


def _looks_made_up(material: bytes) -> bool:
    """A repetition, a row of numbers, or letters that somebody typed."""
    steps = {(after - before) % 256 for before, after in pairwise(material)}
    typed = all(32 <= byte < 127 for byte in material)
    return typed or len(set(material)) < _LEAST_DISTINCT or len(steps) < _LEAST_DISTINCT // 2
