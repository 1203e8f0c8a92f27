"""How much the logs take, and which closed ones may go. A log that may still grow never goes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the logs take on the disk."""

    open_logs: int
    open_bytes: int
    closed_logs: int
    closed_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A closed log; its file's time is when it was closed."""

    path: Path
    size: int
    closed_at: datetime


def closed_files(directory: Path) -> Iterator[StoredFile]:
    """Every closed log."""
    for path, size, modified in _sizes(directory, "*.logz"):
        closed_at = datetime.fromtimestamp(modified, UTC)
        yield StoredFile(path=path, size=size, closed_at=closed_at)


def usage_of(directory: Path) -> Usage:
    """Count everything that is there."""
    growing = [size for _, size, _ in _sizes(directory, "*.log")]
    indexes = sum(size for _, size, _ in _sizes(directory, "*.idx"))
    closed = [size for _, size, _ in _sizes(directory, "*.logz")]
    return Usage(
        open_logs=len(growing),
        open_bytes=sum(growing) + indexes,
        closed_logs=len(closed),
        closed_bytes=sum(closed),
    )


def files_to_remove(
    files: Iterable[StoredFile], *, open_bytes: int, oldest: datetime | None, max_bytes: int | None
) -> Iterator[StoredFile]:
    """Those closed before `oldest`, then the oldest until everything fits into `max_bytes`."""
    by_age = sorted(files, key=lambda file: (file.closed_at, file.path))
    total = open_bytes + sum(file.size for file in by_age)
    for file in by_age:
        too_old = oldest is not None and file.closed_at < oldest
        too_much = max_bytes is not None and total > max_bytes
        if not too_old and not too_much:
            return
        total -= file.size
        yield file


def before(now: datetime, age: timedelta | None) -> datetime | None:
    """The moment this long ago; None for no limit."""
    return None if age is None else now - age


def _sizes(directory: Path, pattern: str) -> Iterator[tuple[Path, int, float]]:
    for path in directory.glob(f"*/{pattern}"):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue  # closed or pruned in this moment
        yield path, status.st_size, status.st_mtime
