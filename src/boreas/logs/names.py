"""File names for ids that may be any text. Pure.

No two ids share a name, no name leaves its directory, and plain ids stay readable.
"""

import hashlib
import string
from typing import Final

_PLAIN: Final = frozenset((string.ascii_letters + string.digits + "_-").encode())
_LONGEST: Final = 160


def file_name(text: str) -> str:
    """`dep_01` stays; other bytes become `%xx`; a very long one ends in `~` and its digest."""
    raw = text.encode("utf-8", "surrogatepass")
    name = "".join(chr(byte) if byte in _PLAIN else f"%{byte:02x}" for byte in raw)
    if len(name) > _LONGEST:
        return f"{name[:80]}~{hashlib.sha256(raw).hexdigest()}"
    return name or "%"
