"""One picture of all tasks of a deployment: their lines merged by time.

Every task keeps its own order. A line counts at its time, but never before an earlier line of its
task, so each task is sorted and the merge needs only the heads. Pure over `LogView`s.
"""

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from boreas.domain.errors import invalid
from boreas.logs.lines import LogLine
from boreas.logs.reading import Query, StoredLine, backwards, forwards
from boreas.logs.views import LogView


class Cursor(NamedTuple):
    """The place of a line among those of all tasks."""

    moment: int
    task: str
    seq: int

    def __str__(self) -> str:
        return f"{self.moment}.{self.seq}.{self.task}"

    @classmethod
    def parsed(cls, text: str) -> Self:
        """What a client sends back."""
        moment, _, rest = text.partition(".")
        seq, dot, task = rest.partition(".")
        if not (moment.isdecimal() and seq.isdecimal() and dot):
            raise invalid("cursor", "is not one of ours", "use the `cursor` of a line")
        return cls(int(moment), task, int(seq))


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedLine:
    """A line and the task it belongs to."""

    task: str
    line: LogLine

    @property
    def cursor(self) -> Cursor:
        """Its place."""
        return Cursor(self.line.moment, self.task, self.line.seq)

    def as_json(self) -> dict[str, Any]:
        """The shape clients get."""
        return {**self.line.as_json(), "taskId": self.task, "cursor": str(self.cursor)}


Placed = tuple[Cursor, StoredLine]


def merged_forwards(
    views: Mapping[str, LogView], query: Query, after: Cursor | None
) -> Iterator[MergedLine]:
    """Wanted lines behind the cursor, the oldest first."""
    streams = [_task_forwards(task, view, query, after) for task, view in views.items()]
    return _merged(heapq.merge(*streams, key=_cursor))


def merged_backwards(
    views: Mapping[str, LogView], query: Query, before: Cursor | None
) -> Iterator[MergedLine]:
    """Wanted lines before the cursor, the newest first."""
    streams = [_task_backwards(task, view, query, before) for task, view in views.items()]
    return _merged(heapq.merge(*streams, key=_cursor, reverse=True))


def _cursor(placed: Placed) -> Cursor:
    return placed[0]


def _merged(placed: Iterator[Placed]) -> Iterator[MergedLine]:
    for cursor, line in placed:
        yield MergedLine(task=cursor.task, line=line.shown())


def _task_forwards(
    task: str, view: LogView, query: Query, after: Cursor | None
) -> Iterator[Placed]:
    begin = 0
    if after:
        begin = bisect_left(view.segments, after.moment, hi=view.count, key=lambda s: s.latest) - 1
    for line in forwards(view, query, from_segment=max(0, begin)):
        cursor = Cursor(line.moment, task, line.seq)
        if after is None or cursor > after:
            yield cursor, line


def _task_backwards(
    task: str, view: LogView, query: Query, before: Cursor | None
) -> Iterator[Placed]:
    last = view.count - 1
    if before:
        last = bisect_right(view.segments, before.moment, hi=view.count, key=lambda s: s.latest) - 1
    for line in backwards(view, query, to_segment=last):
        cursor = Cursor(line.moment, task, line.seq)
        if before is None or cursor < before:
            yield cursor, line
