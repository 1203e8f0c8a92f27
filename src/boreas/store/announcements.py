"""Telling every server that there is something to look at.

In this process announcements fan out right after the commit. Other servers on the same PostgreSQL
hear them by NOTIFY, on a connection of its own that is made again whenever it breaks. A lost
announcement is only a delay: everybody looks again from time to time anyway.
"""

import asyncio
import weakref
from collections.abc import AsyncIterator, Iterable
from typing import Final, Self

from sqlalchemy.ext.asyncio import AsyncConnection

from boreas.kit.ids import new_secret
from boreas.store import dialects

Announcement = tuple[str, str]
"""Channel and payload."""

PG_CHANNEL: Final = "boreas"
"""One channel of the database for all of ours, so that one LISTEN is enough."""

MOST_UNHEARD: Final = 10_000
"""A listener that is so far behind loses the oldest; it will look at everything again anyway."""


class Listening(AsyncIterator[Announcement]):
    """What was announced on some channels since this was made; the same words twice count once."""

    def __init__(self, channels: Iterable[str]) -> None:
        self._channels = frozenset(channels)
        self._unheard: dict[Announcement, None] = {}
        self._there_is_some = asyncio.Event()

    def offer(self, announcement: Announcement) -> None:
        """Keep it if it is on one of our channels."""
        if announcement[0] not in self._channels:
            return
        self._unheard[announcement] = None
        if len(self._unheard) > MOST_UNHEARD:
            del self._unheard[next(iter(self._unheard))]
        self._there_is_some.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Announcement:
        while not self._unheard:
            self._there_is_some.clear()
            await self._there_is_some.wait()
        announcement = next(iter(self._unheard))
        del self._unheard[announcement]
        return announcement


class Crier:
    """Fans announcements out to this process's listeners."""

    def __init__(self) -> None:
        self.voice = new_secret(6)
        """Tells our own announcements from those of other servers."""
        self._listeners: weakref.WeakSet[Listening] = weakref.WeakSet()

    def listen(self, channels: Iterable[str]) -> Listening:
        """From now on until the answer is forgotten."""
        listening = Listening(channels)
        self._listeners.add(listening)
        return listening

    def cry(self, announcements: Iterable[Announcement]) -> None:
        """Tell everybody here."""
        listeners = list(self._listeners)
        for announcement in announcements:
            for listener in listeners:
                listener.offer(announcement)

    async def notify(
        self, connection: AsyncConnection, announcements: Iterable[Announcement]
    ) -> None:
        """Tell the other servers if the transaction commits."""
        payloads = [f"{self.voice} {channel} {payload}" for channel, payload in announcements]
        if payloads:
            await dialects.notify(connection, PG_CHANNEL, payloads)

    def heard(self, payload: str) -> None:
        """A NOTIFY came; our own were cried already."""
        voice, _, rest = payload.partition(" ")
        channel, _, words = rest.partition(" ")
        if voice != self.voice:
            self.cry([(channel, words)])
