"""Which names files of orders may have: plain, the same everywhere, and leading nowhere."""

import re
from typing import Final

MAX_FILE_BYTES: Final = 1024**3
_PLAIN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}", re.ASCII)


def is_file_name(name: object) -> bool:
    """Letters, digits, `_ . + -`, not beginning with a dot or a sign, at most 200 of them."""
    return isinstance(name, str) and _PLAIN.fullmatch(name) is not None
