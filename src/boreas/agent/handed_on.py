"""What a command hands on to later tasks: `NAME=value` lines in the file $BOREAS_OUTPUTS.

Conditions of later tasks ask for it. Whatever is wrong with the file (a link, a pipe, a flood) only
means that nothing, or less, is handed on: the command itself has done its work.
"""

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

MOST_BYTES: Final = 64 * 1024
MOST: Final = 64
LONGEST: Final = 4_096

_LINE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,99})=(.*)")


def read_outputs(file: Path, masked: Callable[[str], str]) -> dict[str, str]:
    """By name; a later line wins. Secrets of the order are masked as in its log."""
    found: dict[str, str] = {}
    for line in masked(_text(file)).splitlines():
        matched = _LINE.fullmatch(line.strip())
        if matched and (len(found) < MOST or matched[1] in found):
            found[matched[1]] = matched[2][:LONGEST]
    return found


def _text(file: Path) -> str:
    """The file's beginning; nothing if it is no plain file."""
    try:
        # Not through a link, and not waiting at a pipe that nobody writes to.
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return os.read(descriptor, MOST_BYTES).decode(errors="replace").replace("\0", "")
    except OSError:
        return ""
    finally:
        os.close(descriptor)
