"""What a link between agent and server is, whatever carries it.

Implemented by quic_link.py and mux.py (TCP, memory); consumed by session.py. Streams are numbered
as in QUIC (RFC 9000, 2.1): bit 0 says who opened it (0 agent, 1 server), bit 1 that it is one-way.
Calls never block; whoever sends much asks `backlog` or awaits `drain` first.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import ClassVar, Protocol

from boreas.domain.errors import BoreasError, ErrorCode

CONTROL_STREAM = 0
"""The first two-way stream; the agent opens it."""

MAX_STREAMS = 64
"""Open streams of one direction and kind that either side may have at a time.

qh3 grants a peer 100 and breaks for good when more are opened; 64 leaves room for streams whose end
is still on its way.
"""


class CloseCode(IntEnum):
    """Application codes in the goodbye of a link and in resets of streams; never renumbered."""

    NO_ERROR = 0
    PROTOCOL_VIOLATION = 1
    REFUSED = 2
    GOING_AWAY = 3
    REPLACED = 4
    CANCELLED = 5
    TIMED_OUT = 6
    REVOKED = 7


class CloseKind(StrEnum):
    """Who or what ended a link; dial memory judges a path by it."""

    LOCAL = "local"
    PEER = "peer"
    IDLE = "idle"
    REFUSED_PORT = "refused_port"
    TLS = "tls"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """Why a link is closed."""

    kind: CloseKind
    code: int = 0
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.kind} ({self.code}) {self.reason}".strip()


class LinkClosed(BoreasError):
    """The link to the other side is closed."""

    code: ClassVar[ErrorCode] = ErrorCode.UNAVAILABLE

    def __init__(self, closing: Closing) -> None:
        self.closing = closing
        super().__init__(f"the link is closed: {closing}")


class ProtocolViolation(BoreasError):
    """The other side sent what it must not send."""


class StreamLimitReached(BoreasError):
    """Too many streams are open at once; wait until one has ended."""

    code: ClassVar[ErrorCode] = ErrorCode.TOO_MANY


class StreamReset(BoreasError):
    """The other side gave up this stream."""

    code: ClassVar[ErrorCode] = ErrorCode.UNAVAILABLE

    def __init__(self, stream: int, reset_code: int) -> None:
        self.stream = stream
        self.reset_code = reset_code
        super().__init__(f"stream {stream} was reset by the other side ({reset_code})")


class LinkEvents(Protocol):
    """What a link tells its owner, from the event loop; must not block, may call the link."""

    def on_data(self, stream: int, data: bytes, *, end: bool) -> None:
        """Bytes arrived in order; `end`: the other side sends no more on this stream."""
        ...

    def on_reset(self, stream: int, code: int) -> None:
        """The other side gave up sending on this stream."""
        ...

    def on_stop(self, stream: int, code: int) -> None:
        """The other side wants no more of what we send on this stream."""
        ...

    def on_close(self, closing: Closing) -> None:
        """The last event of a link; comes exactly once."""
        ...


class Link(Protocol):
    """A secured connection that carries many ordered streams."""

    @property
    def kind(self) -> str:
        """`quic`, `tcp` or `memory`."""
        ...

    @property
    def peer_address(self) -> str:
        """Where the other side is, as `host:port`."""
        ...

    @property
    def server_leaf(self) -> bytes:
        """The server's TLS certificate (DER), the same on both sides: proofs are bound to it."""
        ...

    @property
    def closing(self) -> Closing | None:
        """Why the link is closed; None while it is open."""
        ...

    def attach(self, events: LinkEvents) -> None:
        """Say who listens. Events that came before are told now, in order."""
        ...

    def open_uni(self) -> int:
        """A new one-way stream; raises `StreamLimitReached` or `LinkClosed`."""
        ...

    def open_bidi(self) -> int:
        """A new two-way stream; raises `StreamLimitReached` or `LinkClosed`."""
        ...

    def send(self, stream: int, data: bytes, *, end: bool = False) -> None:
        """Queue bytes. Raises `LinkClosed`; after a reset or stop of the stream it does nothing."""
        ...

    def backlog(self, stream: int) -> int:
        """Bytes of this stream that wait to be sent for the first time."""
        ...

    async def drain(self, stream: int, *, at_most: int) -> None:
        """Wait until the backlog is no more than `at_most`; raises `LinkClosed`."""
        ...

    def reset(self, stream: int, code: int = CloseCode.CANCELLED) -> None:
        """Give up sending on this stream; what waits to be sent is dropped."""
        ...

    def stop(self, stream: int, code: int = CloseCode.CANCELLED) -> None:
        """Ask the other side to send no more on this stream."""
        ...

    def close(self, code: int = CloseCode.NO_ERROR, reason: str = "") -> None:
        """Say goodbye and end every stream. A second call does nothing."""
        ...


def is_unidirectional(stream: int) -> bool:
    """Whether only its opener may send on it."""
    return bool(stream & 2)


def opened_by_server(stream: int) -> bool:
    """Whether the server opened it."""
    return bool(stream & 1)
