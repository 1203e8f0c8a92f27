"""The records a log file is made of. Pure.

A file begins with a line that says whose log it is, then records follow: a header with a checksum,
and a body. A record is whole or it is torn off at opening; there is nothing in between.
"""

import json
import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

_HEADER: Final = struct.Struct(">IIBIIQQQ")

ORDER: Final = 1
"""Introduces an order: body is a JSON list of order id, execution id, target."""
LINES: Final = 2
"""Stored chunks, all of them whole lines."""
JOINS: Final = 3
"""Stored chunks, among them pieces of lines or lines joined from pieces."""
_KINDS: Final = (ORDER, LINES, JOINS)


class Record(NamedTuple):
    """A record's header and where its body lies in the buffer it was found in."""

    kind: int
    order: int
    """The order's number inside this file."""
    lines: int
    first_seq: int
    offset: int
    """The order's chunk stream is stored up to here."""
    latest: int
    """The latest time of any line up to and with this record."""
    start: int
    body: int
    end: int


def packed(record: Record, body: bytes) -> bytes:
    """The record's bytes; its places in a buffer are not used."""
    header = _HEADER.pack(0, len(body), *record[:6])[4:]
    return b"".join((zlib.crc32(body, zlib.crc32(header)).to_bytes(4, "big"), header, body))


def header_of(
    *, kind: int, order: int, offset: int, first_seq: int, latest: int, lines: int = 0
) -> Record:
    """A record that is about to be written."""
    return Record(kind, order, lines, first_seq, offset, latest, 0, 0, 0)


def records_in(buffer: bytes, *, checked: bool = False) -> Iterator[Record]:
    """Every whole record in turn; ends at the first that is torn, or wrong when `checked`."""
    start = 0
    while start + _HEADER.size <= len(buffer):
        crc, length, kind, order, lines, first_seq, offset, latest = _HEADER.unpack_from(
            buffer, start
        )
        body = start + _HEADER.size
        if body + length > len(buffer) or kind not in _KINDS:
            return
        if checked and zlib.crc32(memoryview(buffer)[start + 4 : body + length]) != crc:
            return
        yield Record(kind, order, lines, first_seq, offset, latest, start, body, body + length)
        start = body + length


def order_body(order_id: str, execution_id: str, target: str) -> bytes:
    """The body of an ORDER record."""
    return json.dumps([order_id, execution_id, target]).encode()


def order_names(body: bytes) -> tuple[str, str, str]:
    """Order id, execution id and target of an ORDER record."""
    order_id, execution_id, target = json.loads(body)
    return order_id, execution_id, target


def file_heading(deployment: str, task: str) -> bytes:
    """The first line of a log file."""
    return json.dumps({"boreasLog": 1, "deployment": deployment, "task": task}).encode() + b"\n"


def heading_names(line: bytes) -> tuple[str, str] | None:
    """Deployment and task of a file's first line; None when it is no whole heading."""
    try:
        heading = json.loads(line)
        return str(heading["deployment"]), str(heading["task"])
    except (ValueError, KeyError, TypeError):
        return None
