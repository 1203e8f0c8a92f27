"""A log file that is being written: append-only records, and beside it a sparse index.

The file alone holds the truth. The index only saves reading it: an entry is written when what it
describes is durable, and a missing or torn index costs one pass over the file.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Final

from boreas.domain.errors import BoreasError, ErrorCode, NoSpace
from boreas.logs.chunks import BOREAS
from boreas.logs.disk import disk_errors, sync_directory, write_all
from boreas.logs.joining import Body, bodies_of, ended_lines
from boreas.logs.records import (
    JOINS,
    LINES,
    ORDER,
    Record,
    file_heading,
    header_of,
    heading_names,
    order_body,
    packed,
    records_in,
)
from boreas.logs.state import LogState
from boreas.logs.views import LogView

_PIECE: Final = 4 * 1024 * 1024


class LogGap(BoreasError):
    """These log bytes do not follow those that are stored; send again from `expected` on."""

    code = ErrorCode.CONFLICT


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSource:
    """Where log bytes come from: the order, and whose line it is shown as."""

    deployment: str
    task: str
    execution_id: str
    target: str
    order_id: str


@dataclass(slots=True, eq=False)
class OpenLog:
    """One task's log while it may still grow. For one thread, except the work of `sync_work`."""

    path: Path
    deployment: str
    task: str
    state: LogState = field(default_factory=LogState)
    failure: NoSpace | None = None
    """Once a sync failed nothing can be known of the last bytes: this object is used no more."""
    _fd: int = -1
    _synced: int = 0
    _name_synced: bool = False
    _index_size: int = 0
    _one_sync: Lock = field(default_factory=Lock)
    """A cancelled waiter leaves its thread running; the next sync must come after it."""

    @property
    def index_path(self) -> Path:
        """The sparse index beside the file."""
        return self.path.with_suffix(".idx")

    def open(self) -> None:
        """Open or create the file, cut a torn end and learn its state."""
        with disk_errors(f"the log of task {self.task} cannot be opened"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            self._read_heading()
            self._recover()
            self._synced = self.state.size

    def close(self) -> None:
        """Give the file back; `open` may follow."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def offset_of(self, order_id: str) -> int:
        """How far this order's chunk stream is stored."""
        number = self.state.numbers.get(order_id)
        return 0 if number is None else self.state.orders[number].offset

    def append(self, source: LogSource, start: int, arrived: bytes, now: int) -> int:
        """Store what is new of these chunks; how far the order is stored then.

        Raises `LogGap`, `BadChunk` or `NoSpace`; nothing is stored then.
        """
        have = self.offset_of(source.order_id)
        if start > have:
            raise LogGap(parameters={"expected": have, "got": start})
        if start + len(arrived) > have:
            number = self._number_of(source)
            begun = self.state.begun_lines(number)
            self._write_for(source, have, bodies_of(arrived[have - start :], begun, now))
        return self.offset_of(source.order_id)

    def skip_to(self, source: LogSource, offset: int, now: int) -> None:
        """Bytes of the order below this offset will never come: a line says so, and it goes on."""
        have = self.offset_of(source.order_id)
        if offset > have:
            lost = f"[{offset - have} bytes of this log were lost before they arrived]"
            body = ended_lines({BOREAS: lost.encode()}, now)
            body.arrived = offset - have
            self._write_for(source, have, iter([body]))

    def end_unfinished(self, now: int) -> None:
        """Lines without an end are whole lines now: nothing will come any more."""
        for number in {number for number, _ in self.state.unfinished}:
            body = ended_lines(self.state.begun_lines(number), now)
            offset = self.state.orders[number].offset
            self._write(list(self._numbered(number, offset, iter([body]))))

    def sync_work(self) -> Callable[[], None]:
        """Work for a thread that makes what is in the file now durable. Raises `NoSpace`.

        When the disk refuses, the bytes since the last good sync are cut away and `failure` is set:
        the senders still have them.
        """
        entries, self.state.entries = self.state.entries, []
        return partial(self._sync, self.state.size, b"".join(entries))

    def _sync(self, size: int, entries: bytes) -> None:
        try:
            with self._one_sync, disk_errors(f"log of task {self.task} cannot be made durable"):
                os.fsync(self._fd)
                if not self._name_synced:
                    sync_directory(self.path.parent)
                self._synced, self._name_synced = size, True
                self._write_index(entries)
        except NoSpace as failure:
            self.failure = failure
            with suppress(OSError):
                os.ftruncate(self._fd, self._synced)
            raise

    def view(self) -> LogView:
        """A reader's picture of the log as it is now; for any thread, and to be closed."""
        fd, size, segments = os.dup(self._fd), self.state.size, self.state.segments
        count = len(segments)

        def read(number: int) -> bytes:
            start = segments[number].start
            end = segments[number + 1].start if number + 1 < count else size
            return os.pread(fd, end - start, start)

        return LogView(
            segments=segments,
            count=count,
            last_seq=self.state.last_seq,
            orders=self.state.orders,
            read=read,
            close=partial(os.close, fd),
        )

    def _number_of(self, source: LogSource) -> int:
        return self.state.numbers.get(source.order_id, len(self.state.orders))

    def _write_for(self, source: LogSource, have: int, bodies: Iterator[Body]) -> None:
        number = self._number_of(source)
        records = list(self._numbered(number, have, bodies))
        if source.order_id not in self.state.numbers:
            introduction = header_of(
                kind=ORDER,
                order=number,
                offset=0,
                first_seq=self.state.last_seq + 1,
                latest=self.state.latest,
            )
            names = order_body(source.order_id, source.execution_id, source.target)
            records.insert(0, (introduction, names))
        self._write(records)

    def _numbered(
        self, order: int, offset: int, bodies: Iterator[Body]
    ) -> Iterator[tuple[Record, bytes]]:
        """Records for these bodies, which follow each other and what is in the file."""
        seq, latest = self.state.last_seq + 1, self.state.latest
        for body in bodies:
            offset += body.arrived
            latest = max(latest, body.latest)
            record = header_of(
                kind=JOINS if body.joins else LINES,
                order=order,
                offset=offset,
                first_seq=seq,
                latest=latest,
                lines=body.lines,
            )
            yield record, b"".join(body.parts)
            seq += body.lines

    def _write(self, writing: list[tuple[Record, bytes]]) -> None:
        """Write records at the end; the state changes only when all of them are written."""
        if self.failure:
            raise self.failure
        encoded = [(record, body, packed(record, body)) for record, body in writing]
        try:
            with disk_errors(f"the log of task {self.task} cannot be written"):
                write_all(self._fd, b"".join(whole for _, _, whole in encoded), self.state.size)
        except NoSpace:
            # Readers never look behind `size`; the next append overwrites what is left there.
            with suppress(OSError):
                os.ftruncate(self._fd, self.state.size)
            raise
        for record, body, whole in encoded:
            self.state.apply(record._replace(end=len(whole)), body)

    def _write_index(self, entries: bytes) -> None:
        if entries:
            fd = os.open(self.index_path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                write_all(fd, entries, self._index_size)
                os.ftruncate(fd, self._index_size + len(entries))
            finally:
                os.close(fd)
            self._index_size += len(entries)

    def _read_heading(self) -> None:
        heading, newline, _ = os.pread(self._fd, 65_536, 0).partition(b"\n")
        if not newline or heading_names(heading) is None:
            os.ftruncate(self._fd, 0)
            self.index_path.unlink(missing_ok=True)
            write_all(self._fd, file_heading(self.deployment, self.task), 0)
            self.state.size = len(file_heading(self.deployment, self.task))
        else:
            self.state.size = len(heading) + 1

    def _recover(self) -> None:
        index = self.index_path.read_bytes() if self.index_path.exists() else b""
        pieces_from, self._index_size = self.state.restore(index, os.fstat(self._fd).st_size)
        if self._index_size < len(index):
            os.truncate(self.index_path, self._index_size)
        self._find_unfinished(pieces_from)
        for record, body, _ in self._records_from(self.state.size):
            self.state.apply(record, body)
        os.ftruncate(self._fd, self.state.size)

    def _find_unfinished(self, place: int) -> None:
        for record, body, start in self._records_from(place):
            if start >= self.state.size:
                return
            if record.kind == JOINS:
                self.state.follow_unfinished(record.order, body, start)

    def _records_from(self, place: int) -> Iterator[tuple[Record, bytes, int]]:
        """Good records from a place in the file on, each with its own place."""
        rest = b""
        while block := os.pread(self._fd, _PIECE, place + len(rest)):
            rest += block
            end = 0
            for record in records_in(rest, checked=True):
                yield record, rest[record.body : record.end], place + record.start
                end = record.end
            rest, place = rest[end:], place + end
            if len(rest) >= _PIECE:
                return  # no record is that long: what is here is not one
