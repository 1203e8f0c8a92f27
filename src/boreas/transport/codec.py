"""Bytes to messages and back.

Messages are `u32 BE length | msgpack`, blocks are `u32 BE length | u8 flags | bytes`.

Used by boreas.transport.session for every stream of a link. Whatever a peer sends is hostile until
decoded: a length is judged as soon as its four bytes are there, before anything is kept for it.
"""

import struct
from collections.abc import Callable
from typing import TypeVar

import msgspec

from boreas.transport.frames import MAX_FRAME, Frame, StreamHeader
from boreas.transport.links import ProtocolViolation

MAX_BLOCK = 64 * 1024 + 64
"""Log blocks and file chunks: a bigger one would hold up the control stream behind it.

A log block holds whole chunks, and the largest chunk has a header beside its 64 KiB of lines.
"""

LAST_BLOCK = 1
"""Flag bit 0: nothing comes after this block, and the log or file is whole."""

_LENGTH = struct.Struct(">I")
_BLOCK = struct.Struct(">IB")
# Bytes already taken from the front of an inbox are cut off only in pieces of this size: cutting
# moves the rest, and a busy stream would otherwise move its whole buffer for every message.
_COMPACT_AT = 64 * 1024

_encode = msgspec.msgpack.Encoder().encode
_decode_frame = msgspec.msgpack.Decoder(Frame).decode
_decode_header = msgspec.msgpack.Decoder(StreamHeader).decode

_Message = TypeVar("_Message")


class Block(msgspec.Struct, frozen=True, array_like=True):
    """A piece of a log or a file; `last` says that the whole thing ends with it."""

    payload: bytes
    last: bool


def encode_frame(frame: Frame | StreamHeader) -> bytes:
    """The frame as it goes on the wire; raises `ValueError` for one over the limit of its size."""
    body = _encode(frame)
    if len(body) > MAX_FRAME:
        raise ValueError(f"{type(frame).__name__} of {len(body)} bytes is over {MAX_FRAME}")
    return _LENGTH.pack(len(body)) + body


def encode_block(payload: bytes, *, last: bool = False) -> bytes:
    """The block as it goes on the wire; raises `ValueError` for one over the limit of its size."""
    if len(payload) > MAX_BLOCK:
        raise ValueError(f"a block of {len(payload)} bytes is over {MAX_BLOCK}")
    return _BLOCK.pack(len(payload), LAST_BLOCK if last else 0) + payload


class Inbox:
    """Bytes of one stream that arrived and are not yet read, taken out as frames or blocks.

    Holds at most `max_unread` bytes: a peer that sends past the window it was given is cut off
    with a `ProtocolViolation`, it does not fill this machine's memory.
    """

    __slots__ = ("_buffer", "_start", "max_frame", "max_unread")

    def __init__(self, *, max_unread: int, max_frame: int = MAX_FRAME) -> None:
        self.max_unread = max_unread
        self.max_frame = max_frame
        self._buffer = bytearray()
        self._start = 0

    def __len__(self) -> int:
        return len(self._buffer) - self._start

    def feed(self, data: bytes) -> None:
        """Add what arrived."""
        if len(self) + len(data) > self.max_unread:
            raise ProtocolViolation(f"more than {self.max_unread} unread bytes on one stream")
        self._buffer += data

    def frame(self) -> Frame | None:
        """The next message of the control stream, or None until it is whole."""
        body = self._take_frame_body()
        return None if body is None else _decoded(_decode_frame, body)

    def header(self) -> StreamHeader | None:
        """The next message of any other stream, or None until it is whole."""
        body = self._take_frame_body()
        return None if body is None else _decoded(_decode_header, body)

    def block(self) -> Block | None:
        """The next block, or None until it is whole."""
        if len(self) < _BLOCK.size:
            return None
        size, flags = _BLOCK.unpack_from(self._buffer, self._start)
        if size > MAX_BLOCK:
            raise ProtocolViolation(f"a block of {size} bytes is over {MAX_BLOCK}")
        payload = self._take(_BLOCK.size, size)
        return None if payload is None else Block(payload, bool(flags & LAST_BLOCK))

    def _take_frame_body(self) -> bytes | None:
        if len(self) < _LENGTH.size:
            return None
        (size,) = _LENGTH.unpack_from(self._buffer, self._start)
        if size > self.max_frame:
            raise ProtocolViolation(f"a message of {size} bytes is over {self.max_frame}")
        return self._take(_LENGTH.size, size)

    def _take(self, head: int, size: int) -> bytes | None:
        end = self._start + head + size
        if end > len(self._buffer):
            return None
        body = bytes(memoryview(self._buffer)[self._start + head : end])
        self._start = end
        if self._start == len(self._buffer) or self._start >= _COMPACT_AT:
            del self._buffer[: self._start]
            self._start = 0
        return body


def _decoded(decode: Callable[[bytes], _Message], body: bytes) -> _Message:
    try:
        return decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ProtocolViolation(f"unknown or malformed message: {error}") from error
