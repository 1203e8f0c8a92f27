"""Starting soon and staying small: what a long-running program does around its imports.

Called by `boreas.__main__` before it imports a program, and by the server once it listens.
"""

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def as_if_not_installed(*modules: str) -> Iterator[None]:
    """Imports in the block that can do without these modules do without them.

    structlog draws tracebacks with rich when rich is there; a program that writes plain lines
    would pay 5 MB and a tenth of a second for it.
    """
    hidden = [name for name in modules if name not in sys.modules]
    # None is how an import is told that there is no such module; typeshed does not know.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def do_without(*modules: str) -> None:
    """Nothing imports these in this process: what can do without them does."""
    sys.modules.update(dict.fromkeys(modules))  # type: ignore[arg-type]


def give_back() -> None:
    """Return freed memory to the system, where its C library can (glibc); some milliseconds."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def begin_start() -> None:
    """No garbage collection while starting: nearly all that is made then stays for good."""
    gc.disable()


def end_start() -> None:
    """Collect from now on, and never look through what was made until now."""
    gc.freeze()
    gc.enable()
