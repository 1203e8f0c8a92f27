"""One stream of a session, as something to await: messages, blocks, and their end.

Made by boreas.transport.session only. Reading is bounded: what a peer sends beyond the window it
was given ends the link. Writing waits for room, so a slow path slows the sender, not its memory.
"""

from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from boreas.domain.errors import BoreasError
from boreas.kit.until import Hint
from boreas.transport.codec import Block, Inbox, encode_block, encode_frame
from boreas.transport.frames import Frame, StreamHeader
from boreas.transport.links import (
    CONTROL_STREAM,
    CloseCode,
    Link,
    LinkClosed,
    ProtocolViolation,
    is_unidirectional,
)

# More than any window that a well-behaved sender has (512 KiB of log, 1 MiB of a file).
MAX_UNREAD = 2 * 1024 * 1024
# Bytes of one stream that may wait in the link; more would only sit in memory.
SEND_ROOM = 256 * 1024
MAX_CONTROL_UNREAD = 4 * 1024 * 1024
MAX_CONTROL_BACKLOG = 8 * 1024 * 1024

_Item = TypeVar("_Item")


class StreamEnded(BoreasError):
    """The other side has finished this stream; `clean` says whether at a border of messages."""

    def __init__(self, *, clean: bool) -> None:
        self.clean = clean
        super().__init__("the stream has ended" if clean else "the stream ended inside a message")


class _Reading:
    """The incoming half of a stream. One reader at a time."""

    __slots__ = ("_ended", "_error", "_hint", "_inbox", "_link")

    def __init__(self, link: Link, max_unread: int) -> None:
        self._link = link
        self._inbox = Inbox(max_unread=max_unread)
        self._hint = Hint()
        self._ended = False
        self._error: BoreasError | None = None

    def arrived(self, data: bytes, *, end: bool) -> None:
        """Called by the session."""
        self._inbox.feed(data)
        self._ended = self._ended or end
        self._hint.raise_()

    def failed(self, error: BoreasError) -> None:
        """Called by the session; what arrived before can still be read."""
        self._error = self._error or error
        self._hint.raise_()

    async def _take(self, read: Callable[[Inbox], _Item | None]) -> _Item:
        while True:
            try:
                item = read(self._inbox)
            except ProtocolViolation as error:
                self._link.close(CloseCode.PROTOCOL_VIOLATION, error.message)
                raise
            if item is not None:
                return item
            if self._error is not None:
                raise self._error
            if self._ended:
                raise StreamEnded(clean=not len(self._inbox))
            await self._hint.wait()


class Stream(_Reading):
    """A stream other than the control stream."""

    def __init__(
        self, link: Link, number: int, *, is_ours: bool, over: Callable[[int], None]
    ) -> None:
        super().__init__(link, MAX_UNREAD)
        self.id = number
        self.is_one_way = is_unidirectional(number)
        self.room = Hint()
        """Raised when a sender should look again: window moved, stream stopped, link closed."""
        self._over = over
        self._is_incoming_over = self.is_one_way and is_ours
        self._is_outgoing_over = self.is_one_way and not is_ours

    def arrived(self, data: bytes, *, end: bool) -> None:
        super().arrived(data, end=end)
        if end:
            self.incoming_over()

    def failed(self, error: BoreasError) -> None:
        super().failed(error)
        self.room.raise_()

    def must_be_wanted(self) -> None:
        """Raises what ended this stream, if anything did."""
        if self._error is not None:
            raise self._error

    async def header(self) -> StreamHeader:
        """The next message.

        Raises `StreamEnded`, `StreamReset`, `LinkClosed` or `ProtocolViolation`.
        """
        return await self._take(Inbox.header)

    async def block(self) -> Block:
        """The next block; raises as `header` does."""
        return await self._take(Inbox.block)

    async def blocks(self) -> AsyncIterator[Block]:
        """Every block up to the last, or to a clean end; raises as `header` does."""
        while True:
            try:
                block = await self.block()
            except StreamEnded as ended:
                if not ended.clean:
                    raise
                return
            yield block
            if block.last:
                return

    def send_header(self, frame: StreamHeader, *, end: bool = False) -> None:
        """Queue a message; raises `LinkClosed`."""
        self._send(encode_frame(frame), end=end)

    async def send_block(self, payload: bytes, *, last: bool = False, end: bool = False) -> None:
        """Wait for room, then queue a block; raises `LinkClosed`."""
        await self._link.drain(self.id, at_most=SEND_ROOM)
        self.must_be_wanted()
        self._send(encode_block(payload, last=last), end=end)

    def finish(self) -> None:
        """Nothing more will be sent; what is queued still goes out."""
        if self._link.closing is None:
            self._send(b"", end=True)

    def abandon(self, code: int = CloseCode.CANCELLED) -> None:
        """Give up both directions."""
        self._link.reset(self.id, code)
        self._link.stop(self.id, code)
        self.outgoing_over()

    def incoming_over(self) -> None:
        """Called when the other side will send no more."""
        self._is_incoming_over = True
        self._tell_if_over()

    def outgoing_over(self) -> None:
        """Called when we shall send no more."""
        self._is_outgoing_over = True
        self._tell_if_over()

    def _send(self, data: bytes, *, end: bool) -> None:
        self._link.send(self.id, data, end=end)
        if end:
            self.outgoing_over()

    def _tell_if_over(self) -> None:
        if self._is_incoming_over and self._is_outgoing_over:
            self._over(self.id)


class ControlChannel(_Reading):
    """The control stream: messages both ways, in order."""

    __slots__ = ()

    def __init__(self, link: Link) -> None:
        super().__init__(link, MAX_CONTROL_UNREAD)

    def allow(self, *, max_unread: int, max_frame: int) -> None:
        """Strangers get small windows, known agents the full ones."""
        self._inbox.max_unread, self._inbox.max_frame = max_unread, max_frame

    def send(self, frame: Frame) -> None:
        """Queue a message; raises `LinkClosed`, also when the other side has stopped taking any."""
        if self._link.backlog(CONTROL_STREAM) > MAX_CONTROL_BACKLOG:
            self._link.close(CloseCode.TIMED_OUT, "the control stream is not taken off")
        self._link.send(CONTROL_STREAM, encode_frame(frame))

    async def receive(self) -> Frame:
        """The next message; raises `LinkClosed` or `ProtocolViolation`."""
        try:
            return await self._take(Inbox.frame)
        except StreamEnded as ended:
            self._link.close(CloseCode.PROTOCOL_VIOLATION, "the control stream was ended")
            assert self._link.closing is not None
            raise LinkClosed(self._link.closing) from ended

    async def __aiter__(self) -> AsyncIterator[Frame]:
        while True:
            yield await self.receive()
