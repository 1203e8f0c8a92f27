"""How many builds run on this node at once: they would only slow each other down."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from boreas.domain.ports import Workbench


class BuildSlots:
    """Lets a few builds through; the others wait in order and say so in their logs."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._free = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def taken(self, bench: Workbench) -> AsyncIterator[None]:
        """Hold a slot for the time of one build."""
        if self._free.locked():
            await bench.say(f"Waits: this node builds {self._at_once} at once, and it is busy.")
        async with self._free:
            yield
