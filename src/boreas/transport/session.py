"""A link in use: its control channel, its streams, and the wall between strangers and agents.

Both sides make a `Session` of each link. Until `admit` the peer may use the control stream only,
with small windows; anything else ends the link before a byte of it is read.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable

from boreas.kit.until import Hint
from boreas.transport.frames import MAX_FRAME, FileOffer, FileRequest, LogStream
from boreas.transport.links import (
    CONTROL_STREAM,
    CloseCode,
    Closing,
    Link,
    LinkClosed,
    ProtocolViolation,
    StreamReset,
    opened_by_server,
)
from boreas.transport.log_stream import LogSender
from boreas.transport.streams import MAX_CONTROL_UNREAD, ControlChannel, Stream

_STRANGER_UNREAD = 32 * 1024
_STRANGER_FRAME = 16 * 1024
# Ids of streams that are over, kept so that a straggler does not open them anew.
_REMEMBERED = 1024
_MAX_NOT_ACCEPTED = 256


class Session:
    """Everything that goes over one link."""

    __slots__ = (
        "_arrived",
        "_closed",
        "_is_admitted",
        "_is_server",
        "_not_accepted",
        "_over",
        "_streams",
        "_take",
        "control",
        "link",
    )

    def __init__(self, link: Link, *, is_server: bool) -> None:
        self.link = link
        self.control = ControlChannel(link)
        self.control.allow(max_unread=_STRANGER_UNREAD, max_frame=_STRANGER_FRAME)
        self._is_server = is_server
        self._is_admitted = False
        self._streams: dict[int, Stream] = {}
        self._over: OrderedDict[int, None] = OrderedDict()
        self._not_accepted: list[Stream] = []
        self._arrived = Hint()
        self._take: Callable[[Stream], object] = self._keep
        self._closed: asyncio.Future[Closing] = asyncio.get_running_loop().create_future()
        if not is_server:
            stream = link.open_bidi()
            assert stream == CONTROL_STREAM
        link.attach(self)

    def admit(self) -> None:
        """The peer is known: any stream may be opened, and windows are full."""
        self._is_admitted = True
        self.control.allow(max_unread=MAX_CONTROL_UNREAD, max_frame=MAX_FRAME)

    @property
    def closing(self) -> Closing | None:
        """Why the link is closed; None while it is open."""
        return self.link.closing

    def close(self, code: int = CloseCode.NO_ERROR, reason: str = "") -> None:
        """End the link and everything on it."""
        self.link.close(code, reason)

    async def wait_closed(self) -> Closing:
        """Wait until the link has ended, by whomever."""
        return await asyncio.shield(self._closed)

    # --- streams ----------------------------------------------------------------------------

    async def incoming(self) -> AsyncIterator[Stream]:
        """Streams that the peer opens, until the link ends. Give each to a task of its own."""
        while True:
            while self._not_accepted:
                yield self._not_accepted.pop(0)
            if self.closing is not None:
                return
            await self._arrived.wait()

    def give_streams_to(self, take: Callable[[Stream], object]) -> None:
        """Call `take` with each stream that the peer opens, those that wait first.

        For whoever has thousands of sessions: nobody needs to wait at each of them.
        """
        self._take = take
        waiting, self._not_accepted = self._not_accepted, []
        for stream in waiting:
            take(stream)

    def _keep(self, stream: Stream) -> None:
        if len(self._not_accepted) >= _MAX_NOT_ACCEPTED:
            raise ProtocolViolation(f"more than {_MAX_NOT_ACCEPTED} streams wait to be accepted")
        self._not_accepted.append(stream)
        self._arrived.raise_()

    def open_log(self, order_id: str, *, start_offset: int) -> LogSender:
        """A stream for the log of one order from this offset on; may raise `StreamLimitReached`."""
        stream = self._own(self.link.open_uni())
        stream.send_header(LogStream(order_id=order_id, start_offset=start_offset))
        return LogSender(stream, start_offset=start_offset)

    def open_transfer(self, first: FileOffer | FileRequest) -> Stream:
        """A stream for one file; transfers.py speaks on it. May raise `StreamLimitReached`."""
        stream = self._own(self.link.open_bidi())
        stream.send_header(first)
        return stream

    def _own(self, number: int) -> Stream:
        is_ours = opened_by_server(number) == self._is_server
        stream = Stream(self.link, number, is_ours=is_ours, over=self._forget)
        self._streams[number] = stream
        return stream

    # --- events of the link -----------------------------------------------------------------

    def on_data(self, stream: int, data: bytes, *, end: bool) -> None:
        try:
            if stream == CONTROL_STREAM:
                self.control.arrived(data, end=end)
            else:
                self._stream_data(stream, data, end=end)
        except ProtocolViolation as error:
            self.link.close(CloseCode.PROTOCOL_VIOLATION, error.message)

    def on_reset(self, stream: int, code: int) -> None:
        known = self._streams.get(stream)
        if known is not None:
            known.failed(StreamReset(stream, code))
            known.incoming_over()

    def on_stop(self, stream: int, code: int) -> None:
        known = self._streams.get(stream)
        if known is not None:
            known.failed(StreamReset(stream, code))
            known.outgoing_over()

    def on_close(self, closing: Closing) -> None:
        error = LinkClosed(closing)
        self.control.failed(error)
        for stream in self._streams.values():
            stream.failed(error)
        self._streams.clear()
        self._arrived.raise_()
        if not self._closed.done():
            self._closed.set_result(closing)

    def _stream_data(self, number: int, data: bytes, *, end: bool) -> None:
        stream = self._streams.get(number)
        if stream is None:
            if number in self._over:
                return
            stream = self._accept(number)
        stream.arrived(data, end=end)

    def _accept(self, number: int) -> Stream:
        if not self._is_admitted:
            raise ProtocolViolation("no stream may be opened before the Welcome")
        if opened_by_server(number) == self._is_server:
            raise ProtocolViolation(f"stream {number} is not the peer's to open")
        stream = self._own(number)
        self._take(stream)
        return stream

    def _forget(self, number: int) -> None:
        """Both directions are over: readers keep the object, we need it for nothing more."""
        self._streams.pop(number, None)
        self._over[number] = None
        if len(self._over) > _REMEMBERED:
            self._over.popitem(last=False)
