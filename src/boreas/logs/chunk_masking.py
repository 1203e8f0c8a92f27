"""Masks log chunks on their way into the server's files, without moving any offset.

The second net, under the agent's own: an agent may be old, or lie. Every byte of a secret becomes
a star, so that chunks keep their lengths and borders; agent and server go on meaning the same by
an offset.
"""

from collections import deque
from typing import Final

from boreas.logs.chunks import HEADER, BadChunk, decode, whole_length
from boreas.logs.masking import Masker, SecretForms

# A stream that only ever seems to begin a secret must not fill the memory.
MOST_HELD: Final = 256 * 1024


class ChunkMasker:
    """One order's chunks in the order in which they come; `feed` and `end` answer whole chunks."""

    def __init__(self, forms: SecretForms) -> None:
        self._forms = forms
        self._maskers: dict[int, Masker] = {}
        self._clean: dict[int, bytearray] = {}
        self._waiting: deque[tuple[int, int, bytes]] = deque()  # stream, payload length, header
        self._held = 0

    def feed(self, block: bytes) -> bytes:
        """The chunks that are ready, masked. Raises `BadChunk`."""
        if whole_length(block) < len(block):
            raise BadChunk("a block ends inside a chunk")
        for chunk in decode(block):
            header = HEADER.pack(len(chunk.payload), chunk.micros, chunk.stream, chunk.flags)
            self._waiting.append((chunk.stream, len(chunk.payload), header))
            self._clean_of(chunk.stream).extend(self._masker_of(chunk.stream).feed(chunk.payload))
            self._held += chunk.size
        ready = self._ready()
        return ready if self._held <= MOST_HELD else ready + self.end()

    def end(self) -> bytes:
        """The rest."""
        for stream, masker in self._maskers.items():
            self._clean_of(stream).extend(masker.end())
        return self._ready()

    def _ready(self) -> bytes:
        parts: list[bytes] = []
        while self._waiting:
            stream, length, header = self._waiting[0]
            clean = self._clean_of(stream)
            if len(clean) < length:
                break
            self._waiting.popleft()
            parts += (header, bytes(clean[:length]))
            del clean[:length]
            self._held -= len(header) + length
        return b"".join(parts)

    def _masker_of(self, stream: int) -> Masker:
        if stream not in self._maskers:
            self._maskers[stream] = Masker(self._forms, keep_length=True)
        return self._maskers[stream]

    def _clean_of(self, stream: int) -> bytearray:
        return self._clean.setdefault(stream, bytearray())
