"""Many streams over one ordered pipe of bytes: the `Link` of TCP and of memory.

Pieces `u32 BE length | u32 BE stream | u8 flags | payload`. What is urgent (control stream, resets,
goodbyes) goes before bulk, and bulk goes round robin in pieces of 16 KiB, handed down only while
the pipe below has room: an order never waits behind a log. Subclasses bring the pipe.
"""

import struct
from collections import deque
from dataclasses import dataclass, field
from enum import IntFlag

from boreas.transport.links import (
    CONTROL_STREAM,
    MAX_STREAMS,
    CloseCode,
    CloseKind,
    Closing,
    LinkClosed,
    LinkEvents,
    ProtocolViolation,
    StreamLimitReached,
    is_unidirectional,
    opened_by_server,
)
from boreas.transport.mailbox import TOO_EARLY, EventMailbox, RoomWaiters

MAX_PIECE = 16 * 1024
# What a peer may have open: more than we open ourselves, since an end may still be on its way.
MAX_PEER_STREAMS = 2 * MAX_STREAMS

_HEAD = struct.Struct(">IIB")
_CODE = struct.Struct(">I")


class _Flag(IntFlag):
    END = 1
    RESET = 2
    STOP = 4
    CLOSE = 8


class _Side(IntFlag):
    SEND = 1
    RECEIVE = 2


@dataclass(slots=True)
class _Outgoing:
    """What waits to be sent on one stream."""

    pieces: deque[bytes] = field(default_factory=deque)
    size: int = 0
    end: bool = False
    in_turn: bool = False


