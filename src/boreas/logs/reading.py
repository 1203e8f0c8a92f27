"""Find lines in a log: by number, by level, by text, forwards and backwards.

Pure over a `LogView`. Whole segments are searched as bytes first; a line becomes text only when it
is wanted. A generator reads a segment only when somebody asks for its lines.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from boreas.logs.chunks import FORCED, decode
from boreas.logs.joining import stored_lines
from boreas.logs.lines import SPLIT_MARK, STREAM_NAMES, Level, LogLine, level_of, may_hold, text_of
from boreas.logs.records import ORDER, Record, records_in
from boreas.logs.state import OrderLog
from boreas.logs.views import LogView


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which lines are wanted; the empty query wants all."""

    level: Level = Level.DEBUG
    """This one and worse."""
    text: str = ""
    """Anywhere in the line, whatever its case."""
    execution_id: str | None = None
    target: str | None = None

    def wants_order(self, order: OrderLog) -> bool:
        """Could lines of this order be wanted?"""
        return self.execution_id in (None, order.execution_id) and self.target in (
            None,
            order.target,
        )


EVERYTHING: Final = Query()


class StoredLine(NamedTuple):
    """A line as it lies in the file, with what its record and chunk say of it."""

    seq: int
    raw: bytes
    micros: int
    moment: int
    stream: int
    cut: bool
    order: OrderLog

    @property
    def stream_name(self) -> str:
        """Which stream, for people."""
        return STREAM_NAMES[self.stream]

    def shown(self, *, partial: bool = False) -> LogLine:
        """The line for people."""
        message = text_of(self.raw)
        return LogLine(
            seq=self.seq,
            micros=self.micros,
            moment=self.moment,
            level=level_of(self.raw),
            message=f"{message} {SPLIT_MARK}" if self.cut else message,
            stream=self.stream_name,
            target=self.order.target,
            execution_id=self.order.execution_id,
            partial=partial,
        )


Search = Callable[[bytes], bool]


@dataclass(frozen=True, slots=True)
class _Match:
    """A query made ready: one test for blocks that may say yes too often, one for lines."""

    query: Query
    in_block: Search
    in_line: Search


def forwards(
    view: LogView, query: Query = EVERYTHING, *, after: int = 0, from_segment: int = 0
) -> Iterator[StoredLine]:
    """Wanted lines with a number above `after`, the oldest first."""
    match = _match(query)
    for number in range(max(from_segment, view.segment_with(after + 1)), view.count):
        for record, body, latest in _records(view, number, match):
            if record.first_seq + record.lines > after + 1:
                yield from (
                    line
                    for line in _lines(view, record, body, latest)
                    if line.seq > after and match.in_line(line.raw)
                )


def backwards(
    view: LogView,
    query: Query = EVERYTHING,
    *,
    before: int | None = None,
    to_segment: int | None = None,
) -> Iterator[StoredLine]:
    """Wanted lines with a number below `before`, the newest first."""
    match = _match(query)
    limit = view.last_seq + 1 if before is None else min(before, view.last_seq + 1)
    last = min(view.segment_with(limit - 1), view.count - 1)
    for number in range(last if to_segment is None else min(last, to_segment), -1, -1):
        for record, body, latest in reversed(list(_records(view, number, match))):
            if record.first_seq < limit:
                yield from (
                    line
                    for line in reversed(_lines(view, record, body, latest))
                    if line.seq < limit and match.in_line(line.raw)
                )


def _records(view: LogView, number: int, match: _Match) -> Iterator[tuple[Record, bytes, int]]:
    """Records of a segment that may hold wanted lines, with the latest time before each."""
    block = view.read(number)
    if not match.in_block(block):
        return
    latest = view.segments[number].latest
    for record in records_in(block):
        before, latest = latest, record.latest
        if record.kind == ORDER or not record.lines:
            continue
        if match.query.wants_order(view.orders[record.order]):
            body = block[record.body : record.end]
            if match.in_block(body):
                yield record, body, before


def _lines(view: LogView, record: Record, body: bytes, latest: int) -> list[StoredLine]:
    order, seq = view.orders[record.order], record.first_seq
    lines: list[StoredLine] = []
    for chunk in decode(body):
        latest = max(latest, chunk.micros)
        rest = (chunk.micros, latest, chunk.stream, bool(chunk.flags & FORCED), order)
        raws = stored_lines(chunk)
        lines += [StoredLine(seq + n, raw, *rest) for n, raw in enumerate(raws)]
        seq += len(raws)
    return lines


def _match(query: Query) -> _Match:
    text_in_block, text_in_line = _text_search(query.text)
    least = query.level
    if least == Level.DEBUG:
        return _Match(query, text_in_block, text_in_line)
    return _Match(
        query,
        lambda block: may_hold(block, least) and text_in_block(block),
        lambda line: level_of(line) >= least and text_in_line(line),
    )


def _text_search(text: str) -> tuple[Search, Search]:
    """Tests for a block and for a line: bytes where bytes can tell, text where they cannot."""
    if not text:
        return _yes, _yes
    if text.isascii() and "\\" not in text:
        needle = text.lower().encode()
        return (lambda raw: needle in raw.lower(),) * 2
    if text.lower() == text.upper() and "\\" not in text:
        plain = text.encode("utf-8", "surrogatepass")
        return (lambda raw: plain in raw,) * 2
    # A backslash may stand for a broken byte, and only text knows the case of other letters.
    lowered = text.lower()
    return _yes, lambda raw: lowered in text_of(raw).lower()


def _yes(_: bytes) -> bool:
    return True
