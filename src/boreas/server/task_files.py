"""Files of tasks: what people put there for the commands, and what the commands left behind.

`<file dir>/<deployment>/<task>/in/<name>` goes down to every agent that runs the task,
`.../out/<target>/<name>` came up. Parts of a path that came from outside are made safe or checked,
so that no name leaves the directory.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from boreas.domain.errors import InvalidInput, NotFound
from boreas.domain.file_names import MAX_FILE_BYTES, is_file_name
from boreas.logs.disk import disk_errors
from boreas.logs.names import file_name


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFile:
    """One file that is there; `target` is None for those that people put there."""

    name: str
    size: int
    target: str | None = None


class TaskFiles:
    """All files of all tasks."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def input(self, deployment: str, task: str, name: str) -> Path:
        """Where a file for the task's commands lies. Raises `InvalidInput` for a bad name."""
        return self._of(deployment, task) / "in" / _checked(name)

    def output(self, deployment: str, task: str, target: str, name: str) -> Path:
        """Where a file that came from a target lies. Raises `InvalidInput` for a bad name."""
        return self._of(deployment, task) / "out" / file_name(target) / _checked(name)

    def listed(self, deployment: str, task: str, targets: Sequence[str]) -> list[TaskFile]:
        """What is there: inputs, then outputs by target."""
        own = self._of(deployment, task)
        found = [_as_file(path, None) for path in _files_in(own / "in")]
        for target in targets:
            outputs = _files_in(own / "out" / file_name(target))
            found.extend(_as_file(path, target) for path in outputs)
        return found

    def existing(self, path: Path) -> Path:
        """The path if there is a file; `NotFound`."""
        if not path.is_file():
            raise NotFound(f"There is no file {path.name!r} here.")
        return path

    async def keep(self, path: Path, body: AsyncIterator[bytes]) -> int:
        """Store what comes as this file, all of it or nothing; its size."""
        part = path.with_name(f".{path.name}.part")
        with disk_errors(f"the file {path.name} cannot be stored"):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                size = await _written(part, body)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
        return size

    def _of(self, deployment: str, task: str) -> Path:
        return self._directory / file_name(deployment) / file_name(task)


async def _written(part: Path, body: AsyncIterator[bytes]) -> int:
    size = 0
    with part.open("wb") as file:
        async for piece in body:
            size += len(piece)
            if size > MAX_FILE_BYTES:
                raise InvalidInput(f"the file is larger than {MAX_FILE_BYTES} bytes")
            await asyncio.to_thread(file.write, piece)
    return size


def _checked(name: str) -> str:
    if not is_file_name(name):
        raise InvalidInput(f"{name!r} is no plain file name: use letters, digits, `_ . + -`")
    return name


def _files_in(directory: Path) -> list[Path]:
    if not directory.is_dir():
        return []
    return sorted(path for path in directory.iterdir() if is_file_name(path.name))


def _as_file(path: Path, target: str | None) -> TaskFile:
    return TaskFile(name=path.name, size=path.stat().st_size, target=target)
