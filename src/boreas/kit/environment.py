"""Taking a secret out of the environment for good.

Deleting a variable keeps it from children, but the kernel goes on showing the block of memory that
the program was started with (`/proc/PID/environ`). So the text itself is overwritten.
"""

import ctypes
from collections.abc import MutableMapping


def forget_variable(environ: MutableMapping[str, str], name: str) -> None:
    """Remove it from the environment and from what `/proc` shows of this process."""
    if environ.get(name) is None:
        return
    getenv = ctypes.CDLL(None).getenv
    getenv.restype, getenv.argtypes = ctypes.c_void_p, (ctypes.c_char_p,)
    place = getenv(name.encode())
    if place:
        ctypes.memset(place, 0, len(ctypes.string_at(place)))
    environ.pop(name)
