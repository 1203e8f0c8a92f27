"""From an agent's log stream into the log files, acknowledged when durable."""

from collections.abc import Callable, Coroutine
from typing import Any

from boreas.domain.errors import NoSpace
from boreas.domain.outbox import Place
from boreas.kit.clock import Clock
from boreas.kit.until import Hint
from boreas.logs.chunks import BadChunk
from boreas.logs.openlog import LogGap, LogSource
from boreas.logs.store import LogStore
from boreas.server.gateway.secrecy import Secrecy
from boreas.transport.frames import LogStored
from boreas.transport.links import ProtocolViolation
from boreas.transport.session import Session
from boreas.transport.streams import Stream

# Acknowledge after this much or this long: half the agent's window, so that it never runs dry.
_FLUSH_BYTES = 256 * 1024
_FLUSH_SECONDS = 0.2
_EVERYTHING = 2**62

Start = Callable[[Callable[[], Coroutine[Any, Any, None]], str], object]
"""Runs this work under this name, beside everything else that a link does."""


class LogIntake:
    """The logs that one agent sends over one link."""

    __slots__ = (
        "_bytes",
        "_clock",
        "_is_acknowledging",
        "_logs",
        "_plenty",
        "_secrecy",
        "_session",
        "_start",
        "_unacknowledged",
    )

    def __init__(
        self, *, session: Session, logs: LogStore, secrecy: Secrecy, clock: Clock, start: Start
    ) -> None:
        self._session = session
        self._secrecy = secrecy
        self._logs = logs
        self._clock = clock
        self._start = start
        self._unacknowledged: dict[str, tuple[Place, int]] = {}
        self._bytes = 0
        self._is_acknowledging = False
        self._plenty = Hint()

    async def take(self, stream: Stream, place: Place, order_id: str, offset: int) -> None:
        """Store one stream to its end. A gap or a full disk ends it: the agent starts again."""
        source = source_of(place, order_id)
        try:
            if offset > self._offset_of(place, order_id):
                # The agent was told where to go on and begins later: it has nothing older any more.
                self._logs.skip_to(source, offset)
            mask = await self._secrecy.log_mask(place)
            async for block in stream.blocks():
                payload = block.payload if mask is None else await mask.feed(block.payload)
                offset = self._store(place, source, offset, payload)
            if mask is not None:
                self._store(place, source, offset, mask.end())
        except (LogGap, NoSpace):
            stream.abandon()
            self.tell_offset(place, order_id)
        except BadChunk as error:
            raise ProtocolViolation(f"log of {order_id}: {error}") from error

    def _store(self, place: Place, source: LogSource, offset: int, payload: bytes) -> int:
        """Where the next bytes go. Only the end brings none: a log of nothing needs no file."""
        if payload:
            stored = self._logs.append(source, offset, payload)
            self._stored(place, source.order_id, stored, len(payload))
        return offset + len(payload)

    def tell_offset(self, place: Place, order_id: str) -> None:
        """Acknowledge anew what is stored: after an inventory, and after a broken stream."""
        self._stored(place, order_id, self._offset_of(place, order_id), 0)

    def forget(self, order_id: str) -> None:
        """Nobody wants the log of this order any more: the agent may drop all of it."""
        self._session.control.send(LogStored(order_id=order_id, offset=_EVERYTHING))

    async def _acknowledge(self) -> None:
        """Make what came durable and say so until nothing is left; streams share the syncs."""
        try:
            while self._unacknowledged:
                await self._plenty.wait(at_most=_FLUSH_SECONDS)
                await self._acknowledge_once()
        finally:
            self._is_acknowledging = False

    async def _acknowledge_once(self) -> None:
        ready, self._unacknowledged, self._bytes = self._unacknowledged, {}, 0
        try:
            await self._logs.flush()
        except NoSpace:
            for order_id, (place, _) in ready.items():
                ready[order_id] = place, self._offset_of(place, order_id)
            await self._clock.sleep(1.0)
        for order_id, (_, offset) in ready.items():
            self._session.control.send(LogStored(order_id=order_id, offset=offset))

    def _offset_of(self, place: Place, order_id: str) -> int:
        return self._logs.offset_of(place.deployment_id, place.task_id, order_id)

    def _stored(self, place: Place, order_id: str, offset: int, size: int) -> None:
        self._unacknowledged[order_id] = place, offset
        self._bytes += size
        if self._bytes >= _FLUSH_BYTES:
            self._plenty.raise_()
        if not self._is_acknowledging:
            self._is_acknowledging = True
            self._start(self._acknowledge, "log acknowledgements")


def source_of(place: Place, order_id: str) -> LogSource:
    """How the log names where its lines come from."""
    return LogSource(
        deployment=place.deployment_id,
        task=place.task_id,
        execution_id=place.execution_id,
        target=place.target,
        order_id=order_id,
    )
