"""Pages of a log: which stretch is asked for, and what is answered. Pure over `LogView`s."""

from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Self

from boreas.domain.errors import invalid
from boreas.logs.lines import LogLine
from boreas.logs.reading import Query, backwards, forwards
from boreas.logs.views import LogView

USUAL_LIMIT: Final = 500
MOST: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The newest `limit` lines, or those just before, or just after a number."""

    limit: int = USUAL_LIMIT
    before: int | None = None
    after: int | None = None

    @classmethod
    def asked(
        cls,
        *,
        tail: int | None = None,
        limit: int | None = None,
        before: int | None = None,
        after: int | None = None,
    ) -> Self:
        """What a client's parameters mean. Raises `InvalidInput` when they contradict."""
        if sum(value is not None for value in (tail, before, after)) > 1:
            raise invalid("tail", "only one of tail, before and after can be used")
        if tail is not None and limit is not None:
            raise invalid("limit", "tail says how many already")
        wanted = tail if tail is not None else USUAL_LIMIT if limit is None else limit
        if wanted < 0:
            raise invalid("limit", "cannot be negative")
        return cls(limit=min(wanted, MOST), before=before, after=after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Lines in their order, and whether there are more on either side."""

    lines: tuple[LogLine, ...]
    last_seq: int
    """The number of the newest line of the whole log."""
    has_older: bool = False
    has_newer: bool = False

    def as_json(self) -> dict[str, Any]:
        """The shape clients get."""
        return {
            "lines": [line.as_json() for line in self.lines],
            "lastSeq": self.last_seq,
            "hasOlder": self.has_older,
            "hasNewer": self.has_newer,
        }


def page_of(view: LogView, window: Window, query: Query) -> Page:
    """The lines of this window that are wanted, the oldest first."""
    if window.after is not None:
        found = list(islice(forwards(view, query, after=window.after), window.limit + 1))
        has_older, has_newer = window.after > 0, len(found) > window.limit
        found = found[: window.limit]
    else:
        found = list(islice(backwards(view, query, before=window.before), window.limit + 1))
        has_older = len(found) > window.limit
        has_newer = window.before is not None and window.before <= view.last_seq
        found = found[: window.limit][::-1]
    return Page(
        lines=tuple(line.shown() for line in found),
        last_seq=view.last_seq,
        has_older=has_older,
        has_newer=has_newer,
    )
