"""From chunks as they arrive to the form in which they are stored: every stored line is whole.

A line may arrive in pieces (a prompt, then the answer) with other executions' lines in between.
The pieces are stored as they come, so that nothing acknowledged is lost, but do not count; with its
last piece the line is stored once more as a whole and then counts. So a reader may begin anywhere
in a file and never looks back for a line's beginning. Pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from boreas.logs.chunks import CONTINUES, FORCED, MAX_PAYLOAD, Chunk, decode, encode

WHOLE: Final = 4
"""Only in stored chunks: the payload is one whole line, without its newline."""
_BODY_SIZE: Final = 262_144


@dataclass(slots=True, kw_only=True)
class Body:
    """Stored chunks that go into one record, and what its header must say of them."""

    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    lines: int = 0
    latest: int = 0
    arrived: int = 0
    """Bytes of the order's own chunk stream that this stands for."""
    joins: bool = False
    """Holds pieces or joined lines: recovery must look inside."""

    def add(self, chunk: Chunk, encoded: bytes) -> None:
        """Take in a chunk in its stored form."""
        self.parts.append(encoded)
        self.size += len(encoded)
        self.latest = max(self.latest, chunk.micros)
        if chunk.flags:
            self.joins = True
        if not is_piece(chunk):
            self.lines += 1 if chunk.flags & WHOLE else chunk.payload.count(b"\n")


def is_piece(chunk: Chunk) -> bool:
    """The beginning of a line that comes again as a whole: not shown."""
    return chunk.flags == CONTINUES


def stored_lines(chunk: Chunk) -> list[bytes]:
    """The whole lines of a stored chunk."""
    if is_piece(chunk):
        return []
    return [chunk.payload] if chunk.flags & WHOLE else chunk.payload.split(b"\n")[:-1]


def bodies_of(arrived: bytes, begun: Mapping[int, bytes], not_after: int) -> Iterator[Body]:
    """The stored form of an order's new chunks.

    `begun` has the unfinished line of each stream. Times later than `not_after` become that one: a
    node whose clock is ahead must not pull its lines behind everything that follows.
    """
    unfinished = dict(begun)
    body = Body()
    for chunk in decode(arrived):
        if chunk.flags or chunk.stream in unfinished or chunk.payload[-1:] != b"\n":
            for stored in _joined(replace(chunk, micros=min(chunk.micros, not_after)), unfinished):
                body.add(stored, encode(stored))
        else:
            plain = chunk if chunk.micros <= not_after else replace(chunk, micros=not_after)
            body.add(plain, encode(plain))
        body.arrived += chunk.size
        if body.size >= _BODY_SIZE:
            yield body
            body = Body()
    if body.arrived:
        yield body


def _joined(chunk: Chunk, unfinished: dict[int, bytes]) -> Iterator[Chunk]:
    """The stored form of one chunk that begins, continues or ends a line in pieces."""
    rest = chunk.payload
    begun = unfinished.pop(chunk.stream, b"")
    if begun:
        end, newline, rest = rest.partition(b"\n")
        if len(begun) + len(end) > MAX_PAYLOAD:
            # Only a stranger's splitter can do this: ours cuts long lines itself.
            yield _line(chunk, begun, cut=True)
            begun = b""
        if not newline:
            yield from _unended(chunk, begun, end, unfinished)
            return
        yield _line(chunk, begun + end)
    lines, newline, last = rest.rpartition(b"\n")
    if newline:
        yield replace(chunk, flags=0, payload=lines + newline)
    if last or chunk.forced:
        yield from _unended(chunk, b"", last, unfinished)


def _unended(
    chunk: Chunk, begun: bytes, piece: bytes, unfinished: dict[int, bytes]
) -> Iterator[Chunk]:
    if chunk.forced or not chunk.continues:
        yield _line(chunk, begun + piece, cut=chunk.forced)
    else:
        unfinished[chunk.stream] = begun + piece
        yield replace(chunk, flags=CONTINUES, payload=piece)


def _line(chunk: Chunk, text: bytes, *, cut: bool = False) -> Chunk:
    return replace(chunk, flags=WHOLE | FORCED if cut else WHOLE, payload=text)


def ended_lines(begun: Mapping[int, bytes], micros: int) -> Body:
    """What is unfinished, as whole lines: nothing will come any more."""
    body = Body()
    for stream, text in begun.items():
        chunk = Chunk(micros=micros, stream=stream, flags=WHOLE, payload=text)
        body.add(chunk, encode(chunk))
    return body
