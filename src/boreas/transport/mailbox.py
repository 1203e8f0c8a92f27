"""What every kind of link needs: events kept until somebody listens, and waiting for room."""

import asyncio
from collections.abc import Callable

from boreas.transport.links import Closing, LinkClosed, LinkEvents

# What a stranger may say before anybody listens: a link may wait for its turn at the door.
MAX_KEPT = 64 * 1024
TOO_EARLY = f"more than {MAX_KEPT} bytes were sent before anybody listened"


class EventMailbox:
    """Passes a link's events on, or keeps them until somebody listens; closes once."""

    __slots__ = ("_kept", "_kept_bytes", "_listener", "_too_much", "closing")

    def __init__(self, too_much: Callable[[], None]) -> None:
        self.closing: Closing | None = None
        self._too_much = too_much
        self._kept_bytes = 0
        self._listener: LinkEvents | None = None
        self._kept: list[Callable[[LinkEvents], None]] = []

    def attach(self, listener: LinkEvents) -> None:
        self._listener = listener
        for event in self._kept:
            event(listener)
        self._kept.clear()

    def data(self, stream: int, data: bytes, *, end: bool) -> None:
        if self._listener is not None:
            self._listener.on_data(stream, data, end=end)
        else:
            self._kept.append(lambda listener: listener.on_data(stream, data, end=end))
            self._count(len(data))

    def reset(self, stream: int, code: int) -> None:
        self._tell(lambda listener: listener.on_reset(stream, code))

    def stop(self, stream: int, code: int) -> None:
        self._tell(lambda listener: listener.on_stop(stream, code))

    def close(self, closing: Closing) -> bool:
        """Tell that the link is closed; False if that was told before."""
        if self.closing is not None:
            return False
        self.closing = closing
        self._tell(lambda listener: listener.on_close(closing))
        return True

    def _count(self, size: int) -> None:
        # 64 for an event without bytes, so that many of those are too much as well.
        self._kept_bytes += size + 64
        if self._kept_bytes > MAX_KEPT and self.closing is None:
            self._kept.clear()
            self._too_much()

    def _tell(self, event: Callable[[LinkEvents], None]) -> None:
        if self._listener is None:
            self._kept.append(event)
        else:
            event(self._listener)


class RoomWaiters:
    """Senders that wait until the backlog of their stream is small enough."""

    __slots__ = ("_backlog", "_waiters")

    def __init__(self, backlog: Callable[[int], int]) -> None:
        self._backlog = backlog
        self._waiters: list[tuple[int, int, asyncio.Future[None]]] = []

    async def wait(self, stream: int, at_most: int) -> None:
        if self._backlog(stream) <= at_most:
            return
        room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((stream, at_most, room))
        await room

    def look_again(self) -> None:
        """Wake those who have room now; cheap when nobody waits."""
        if not self._waiters:
            return
        still: list[tuple[int, int, asyncio.Future[None]]] = []
        for stream, at_most, room in self._waiters:
            if room.done():
                continue
            if self._backlog(stream) <= at_most:
                room.set_result(None)
            else:
                still.append((stream, at_most, room))
        self._waiters = still

    def give_up(self, closing: Closing) -> None:
        """Wake everybody with `LinkClosed`."""
        waiters, self._waiters = self._waiters, []
        for _, _, room in waiters:
            if not room.done():
                room.set_exception(LinkClosed(closing))
