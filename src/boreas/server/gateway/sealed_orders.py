"""Sends orders whose secrets must be opened first; what comes after them waits its turn."""

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from boreas.domain.outbox import OutboxRow, Place
from boreas.server.gateway.secrecy import Secrecy

Start = Callable[[Callable[[], Coroutine[Any, Any, None]], str], bool]
Send = Callable[[OutboxRow, bytes, str], None]
"""The row, the secrets as they travel, and why there are none although the order needs some."""


class SealedOrders:
    """The orders of one link that wait for the vault. Costs nothing where no order has secrets."""

    __slots__ = ("_rows", "_secrecy", "_send", "_start")

    def __init__(self, secrecy: Secrecy, *, start: Start, send: Send) -> None:
        self._secrecy = secrecy
        self._start = start
        self._send = send
        self._rows: deque[tuple[OutboxRow, Place | None]] = deque()

    @property
    def is_empty(self) -> bool:
        """Nothing waits, so that others may go out at once."""
        return not self._rows

    def put(self, row: OutboxRow, place: Place | None) -> bool:
        """Send it in its turn; False when the link is not there to send anything over."""
        is_first = not self._rows
        self._rows.append((row, place))
        if is_first and not self._start(self._send_all, "sealed orders"):
            self._rows.clear()
            return False
        return True

    async def _send_all(self) -> None:
        try:
            while self._rows:
                row, place = self._rows[0]
                if place is None or not place.has_secrets:
                    self._send(row, b"", "")
                else:
                    opened, trouble = await self._secrecy.opened_for(place)
                    self._send(row, b"" if trouble else msgspec.msgpack.encode(opened), trouble)
                self._rows.popleft()
        finally:
            self._rows.clear()
