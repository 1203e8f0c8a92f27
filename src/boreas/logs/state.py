"""What a log file says of itself: its orders, how far each is stored, unfinished lines, an index.

`LogState.apply` is the only way it changes, for a record just written as for one found at opening,
so the state after a crash is the state before it. Pure.
"""

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Self

from boreas.logs.chunks import decode
from boreas.logs.joining import WHOLE, is_piece
from boreas.logs.records import JOINS, ORDER, Record, order_names

# A segment is what a reader loads at once: small enough for a quick tail, large enough that a
# million lines of 120 bytes need only some five hundred of them.
_SEGMENT_BYTES: Final = 262_144
_SEGMENT_RECORDS: Final = 512


@dataclass(slots=True, kw_only=True)
class OrderLog:
    """One order in a file: whose lines these are and how far they are stored."""

    order_id: str
    execution_id: str
    target: str
    offset: int = 0

    def as_list(self) -> list[Any]:
        """For the index and the footer of a closed log."""
        return [self.order_id, self.execution_id, self.target, self.offset]

    @classmethod
    def from_list(cls, values: list[Any]) -> Self:
        """What `as_list` gave."""
        order_id, execution_id, target, offset = values
        return cls(order_id=order_id, execution_id=execution_id, target=target, offset=offset)


@dataclass(slots=True, kw_only=True)
class Segment:
    """A stretch of records that is loaded at once."""

    start: int
    """Where it begins in the file."""
    first_seq: int
    """The number of the first line that is complete in it or later."""
    latest: int
    """The latest time of any line before it."""


@dataclass(slots=True, kw_only=True)
class UnfinishedLine:
    """A line that began and has no end yet."""

    since: int
    """Where in the file its first piece is."""
    micros: int
    text: bytes


@dataclass(slots=True)
class LogState:
    """Everything that must be known to append to a log file and to read it."""

    size: int = 0
    last_seq: int = 0
    latest: int = 0
    orders: dict[int, OrderLog] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    unfinished: dict[tuple[int, int], UnfinishedLine] = field(default_factory=dict)
    """By order number and stream."""
    segments: list[Segment] = field(default_factory=list)
    entries: list[bytes] = field(default_factory=list)
    """Index lines that are not written yet."""
    _changed: set[int] = field(default_factory=set)
    _records: int = 0

    def apply(self, record: Record, body: bytes) -> None:
        """Take in the record that now follows in the file."""
        self._begin_segment_if_due()
        length = record.end - record.start
        if record.kind == ORDER:
            self._introduce(record.order, OrderLog.from_list([*order_names(body), 0]))
        else:
            self.orders[record.order].offset = record.offset
        if record.kind == JOINS:
            self.follow_unfinished(record.order, body, self.size)
        self._changed.add(record.order)
        self._records += 1
        self.last_seq += record.lines
        self.latest = max(self.latest, record.latest)
        self.size += length

    def follow_unfinished(self, order: int, body: bytes, place: int) -> None:
        """Keep track of lines in pieces; `place` is where this record is in the file."""
        for chunk in decode(body):
            key = order, chunk.stream
            if chunk.flags & WHOLE:
                self.unfinished.pop(key, None)
            elif is_piece(chunk):
                begun = self.unfinished.get(key)
                self.unfinished[key] = UnfinishedLine(
                    since=begun.since if begun else place,
                    micros=chunk.micros,
                    text=(begun.text if begun else b"") + chunk.payload,
                )

    def begun_lines(self, order: int) -> dict[int, bytes]:
        """The unfinished line of each stream of an order."""
        return {stream: line.text for (n, stream), line in self.unfinished.items() if n == order}

    def restore(self, index: bytes, file_size: int) -> tuple[int, int]:
        """Take over what an index file says, as far as it is whole and true to the file's size.

        Answers from where on the file must be searched for pieces of unfinished lines, and how many
        bytes of the index are good.
        """
        pieces_from, good = self.size, 0
        for entry, length in _whole_entries(index):
            follows = entry["number"] == len(self.segments) + 1
            if not follows or not self.size <= entry["start"] <= file_size:
                break
            for number, order in entry["orders"]:
                self._introduce(number, OrderLog.from_list(order))
            self.size, self.latest = entry["start"], entry["latest"]
            self.last_seq = entry["firstSeq"] - 1
            pieces_from = entry["piecesFrom"]
            self._note_segment()
            good += length
        return pieces_from, good

    def _introduce(self, number: int, order: OrderLog) -> None:
        self.orders[number] = order
        self.numbers[order.order_id] = number

    def _begin_segment_if_due(self) -> None:
        if self.segments:
            filled = self.size - self.segments[-1].start
            if filled < _SEGMENT_BYTES and self._records < _SEGMENT_RECORDS:
                return
        self._note_segment()
        self.entries.append(self._entry())
        self._changed.clear()

    def _note_segment(self) -> None:
        self.segments.append(
            Segment(start=self.size, first_seq=self.last_seq + 1, latest=self.latest)
        )
        self._records = 0

    def _entry(self) -> bytes:
        """What changed since the last segment began, as one line of the index file."""
        entry = {
            "number": len(self.segments),
            "start": self.size,
            "firstSeq": self.last_seq + 1,
            "latest": self.latest,
            "piecesFrom": min((line.since for line in self.unfinished.values()), default=self.size),
            "orders": [[n, self.orders[n].as_list()] for n in sorted(self._changed)],
        }
        text = json.dumps(entry).encode()
        return b"%08x %s\n" % (zlib.crc32(text), text)


def _whole_entries(index: bytes) -> Iterator[tuple[dict[str, Any], int]]:
    for line in index.split(b"\n")[:-1]:
        crc, _, text = line.partition(b" ")
        if crc != b"%08x" % zlib.crc32(text):
            return
        yield json.loads(text), len(line) + 1
