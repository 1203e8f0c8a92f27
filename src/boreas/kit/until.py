"""Level-triggered waiting: a hint to look again, never the truth itself."""

import asyncio


class Hint:
    """Says "look again". Many raises before one look count as one; a raise is never lost.

    Every connection holds several of them for hours, so one that nobody waits for is small: an
    `asyncio.Event` keeps 760 bytes for waiters that may come.
    """

    __slots__ = ("_is_raised", "_waiters")

    def __init__(self) -> None:
        self._is_raised = False
        self._waiters: tuple[asyncio.Future[None], ...] = ()

    def raise_(self) -> None:
        """Ask the waiter to look again."""
        self._is_raised = True
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, *, at_most: float | None = None) -> bool:
        """Wait for a raise; False when `at_most` seconds passed without one. Lowers the hint."""
        if not self._is_raised:
            if at_most is None:
                await self._raised()
            else:
                try:
                    async with asyncio.timeout(at_most):
                        await self._raised()
                except TimeoutError:
                    return False
        self._is_raised = False
        return True

    async def _raised(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters = (*self._waiters, waiter)
        try:
            await waiter
        finally:
            self._waiters = tuple(each for each in self._waiters if each is not waiter)
