"""The one format of log bytes: in the agent's spool, on the wire, and inside the server's files.

A chunk is a small header and whole lines, so blocks move and nobody splits lines before somebody
reads them. Imported by the tiny supervisor beside every command: only `struct` and `dataclasses`.

Offsets everywhere count bytes of this chunk stream of one order and always lie on chunk borders.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

HEADER: Final = struct.Struct(">IQBB")
"""Payload length, time in microseconds since the epoch, stream, flags."""

MAX_PAYLOAD: Final = 65_536
"""Also the longest line that is kept in one piece."""

STDOUT: Final = 1
STDERR: Final = 2
BOREAS: Final = 3
"""What Boreas itself says in between."""
_STREAMS: Final = (STDOUT, STDERR, BOREAS)

CONTINUES: Final = 1
"""The last line has no newline yet; the next chunk of the same stream goes on with it."""
FORCED: Final = 2
"""The line was cut because it is longer than MAX_PAYLOAD; what follows is shown as a line apart."""

# The last microsecond of the year 9999: a hostile time must fail here and not in a reader.
_LATEST: Final = 253_402_300_799_999_999


class BadChunk(ValueError):
    """These bytes are not log chunks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Whole lines of one stream that were read at one moment."""

    micros: int
    stream: int
    flags: int
    payload: bytes

    @property
    def continues(self) -> bool:
        """The last line of the payload goes on in the next chunk of this stream."""
        return bool(self.flags & CONTINUES)

    @property
    def forced(self) -> bool:
        """The last line of the payload was cut for its length."""
        return bool(self.flags & FORCED)

    @property
    def size(self) -> int:
        """Bytes of the whole chunk."""
        return HEADER.size + len(self.payload)


def encode(chunk: Chunk) -> bytes:
    """The bytes of a chunk."""
    return _encoded(chunk.payload, chunk.micros, chunk.stream, chunk.flags)


def _encoded(payload: bytes, micros: int, stream: int, flags: int = 0) -> bytes:
    return HEADER.pack(len(payload), micros, stream, flags) + payload


def decode(encoded: bytes) -> Iterator[Chunk]:
    """Every whole chunk in turn; an unfinished one at the end is left out. Raises `BadChunk`."""
    position = 0
    while (end := _end_of_chunk(encoded, position)) is not None:
        _, micros, stream, flags = HEADER.unpack_from(encoded, position)
        payload = bytes(encoded[position + HEADER.size : end])
        yield Chunk(micros=micros, stream=stream, flags=flags, payload=payload)
        position = end


def whole_length(encoded: bytes) -> int:
    """Bytes up to the border after the last whole chunk: cuts a torn tail. Raises `BadChunk`."""
    position = 0
    while (end := _end_of_chunk(encoded, position)) is not None:
        position = end
    return position


def _end_of_chunk(encoded: bytes, position: int) -> int | None:
    """Where the chunk that begins here ends, or None while it is not all there."""
    body = position + HEADER.size
    if body > len(encoded):
        return None
    length, micros, stream, _ = HEADER.unpack_from(encoded, position)
    if length > MAX_PAYLOAD or stream not in _STREAMS or micros > _LATEST:
        raise BadChunk(f"no log chunk at byte {position}")
    end: int = body + length
    return end if end <= len(encoded) else None


def spoken(text: str, micros: int) -> bytes:
    """Chunks that say these lines in Boreas' own stream."""
    lines = text.removesuffix("\n") + "\n"
    return OutputSplitter(BOREAS).feed(lines.encode(errors="backslashreplace"), micros)


class OutputSplitter:
    """Turns what is read from one pipe into encoded chunks of whole lines.

    An incomplete line is kept back until its newline comes, until the caller sees that nothing came
    for a while (`flush_idle`, so that a prompt is seen), or until the end. A line longer than
    MAX_PAYLOAD is cut, counted from its beginning, wherever it was flushed in between.
    """

    def __init__(self, stream: int) -> None:
        self.stream = stream
        self._held = bytearray()
        self._sent = 0  # bytes of the present line that are in earlier chunks

    @property
    def holds_back(self) -> bool:
        """An incomplete line waits here; ask `flush_idle` when nothing comes for ~200 ms."""
        return bool(self._held)

    def feed(self, read: bytes, micros: int) -> bytes:
        """The chunks that are ready after these bytes, perhaps none."""
        self._held += read
        if b"\n" not in read and self._sent + len(self._held) <= MAX_PAYLOAD:
            return b""
        buffer, self._held = bytes(self._held), bytearray()
        chunks: list[bytes] = []
        position = 0
        while (end := self._next_cut(buffer, position)) is not None:
            stop, flags = end
            chunks.append(_encoded(buffer[position:stop], micros, self.stream, flags))
            self._sent = self._sent + stop - position if flags == CONTINUES else 0
            position = stop
        self._held += buffer[position:]
        return b"".join(chunks)

    def flush_idle(self, micros: int) -> bytes:
        """What is kept back, as the beginning of a line that goes on."""
        if not self._held:
            return b""
        payload, self._held = bytes(self._held), bytearray()
        self._sent += len(payload)
        return _encoded(payload, micros, self.stream, CONTINUES)

    def end(self, micros: int) -> bytes:
        """The rest; a last line without newline gets one."""
        if not self._held and not self._sent:
            return b""
        return self.feed(b"\n", micros)

    def _next_cut(self, buffer: bytes, position: int) -> tuple[int, int] | None:
        """Where the next chunk ends and with which flags; None while more bytes are needed."""
        room = MAX_PAYLOAD - self._sent
        if self._sent:
            newline = buffer.find(b"\n", position, position + room + 1)
        else:
            newline = buffer.rfind(b"\n", position, position + room)
        if newline >= 0:
            return newline + 1, 0
        if len(buffer) - position <= room:
            return None
        # A line of just MAX_PAYLOAD bytes is not too long, though its newline needs a second chunk.
        fits = buffer[position + room] == ord("\n")
        return position + room, CONTINUES if fits else CONTINUES | FORCED
