"""Task groups in which every task has a name, an owner and an end.

A thin layer over `asyncio.TaskGroup`: `start` needs a name, `stop` cancels what is left in reverse
order of starting, and a task that fails brings the group down with its own error.
"""

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")


class TaskGroup:
    """Owns tasks for the length of an `async with`; leaving it cancels those still running."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._group = asyncio.TaskGroup()
        self._tasks: dict[asyncio.Task[Any], None] = {}

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        await self._group.__aexit__(kind, error, traceback)

    def start(self, work: Callable[[], Coroutine[Any, Any, T]], *, name: str) -> asyncio.Task[T]:
        """Run `work()` until it ends or the group is left."""
        task = self._group.create_task(work(), name=f"{self.name}: {name}")
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        return task

    def stop(self) -> None:
        """Ask every task to end, the youngest first."""
        for task in reversed(list(self._tasks)):
            task.cancel()

    async def join(self) -> None:
        """Wait until every task started so far has ended by itself."""
        if self._tasks:
            await asyncio.wait(list(self._tasks))


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first cause of a group that failed, however deep the groups are nested."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
