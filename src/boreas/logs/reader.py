"""Read logs: pages, live, as a download, and all tasks of a deployment in one.

Called by the server's routers through `LogStore`. Pictures (`LogView`) are taken on the loop's
thread; searching them happens in threads, so that a long search delays nobody who watches live.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

from boreas.kit.until import Hint
from boreas.logs.closedlog import ClosedLog
from boreas.logs.lines import LogLine, level_of, timestamp_of
from boreas.logs.merging import Cursor, MergedLine, merged_backwards, merged_forwards
from boreas.logs.openlog import OpenLog
from boreas.logs.pages import Page, Window, page_of
from boreas.logs.reading import EVERYTHING, Query, StoredLine, forwards
from boreas.logs.shelf import Key, Shelf
from boreas.logs.views import LogView

T = TypeVar("T")

# What a live reader gets at once; the web page was measured to be fastest with such batches.
_BATCH: Final = 500
# Lines may be long, and a few batches wait for each reader that does not read.
_BATCH_BYTES: Final = 128 * 1024
_DOWNLOAD_LINES: Final = 5_000
_NOTHING: Final = LogView(segments=(), count=0, last_seq=0, orders={}, read=lambda _: b"")


@dataclass(slots=True)
class Mark:
    """How far a follower has come: every line up to this number was looked at and given."""

    seq: int = 0


@dataclass(slots=True, eq=False)
class _Follower:
    hint: Hint = field(default_factory=Hint)
    ended: bool = False


class LogReader:
    """The reading half of the log store."""

    def __init__(self, directory: Path) -> None:
        self._shelf = Shelf(directory)
        self._followers: dict[Key, set[_Follower]] = {}
        self._searchers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="logs")

    async def page(
        self, deployment: str, task: str, window: Window, query: Query = EVERYTHING
    ) -> Page:
        """A page of one task's log; empty when there is none."""
        with self._view((deployment, task)) as view:
            return await self._search(lambda: page_of(view, window, query))

    def unfinished(self, deployment: str, task: str) -> tuple[LogLine, ...]:
        """The beginnings of lines that have no end yet, such as a prompt."""
        log = self._shelf.find((deployment, task))
        if not isinstance(log, OpenLog):
            return ()
        state = log.state
        return tuple(
            StoredLine(
                seq=0,
                raw=line.text,
                micros=line.micros,
                moment=state.latest,
                stream=stream,
                cut=False,
                order=state.orders[number],
            ).shown(partial=True)
            for (number, stream), line in state.unfinished.items()
            if line.text
        )

    async def follow(
        self,
        deployment: str,
        task: str,
        *,
        after: int = 0,
        query: Query = EVERYTHING,
        mark: Mark | None = None,
    ) -> AsyncIterator[tuple[LogLine, ...]]:
        """Batches of lines with a number above `after`, as they come, until the log is closed.

        Pulls from the file, so a slow reader costs nothing but its own delay.
        """
        key, follower, mark = (deployment, task), _Follower(), mark or Mark()
        self._followers.setdefault(key, set()).add(follower)
        try:
            while True:
                ended = follower.ended or isinstance(self._shelf.find(key), ClosedLog)
                with self._view(key) as view:
                    last_seq = view.last_seq
                    lines, is_full = await asyncio.to_thread(_batch, view, after, query)
                after = lines[-1].seq if is_full else max(after, last_seq)
                if lines:
                    yield lines
                mark.seq = after
                if after < self.last_seq(deployment, task):
                    continue
                if ended:
                    return
                await follower.hint.wait()
        finally:
            self._followers[key].discard(follower)
            if not self._followers[key]:
                del self._followers[key]

    async def download(
        self, deployment: str, task: str, *, query: Query = EVERYTHING, prefixed: bool = False
    ) -> AsyncIterator[bytes]:
        """The whole log as text in blocks of lines, bytes as the commands wrote them.

        `prefixed` puts time, target, stream and level before each line.
        """
        with self._view((deployment, task)) as view:
            lines = forwards(view, query)
            written = _written_with_prefix if prefixed else _written
            while block := await self._search(
                lambda: b"".join(map(written, islice(lines, _DOWNLOAD_LINES)))
            ):
                yield block

    async def deployment_page(
        self,
        deployment: str,
        *,
        limit: int,
        before: Cursor | None = None,
        after: Cursor | None = None,
        query: Query = EVERYTHING,
    ) -> tuple[MergedLine, ...]:
        """Lines of all tasks merged by time: the newest, or those before or after a cursor."""
        with ExitStack() as stack:
            views = {
                task: stack.enter_context(self._view((deployment, task)))
                for task in self._shelf.tasks_of(deployment)
            }
            if after is not None:
                forward = merged_forwards(views, query, after)
                return await self._search(lambda: tuple(islice(forward, limit)))
            backward = merged_backwards(views, query, before)
            return (await self._search(lambda: tuple(islice(backward, limit))))[::-1]

    def _view(self, key: Key) -> LogView:
        log = self._shelf.find(key)
        return _NOTHING if log is None else log.view()

    def last_seq(self, deployment: str, task: str) -> int:
        """The number of the last line that is stored; 0 when there is none."""
        log = self._shelf.find((deployment, task))
        if log is None:
            return 0
        return log.state.last_seq if isinstance(log, OpenLog) else log.last_seq

    def _wake(self, key: Key) -> None:
        for follower in self._followers.get(key, ()):
            follower.hint.raise_()

    def _end_followers(self, key: Key) -> None:
        for follower in self._followers.get(key, ()):
            follower.ended = True
            follower.hint.raise_()

    async def _search(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._searchers, work)


def _batch(view: LogView, after: int, query: Query) -> tuple[tuple[LogLine, ...], bool]:
    """The next lines, and whether there may be more than these."""
    lines: list[LogLine] = []
    room = _BATCH_BYTES
    for line in forwards(view, query, after=after):
        lines.append(line.shown())
        room -= len(line.raw)
        if len(lines) == _BATCH or room <= 0:
            return tuple(lines), True
    return tuple(lines), False


def _written(line: StoredLine) -> bytes:
    return line.raw + b"\n"


def _written_with_prefix(line: StoredLine) -> bytes:
    level = level_of(line.raw).name.lower()
    prefix = f"{timestamp_of(line.micros)} {line.order.target} {line.stream_name} {level} "
    return prefix.encode(errors="backslashreplace") + line.raw + b"\n"
