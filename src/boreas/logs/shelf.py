"""Where the logs lie: `<directory>/<deployment>/<task>.log`, `.idx`, and `.logz` once closed."""

from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from boreas.logs.closedlog import ClosedLog, LogUnreadable, read_closed, reopen
from boreas.logs.names import file_name
from boreas.logs.openlog import OpenLog
from boreas.logs.records import heading_names

# Each open log keeps a file descriptor; the usual limit of a process is 1024.
_KEPT: Final = 256

Key = tuple[str, str]
"""Deployment and task."""


class Shelf:
    """Finds logs and keeps those in use at hand."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._kept: dict[Key, OpenLog | ClosedLog] = {}
        self._names: dict[Path, Key] = {}

    def path_of(self, key: Key) -> Path:
        """Where this log is while it is open."""
        return self.directory / file_name(key[0]) / f"{file_name(key[1])}.log"

    def find(self, key: Key) -> OpenLog | ClosedLog | None:
        """The log as it is now; None when nothing was ever stored."""
        log = self._kept.pop(key, None) or self._from_disk(key)
        if log is not None:
            self._kept[key] = log  # again, as the youngest
        return log

    def writable(self, key: Key) -> OpenLog:
        """The log to append to: made if there is none, opened again if it was closed."""
        log = self.find(key)
        if isinstance(log, ClosedLog):
            reopen(log, self.path_of(key))
        if not isinstance(log, OpenLog):
            log = self._opened(key)
            self._kept[key] = log
        return log

    def put(self, key: Key, log: ClosedLog) -> None:
        """This log is closed now."""
        self._kept[key] = log

    def forget(self, key: Key) -> None:
        """Read this log from the disk when it is wanted next."""
        log = self._kept.pop(key, None)
        if isinstance(log, OpenLog):
            log.close()

    def forget_all(self) -> None:
        """Give every file back."""
        for key in list(self._kept):
            self.forget(key)

    def remove(self, path: Path) -> None:
        """This closed log is gone for good."""
        for key, log in list(self._kept.items()):
            if isinstance(log, ClosedLog) and log.path == path:
                del self._kept[key]
        path.unlink(missing_ok=True)
        with suppress(OSError):
            path.parent.rmdir()  # refused while other logs are there

    def trim(self, busy: Collection[Key]) -> None:
        """Give back files that were not used for long."""
        idle = [key for key in self._kept if key not in busy]
        for key in idle[: max(0, len(self._kept) - _KEPT)]:
            self.forget(key)

    def tasks_of(self, deployment: str) -> tuple[str, ...]:
        """Tasks of a deployment that have a log."""
        folder = self.directory / file_name(deployment)
        return tuple(sorted({key[1] for key in self._keys_in(folder)}))

    def open_keys(self) -> tuple[Key, ...]:
        """Every log that is not closed."""
        found = (self._name_of(path) for path in self.directory.glob("*/*.log"))
        return tuple(key for key in found if key)

    def _from_disk(self, key: Key) -> OpenLog | ClosedLog | None:
        path = self.path_of(key)
        if path.exists():
            # After a crash in the middle of closing both may be there: the open one has it all.
            return self._opened(key)
        closed = path.with_suffix(".logz")
        return read_closed(closed) if closed.exists() else None

    def _opened(self, key: Key) -> OpenLog:
        log = OpenLog(self.path_of(key), *key)
        log.open()
        return log

    def _keys_in(self, folder: Path) -> Iterator[Key]:
        for path in folder.glob("*.log*"):
            if path.suffix in (".log", ".logz") and (key := self._name_of(path)):
                yield key

    def _name_of(self, path: Path) -> Key | None:
        if path not in self._names:
            key = _names_inside(path)
            if key is None:
                return None
            self._names[path] = key
        return self._names[path]


def _names_inside(path: Path) -> Key | None:
    """Whose log this file says it is."""
    try:
        if path.suffix == ".logz":
            closed = read_closed(path)
            return closed.deployment, closed.task
        with path.open("rb") as file:
            return heading_names(file.readline(65_536))
    except (FileNotFoundError, LogUnreadable):
        return None