class MuxLink:
    """A `Link` over a pipe; `_write` and `_pipe_has_room` come from the subclass."""

    kind = "mux"

    def __init__(self, *, is_server: bool, peer_address: str, server_leaf: bytes) -> None:
        self._is_server = is_server
        self._peer_address = peer_address
        self._server_leaf = server_leaf
        self._mailbox = EventMailbox(self._said_too_much)
        self._room = RoomWaiters(self.backlog)
        self._sides: dict[int, _Side] = {}
        # The next stream of each opener and kind, by the two lowest bits of its number.
        self._next = {kind: kind for kind in range(4)}
        self._outgoing: dict[int, _Outgoing] = {}
        self._turns: deque[int] = deque()
        self._urgent: deque[bytes] = deque()
        self._inbox = bytearray()

    # --- what the owner calls ---------------------------------------------------------------

    @property
    def peer_address(self) -> str:
        return self._peer_address

    @property
    def server_leaf(self) -> bytes:
        return self._server_leaf

    @property
    def closing(self) -> Closing | None:
        return self._mailbox.closing

    def attach(self, events: LinkEvents) -> None:
        self._mailbox.attach(events)

    def open_uni(self) -> int:
        return self._open(2, _Side.SEND)

    def open_bidi(self) -> int:
        return self._open(0, _Side.SEND | _Side.RECEIVE)

    def send(self, stream: int, data: bytes, *, end: bool = False) -> None:
        self._must_be_open()
        outgoing = self._outgoing.get(stream)
        if outgoing is None or outgoing.end:
            return
        if not outgoing.in_turn:
            outgoing.in_turn = True
            self._turns.append(stream)
        for start in range(0, len(data), MAX_PIECE):
            outgoing.pieces.append(data[start : start + MAX_PIECE])
        outgoing.size += len(data)
        outgoing.end = end
        self._pump()

    def backlog(self, stream: int) -> int:
        outgoing = self._outgoing.get(stream)
        return 0 if outgoing is None else outgoing.size

    async def drain(self, stream: int, *, at_most: int) -> None:
        self._must_be_open()
        await self._room.wait(stream, at_most)

    def reset(self, stream: int, code: int = CloseCode.CANCELLED) -> None:
        if self.closing is None and self._outgoing.pop(stream, None) is not None:
            self._say(stream, _Flag.RESET, _CODE.pack(code))
            self._ended(stream, _Side.SEND)
            self._room.look_again()

    def stop(self, stream: int, code: int = CloseCode.CANCELLED) -> None:
        if self.closing is None and self._sides.get(stream, 0) & _Side.RECEIVE:
            self._say(stream, _Flag.STOP, _CODE.pack(code))

    def close(self, code: int = CloseCode.NO_ERROR, reason: str = "") -> None:
        if self.closing is not None:
            return
        self._outgoing.clear()
        self._turns.clear()
        goodbye = _CODE.pack(code) + reason.encode()[:1000]
        self._write(_head(goodbye, CONTROL_STREAM, _Flag.CLOSE))
        self._finish_pipe()
        self._tell_closed(Closing(kind=CloseKind.LOCAL, code=code, reason=reason))

    # --- for subclasses ---------------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        """Hand bytes to the pipe."""
        raise NotImplementedError

    def _pipe_has_room(self) -> bool:
        """Whether the pipe wants more bulk now; `_pump` is called again when it does."""
        raise NotImplementedError

    def _finish_pipe(self) -> None:
        """Send what the pipe still holds, then close it."""
        raise NotImplementedError

    def _pump(self) -> None:
        """Hand down what is urgent, and bulk while there is room."""
        while self._urgent:
            self._write(self._urgent.popleft())
        while self._turns and self._pipe_has_room():
            self._send_piece(self._next_turn())
        self._room.look_again()

    def _arrived(self, data: bytes) -> None:
        """Take bytes from the pipe; whatever is wrong with them ends the link."""
        if self.closing is not None:
            return
        self._inbox += data
        try:
            self._read_pieces()
        except ProtocolViolation as error:
            self.close(CloseCode.PROTOCOL_VIOLATION, error.message)

    def _lost(self, closing: Closing) -> None:
        """The pipe is gone."""
        self._tell_closed(closing)

    # --- sending ----------------------------------------------------------------------------

    def _open(self, kind_bit: int, sides: _Side) -> int:
        self._must_be_open()
        kind = kind_bit | (1 if self._is_server else 0)
        if self._count_open(kind) >= MAX_STREAMS:
            raise StreamLimitReached(f"{MAX_STREAMS} streams are open")
        stream = self._next[kind]
        self._next[kind] += 4
        self._sides[stream] = sides
        self._outgoing[stream] = _Outgoing()
        # Said at once, so that the other side learns of streams in the order of their numbers.
        self._say(stream, _Flag(0), b"")
        return stream

    def _count_open(self, kind: int) -> int:
        return sum(1 for stream in self._sides if stream & 3 == kind)

    def _must_be_open(self) -> None:
        if self.closing is not None:
            raise LinkClosed(self.closing)

    def _say(self, stream: int, flags: _Flag, payload: bytes) -> None:
        self._urgent.append(_head(payload, stream, flags))
        self._pump()

    def _next_turn(self) -> int:
        if self._outgoing.get(CONTROL_STREAM) and CONTROL_STREAM in self._turns:
            self._turns.remove(CONTROL_STREAM)
            return CONTROL_STREAM
        return self._turns.popleft()

    def _send_piece(self, stream: int) -> None:
        outgoing = self._outgoing.get(stream)
        if outgoing is None:
            return
        piece = outgoing.pieces.popleft() if outgoing.pieces else b""
        outgoing.size -= len(piece)
        is_last = outgoing.end and not outgoing.pieces
        self._write(_head(piece, stream, _Flag.END if is_last else _Flag(0)))
        if is_last:
            del self._outgoing[stream]
            self._ended(stream, _Side.SEND)
        elif outgoing.pieces:
            self._turns.append(stream)
        else:
            outgoing.in_turn = False

    def _ended(self, stream: int, side: _Side) -> None:
        left = self._sides.get(stream, _Side(0)) & ~side
        if left:
            self._sides[stream] = left
        else:
            self._sides.pop(stream, None)

    # --- receiving --------------------------------------------------------------------------

    def _read_pieces(self) -> None:
        start, inbox = 0, self._inbox
        while len(inbox) - start >= _HEAD.size and self.closing is None:
            size, stream, flags = _HEAD.unpack_from(inbox, start)
            if size > MAX_PIECE:
                raise ProtocolViolation(f"a piece of {size} bytes is over {MAX_PIECE}")
            end = start + _HEAD.size + size
            if end > len(inbox):
                break
            payload = bytes(memoryview(inbox)[start + _HEAD.size : end])
            start = end
            self._take_piece(stream, _Flag(flags), payload)
        del inbox[:start]

    def _take_piece(self, stream: int, flags: _Flag, payload: bytes) -> None:
        if flags & _Flag.CLOSE:
            self._peer_closed(payload)
            return
        self._meet(stream)
        if flags & _Flag.STOP:
            self._peer_stopped(stream, _code(payload))
        elif not self._sides.get(stream, _Side(0)) & _Side.RECEIVE:
            return  # sent before the other side learnt that this direction has ended
        elif flags & _Flag.RESET:
            self._ended(stream, _Side.RECEIVE)
            self._mailbox.reset(stream, _code(payload))
        else:
            if flags & _Flag.END:
                self._ended(stream, _Side.RECEIVE)
            self._mailbox.data(stream, payload, end=bool(flags & _Flag.END))

    def _meet(self, stream: int) -> None:
        """Let the peer open the next stream of a kind; refuse numbers that it cannot have."""
        kind = stream & 3
        if stream < self._next[kind]:
            return
        if opened_by_server(stream) == self._is_server or stream != self._next[kind]:
            raise ProtocolViolation(f"stream {stream} cannot be opened now")
        if self._count_open(kind) >= MAX_PEER_STREAMS:
            raise ProtocolViolation(f"more than {MAX_PEER_STREAMS} streams are open")
        self._next[kind] += 4
        if is_unidirectional(stream):
            self._sides[stream] = _Side.RECEIVE
        else:
            self._sides[stream] = _Side.SEND | _Side.RECEIVE
            self._outgoing[stream] = _Outgoing()

    def _peer_stopped(self, stream: int, code: int) -> None:
        if self._sides.get(stream, _Side(0)) & _Side.SEND:
            self.reset(stream, code)
            self._mailbox.stop(stream, code)

    def _peer_closed(self, payload: bytes) -> None:
        reason = payload[_CODE.size :].decode("utf-8", "replace")
        closing = Closing(kind=CloseKind.PEER, code=_code(payload), reason=reason)
        self._tell_closed(closing)
        self._finish_pipe()

    def _said_too_much(self) -> None:
        self.close(CloseCode.PROTOCOL_VIOLATION, TOO_EARLY)

    def _tell_closed(self, closing: Closing) -> None:
        if self._mailbox.close(closing):
            self._outgoing.clear()
            self._turns.clear()
            self._room.give_up(closing)


def _head(payload: bytes, stream: int, flags: _Flag) -> bytes:
    return _HEAD.pack(len(payload), stream, flags) + payload


def _code(payload: bytes) -> int:
    if len(payload) < _CODE.size:
        raise ProtocolViolation("a code is missing")
    return int(_CODE.unpack_from(payload)[0])
