"""One QUIC connection as a `Link`.

Sits between qh3's sans-I/O `QuicConnection` and an endpoint's socket (quic_endpoint.py). Keeps the
library's known limits away from the rest: the stream limit that breaks it for good, exceptions out
of `datagrams_to_send`, timers left un-armed by them, and peer closes that it tells late.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from qh3.quic import events
from qh3.quic.connection import QuicConnection, QuicConnectionError
from qh3.quic.tls_bridge import QuicTlsBridgeError
from qh3.tls import Alert

from boreas.transport.links import (
    MAX_STREAMS,
    CloseCode,
    CloseKind,
    Closing,
    LinkClosed,
    LinkEvents,
    StreamLimitReached,
)
from boreas.transport.mailbox import TOO_EARLY, EventMailbox, RoomWaiters

Address = tuple[Any, ...]
SendDatagrams = Callable[[list[bytes], Address], None]

# Whatever hostile bytes provoke inside the library must end one connection, never the endpoint.
LIBRARY_FAULTS = (
    Alert,
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    LookupError,
    QuicConnectionError,
    QuicTlsBridgeError,
    RuntimeError,
    TypeError,
    ValueError,
)

_TLS_ERRORS = range(0x100, 0x200)


class QuicLink:
    """A `Link` over one `QuicConnection`; `settled` is called after the TLS handshake."""

    __slots__ = (
        "_flush_planned",
        "_loop",
        "_mailbox",
        "_peer",
        "_room",
        "_send_datagrams",
        "_server_leaf",
        "_settled",
        "_timer",
        "_timer_at",
        "_when_closed",
        "connection",
        "connection_ids",
        "is_settled",
        "on_connection_id",
        "on_connection_id_gone",
        "on_gone",
    )
    kind = "quic"

    def __init__(
        self,
        connection: QuicConnection,
        *,
        send_datagrams: SendDatagrams,
        settled: "Callable[[QuicLink], None]",
        server_leaf: bytes = b"",
        peer: Address,
    ) -> None:
        self.connection = connection
        self.connection_ids: set[bytes] = set()
        self.is_settled = False
        self._server_leaf = server_leaf
        self._send_datagrams = send_datagrams
        self._settled = settled
        self._peer = peer
        self._loop = asyncio.get_running_loop()
        self._mailbox = EventMailbox(self._said_too_much)
        self._room = RoomWaiters(self.backlog)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._flush_planned = False
        self._when_closed: Callable[[Closing], object] = _nobody
        self.on_connection_id: Callable[[bytes, QuicLink], object] = _nobody
        self.on_connection_id_gone: Callable[[bytes], object] = _nobody
        self.on_gone: Callable[[QuicLink], object] = _nobody

    # --- what the owner calls ---------------------------------------------------------------

    @property
    def peer_address(self) -> str:
        return _as_text(self._peer)

    @property
    def server_leaf(self) -> bytes:
        return self._server_leaf

    @property
    def closing(self) -> Closing | None:
        return self._mailbox.closing

    def attach(self, events: LinkEvents) -> None:
        self._mailbox.attach(events)

    def when_closed(self, call: Callable[[Closing], object]) -> None:
        """Call this too when the link closes; for whoever waits for the TLS handshake."""
        self._when_closed = call

    def open_uni(self) -> int:
        return self._open(unidirectional=True)

    def open_bidi(self) -> int:
        return self._open(unidirectional=False)

    def send(self, stream: int, data: bytes, *, end: bool = False) -> None:
        self._must_be_open()
        if self._can_send(stream) and self._guarded(
            self.connection.send_stream_data, stream, data, end
        ):
            self._flush_soon()

    def backlog(self, stream: int) -> int:
        return self.connection.get_send_buffer_size(stream)

    async def drain(self, stream: int, *, at_most: int) -> None:
        self._must_be_open()
        await self._room.wait(stream, at_most)

    def reset(self, stream: int, code: int = CloseCode.CANCELLED) -> None:
        if self.closing is None and self._can_send(stream):
            self._guarded(self.connection.reset_stream, stream, code)
            self._flush_soon()

    def stop(self, stream: int, code: int = CloseCode.CANCELLED) -> None:
        if self.closing is None:
            # The library raises for a stream that has nothing left to stop.
            with contextlib.suppress(ValueError):
                self.connection.stop_stream(stream, code)
            self._flush_soon()

    def close(self, code: int = CloseCode.NO_ERROR, reason: str = "") -> None:
        if self.closing is not None:
            return
        # The reason must fit one packet beside everything else in it.
        self._guarded(self.connection.close, int(code), None, reason[:200])
        self.flush()
        self._tell_closed(Closing(kind=CloseKind.LOCAL, code=code, reason=reason))

    # --- what the endpoint calls ------------------------------------------------------------

    def connect(self) -> None:
        """Client only: start the handshake."""
        self.connection.connect(self._peer, now=self._loop.time())
        self.flush()

    def receive(self, datagrams: list[bytes], address: Address) -> None:
        """Take datagrams that came for this connection."""
        if self._guarded(
            self.connection.receive_many_datagrams, datagrams, address, self._loop.time()
        ):
            self._tell_events()
        self._flush_soon()

    def fail(self, closing: Closing) -> None:
        """The path is gone: end at once, saying nothing to the other side."""
        self._disarm()
        self._tell_closed(closing)
        self.on_gone(self)

    def flush(self) -> None:
        """Send what is ready and arm the timer; the timer also after the library failed."""
        self._flush_planned = False
        now = self._loop.time()
        try:
            outgoing = self.connection.datagrams_to_send(now)
        except LIBRARY_FAULTS as error:
            self._break(error)
            return
        if outgoing:
            self._transmit(outgoing)
        self._rearm()
        self._room.look_again()

    # --- inside -----------------------------------------------------------------------------

    def _open(self, *, unidirectional: bool) -> int:
        self._must_be_open()
        connection = self.connection
        granted = (
            connection.max_concurrent_uni_streams
            if unidirectional
            else connection.max_concurrent_bidi_streams
        )
        stream = connection.get_next_available_stream_id(unidirectional)
        if connection.open_outbound_streams >= MAX_STREAMS or stream >> 2 >= granted:
            raise StreamLimitReached(f"{connection.open_outbound_streams} streams are open")
        connection.send_stream_data(stream, b"")
        return stream

    def _must_be_open(self) -> None:
        if self.closing is not None:
            raise LinkClosed(self.closing)

    def _can_send(self, stream: int) -> bool:
        # Private, and the only way to ask: sending on a stream that was ended, reset or stopped
        # raises, and we cannot know whether the other side has just stopped it.
        return self.connection._stream_can_send(stream)

    def _guarded(self, call: Callable[..., object], *arguments: object) -> bool:
        try:
            call(*arguments)
        except LIBRARY_FAULTS as error:
            self._break(error)
            return False
        return True

    def _break(self, error: Exception) -> None:
        self.fail(Closing(kind=CloseKind.LOST, reason=f"QUIC library: {error}"))

    def _transmit(self, outgoing: list[tuple[bytes, Address]]) -> None:
        batch: list[bytes] = []
        address = outgoing[0][1]
        for datagram, to in outgoing:
            if to != address:
                self._send_datagrams(batch, address)
                batch, address = [], to
            batch.append(datagram)
        self._send_datagrams(batch, address)
        # Where the library sends is where it believes the peer to be; a datagram's sender is not.
        self._peer = address

    def _flush_soon(self) -> None:
        if not self._flush_planned:
            self._flush_planned = True
            self._loop.call_soon(self.flush)

    def _rearm(self) -> None:
        at = self.connection.get_timer()
        if at == self._timer_at and self._timer is not None:
            return
        self._disarm()
        if at is not None:
            self._timer_at = at
            self._timer = self._loop.call_at(at, self._timer_fired)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._timer_at = None

    def _timer_fired(self) -> None:
        now = max(self._timer_at or 0.0, self._loop.time())
        self._timer = self._timer_at = None
        if self._guarded(self.connection.handle_timer, now):
            self._tell_events()
            self.flush()

    def _tell_events(self) -> None:
        connection = self.connection
        while (event := connection.next_event()) is not None:
            match event:
                case events.StreamDataReceived():
                    self._mailbox.data(event.stream_id, event.data, end=event.end_stream)
                case events.StreamReset():
                    self._mailbox.reset(event.stream_id, event.error_code)
                case events.StopSendingReceived():
                    self._mailbox.stop(event.stream_id, event.error_code)
                case events.ConnectionIdIssued():
                    self.on_connection_id(event.connection_id, self)
                case events.ConnectionIdRetired():
                    self.on_connection_id_gone(event.connection_id)
                case events.HandshakeCompleted():
                    self._settle()
                case events.ConnectionTerminated():
                    self._terminated(event)
                case _:
                    pass
        self._tell_early_close()

    def _settle(self) -> None:
        self.is_settled = True
        certificate = self.connection.get_peercert()
        if certificate is not None and not self._server_leaf:
            self._server_leaf = certificate.public_bytes()
        if not self.connection._configuration.is_client:
            _forget_handshake(self.connection)
        self._settled(self)

    def _tell_early_close(self) -> None:
        # The library announces a peer's close only after its draining period of three timeouts.
        event = self.connection._close_event
        if event is not None and self.closing is None:
            self._tell_closed(_closing_of(event))

    def _terminated(self, event: events.ConnectionTerminated) -> None:
        self._disarm()
        self._tell_closed(_closing_of(event))
        self.on_gone(self)

    def _said_too_much(self) -> None:
        self.close(CloseCode.PROTOCOL_VIOLATION, TOO_EARLY)

    def _tell_closed(self, closing: Closing) -> None:
        if self._mailbox.close(closing):
            self._room.give_up(closing)
            self._when_closed(closing)


def _nobody(*_: object) -> None:
    """Whoever may want to be told, until somebody does."""


def _forget_handshake(connection: QuicConnection) -> None:
    """Drop the TLS state of a server's connection, 15 kB that nothing reads any more.

    Private, and safe because a client has nothing to say in TLS once the handshake is complete (we
    give no tickets and ask for no certificate): should one send such bytes all the same, the
    library finds no TLS to give them to, and the link ends as for any other of its faults.
    """
    connection._tls = None
    connection._applied_transport_parameters = None


def _closing_of(event: events.ConnectionTerminated) -> Closing:
    reason = event.reason_phrase
    if event.error_code in _TLS_ERRORS:
        return Closing(kind=CloseKind.TLS, code=event.error_code, reason=reason)
    if "idle" in reason.lower():
        return Closing(kind=CloseKind.IDLE, code=event.error_code, reason=reason)
    return Closing(kind=CloseKind.PEER, code=event.error_code, reason=reason)


def _as_text(address: Address) -> str:
    host = str(address[0]).removeprefix("::ffff:")
    return f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"
