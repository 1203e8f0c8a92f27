"""Waiting for a state inside the event loop."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable


async def eventually(look: Callable[[], bool | Awaitable[bool]], *, turns: int = 5000) -> None:
    """Give the loop turns until `look` is true; fails when it never is."""
    for _ in range(turns):
        answer = look()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return
        await asyncio.sleep(0.001)  # noqa: TID251 - threads of the database need real time
    raise AssertionError("the awaited state never came")
