"""Server-sent events: a response that sends batches as they come, and knows when to end.

It beats when nothing comes, looks every few seconds whether its reader may still listen, and holds
only a few batches for a slow one: the sources wait, memory stays flat.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from boreas.kit.clock import Clock
from boreas.kit.tasks import TaskGroup

# A revoked session must be gone within 5 s; two looks fit in.
LOOK_SECONDS: Final = 2.0
BEAT_SECONDS: Final = 15.0
# With the one being sent and the one waiting to be held, three for each reader. They
# are held as bytes, because the values they are made of take five times the room.
_HELD_BATCHES: Final = 1

HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    # nginx would otherwise keep events back until its buffer is full.
    "X-Accel-Buffering": "no",
}


class EventStreamType(Response):
    """Tells the API's description what kind of answer a stream is."""

    media_type = "text/event-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerEvent:
    """One event; `data` becomes JSON in one line."""

    data: Any
    id: str | None = None
    event: str | None = None

    def encoded(self) -> bytes:
        """The event on the wire."""
        lines = [f"event: {self.event}"] if self.event else []
        if self.id is not None:
            lines.append(f"id: {self.id}")
        text = json.dumps(self.data, ensure_ascii=False, separators=(",", ":"))
        return "\n".join([*lines, f"data: {text}", "", ""]).encode("utf-8", "backslashreplace")


Put = Callable[[ServerEvent], Awaitable[None]]
_Waiting = asyncio.Queue[bytes | None]
"""Encoded events on their way to one reader; None is the end."""


class Source(Protocol):
    """Where the events of one response come from."""

    async def pour(self, put: Put) -> None:
        """Put events as they come (`put` waits for a slow reader); return when it is all."""
        ...

    async def is_over(self) -> bool:
        """Asked while nothing comes: will nothing more come, although `pour` waits?"""
        ...

    def farewell(self) -> ServerEvent:
        """The last event."""
        ...


class EventStream(Response):
    """Sends a source's events until it ends, its reader leaves, or may not listen any more."""

    def __init__(
        self, source: Source, *, still_allowed: Callable[[], Awaitable[bool]], clock: Clock
    ) -> None:
        super().__init__(headers=HEADERS)
        self._source = source
        self._still_allowed = still_allowed
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in self.raw_headers if name != b"content-length"]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        waiting: _Waiting = asyncio.Queue(_HELD_BATCHES)
        async with TaskGroup("event stream") as tasks:
            reader = tasks.start(lambda: _until_gone(receive), name="reader")
            sender = tasks.start(lambda: self._send_all(waiting, send), name="sender")
            tasks.start(lambda: self._fill(waiting), name="source")
            await asyncio.wait((reader, sender), return_when=asyncio.FIRST_COMPLETED)

    async def _fill(self, waiting: _Waiting) -> None:
        async def put(event: ServerEvent) -> None:
            await waiting.put(event.encoded())

        await self._source.pour(put)
        await waiting.put(None)

    async def _send_all(self, waiting: _Waiting, send: Send) -> None:
        async def write(block: bytes, *, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": block, "more_body": more})

        await write(b": connected\n\n")
        looked = beaten = self._clock.monotonic()
        while True:
            event = await _next(waiting, LOOK_SECONDS)
            if event is None:
                await write(self._source.farewell().encoded(), more=False)
                return
            now = self._clock.monotonic()
            if isinstance(event, bytes):
                beaten = now
                await write(event)
            elif await self._source.is_over() and waiting.empty():
                await write(self._source.farewell().encoded(), more=False)
                return
            if now - looked >= LOOK_SECONDS:
                looked = now
                if not await self._still_allowed():
                    return await write(b"", more=False)
            if now - beaten >= BEAT_SECONDS:
                beaten = now
                await write(b": still here\n\n")


class _Nothing:
    """No event came in time."""


async def _next(waiting: _Waiting, at_most: float) -> bytes | _Nothing | None:
    try:
        async with asyncio.timeout(at_most):
            return await waiting.get()
    except TimeoutError:
        return _Nothing()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
