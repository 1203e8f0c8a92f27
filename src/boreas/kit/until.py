"""Level-triggered waiting: a hint to look again, never the truth itself."""

import asyncio


class Hint:
    """Says "look again". Many raises before one look count as one; a raise is never lost."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def raise_(self) -> None:
        """Ask the waiter to look again."""
        self._event.set()

    async def wait(self, *, at_most: float | None = None) -> bool:
        """Wait for a raise; False when `at_most` seconds passed without one. Lowers the hint."""
        try:
            async with asyncio.timeout(at_most):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True
