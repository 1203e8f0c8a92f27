"""One server per SQLite file, kept by the operating system.

The lock goes with the process, so a killed server frees it at once; no lease has to run out.
"""

import fcntl
import os
from pathlib import Path

from boreas.domain.errors import Conflict


class FileLock:
    """Held from `acquire` to `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """By this very object."""
        return self._descriptor is not None

    def acquire(self, owner: str) -> bool:
        """False if we had it already; `Conflict`, naming the other, if another server has it."""
        if self._descriptor is not None:
            return False
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = os.pread(descriptor, 500, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise in_use(other or "another server", self.path) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{owner}, process {os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let another server have the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def in_use(other: str, path: Path) -> Conflict:
    """A second server on one file is refused."""
    return Conflict(
        f"The database is in use by {other} (lock: {path}). Stop that server first, or give this "
        "one its own --data-dir; several servers share one PostgreSQL (--database-url).",
        parameters={"holder": other},
    )
