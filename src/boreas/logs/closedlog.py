"""A log that nothing is added to any more: the same segments, each compressed, and one footer.

Written beside the open file and put in its place by one rename. A reader inflates only the segments
it looks at. What comes late all the same (an agent that was cut off for days) opens it again.
"""

import json
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from boreas.domain.errors import Unavailable
from boreas.logs.disk import disk_errors, sync_directory
from boreas.logs.records import file_heading
from boreas.logs.state import OrderLog, Segment
from boreas.logs.views import LogView

_TAIL: Final = struct.Struct(">II8s")
_MAGIC: Final = b"BOREASLZ"
Orders = list[tuple[int, list[Any]]]
"""Number and names of every order: a copy, for the log may grow while it is compressed."""

_LEVEL: Final = 4  # a sixth of the size at 60 MB/s; level 9 saves 5 % more for five times the work


class LogUnreadable(Unavailable):
    """A closed log is damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedLog:
    """A compressed log; immutable."""

    path: Path
    deployment: str
    task: str
    last_seq: int
    orders: dict[int, OrderLog]
    segments: tuple[Segment, ...]
    places: tuple[tuple[int, int], ...]
    """Where each segment lies compressed, and how long it is there."""

    def offset_of(self, order_id: str) -> int:
        """How far this order's chunk stream is stored."""
        return next((o.offset for o in self.orders.values() if o.order_id == order_id), 0)

    def view(self) -> LogView:
        """A reader's picture; it keeps nothing open."""
        return LogView(
            segments=self.segments,
            count=len(self.segments),
            last_seq=self.last_seq,
            orders=self.orders,
            read=self.read,
        )

    def read(self, number: int) -> bytes:
        """The records of a segment."""
        place, length = self.places[number]
        try:
            with self.path.open("rb") as file:
                file.seek(place)
                return zlib.decompress(file.read(length))
        except (OSError, zlib.error) as error:
            raise LogUnreadable(f"the log of task {self.task} cannot be read: {error}") from error


def write_closed(view: LogView, orders: Orders, names: tuple[str, str], path: Path) -> None:
    """Write the compressed form of a log to this path, durable when this returns."""
    with disk_errors(f"the log of task {names[1]} cannot be closed"), path.open("wb") as file:
        places = []
        for number in range(view.count):
            block = zlib.compress(view.read(number), _LEVEL)
            places.append((file.tell(), len(block)))
            file.write(block)
        footer = zlib.compress(json.dumps(_footer(view, orders, names, places)).encode())
        file.write(footer + _TAIL.pack(len(footer), zlib.crc32(footer), _MAGIC))
        file.flush()
        os.fsync(file.fileno())


def _footer(
    view: LogView, orders: Orders, names: tuple[str, str], places: list[tuple[int, int]]
) -> dict[str, Any]:
    segments = view.segments[: view.count]
    return {
        "deployment": names[0],
        "task": names[1],
        "lastSeq": view.last_seq,
        "orders": orders,
        "segments": [[s.start, s.first_seq, s.latest] for s in segments],
        "places": places,
    }


def read_closed(path: Path) -> ClosedLog:
    """Read the footer of a closed log. Raises `LogUnreadable`."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END) - _TAIL.size
            file.seek(max(0, end))
            length, crc, magic = _TAIL.unpack(file.read(_TAIL.size))
            file.seek(max(0, end - length))
            packed_footer = file.read(length)
        if magic != _MAGIC or zlib.crc32(packed_footer) != crc:
            raise LogUnreadable(f"{path.name} is damaged")
        footer = json.loads(zlib.decompress(packed_footer))
    except (OSError, struct.error) as error:
        raise LogUnreadable(f"{path.name} cannot be read: {error}") from error
    return ClosedLog(
        path=path,
        deployment=footer["deployment"],
        task=footer["task"],
        last_seq=footer["lastSeq"],
        orders={number: OrderLog.from_list(order) for number, order in footer["orders"]},
        segments=tuple(
            Segment(start=start, first_seq=first, latest=latest)
            for start, first, latest in footer["segments"]
        ),
        places=tuple((place, length) for place, length in footer["places"]),
    )


def reopen(closed: ClosedLog, path: Path) -> None:
    """Write the open form of a closed log to this path again and remove the closed one."""
    beginning = path.with_suffix(".new")
    with disk_errors(f"the log of task {closed.task} cannot be opened again"):
        with beginning.open("wb") as file:
            file.write(file_heading(closed.deployment, closed.task))
            for number in range(len(closed.segments)):
                file.write(closed.read(number))
            file.flush()
            os.fsync(file.fileno())
        path.with_suffix(".idx").unlink(missing_ok=True)
        beginning.replace(path)
        sync_directory(path.parent)
        closed.path.unlink(missing_ok=True)
