"""Who opens a connection and does not say what they want is sent away.

uvicorn waits for ever for the rest of a request. `web.py` serves HTTP with `TimedRequests` and runs
`send_slow_away` beside it: one look a second at all connections costs less than a timer for each.
"""

from collections.abc import Iterable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from boreas.kit.clock import Clock

PATIENCE_SECONDS: Final = 10.0
# A modem of 1985 is faster. Slower than this for ten seconds is nobody who means to be heard.
LEAST_BYTES_A_SECOND: Final = 500
_LOOK_EVERY_SECONDS: Final = 1.0

_TOO_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class TimedRequests(HttpToolsProtocol):
    """uvicorn's own protocol, that knows until when the caller must have said more."""

    _until: float | None = None
    """None while it is not the caller's turn to speak, or they may keep silent between requests."""
    _received: int = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait_for_more()

    def data_received(self, data: bytes) -> None:
        if self._until is None and (self.cycle is None or self.cycle.response_complete):
            self._wait_for_more()
        super().data_received(data)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._wait_for_more()

    def on_body(self, body: bytes) -> None:
        self._received += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._until = None
        super().on_message_complete()

    def _wait_for_more(self) -> None:
        self._until, self._received = self.loop.time() + PATIENCE_SECONDS, 0

    def close_if_slow(self) -> None:
        """Say 408 and close, when the time for the head or for the next piece of body is over."""
        if self._until is None or self.loop.time() < self._until:
            return
        if self.flow.read_paused or self._received >= PATIENCE_SECONDS * LEAST_BYTES_A_SECOND:
            self._wait_for_more()
            return
        self._until = None
        cycle = self.cycle
        is_answering = cycle is not None and cycle.response_started and not cycle.response_complete
        if not is_answering:
            self.transport.write(_TOO_SLOW)
        self.transport.close()


async def send_slow_away(connections: Iterable[object], clock: Clock) -> None:
    """Look at all connections, for ever. `connections` is looked through anew each time."""
    while True:
        await clock.sleep(_LOOK_EVERY_SECONDS)
        for connection in [each for each in connections if isinstance(each, TimedRequests)]:
            connection.close_if_slow()
