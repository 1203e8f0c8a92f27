"""Password hashes, a few at a time: a flood of logins must not take the whole machine.

Argon2 costs tens of milliseconds and megabytes by design. At most two run, in threads of their
own; some wait; the rest is told to come back (`TooMany`).
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from pwdlib import PasswordHash
from pwdlib.exceptions import PwdlibError
from pwdlib.hashers.argon2 import Argon2Hasher

from boreas.domain.errors import TooMany
from boreas.kit.ids import new_secret

T = TypeVar("T")

# Two: on the smallest machine (one or two cores) the event loop must still get its turn.
MAX_RUNNING: Final = 2
# With ~50 ms a hash the last one in the queue waits about half a second.
MAX_WAITING: Final = 20


class PasswordHasher:
    """Hashes and verifies passwords with bounded concurrency; argon2id.

    `parallelism` is 1 so that two hashes are two busy threads, not eight.
    """

    def __init__(self, *, passes: int = 3, kibibytes: int = 32_768) -> None:
        argon2 = Argon2Hasher(time_cost=passes, memory_cost=kibibytes, parallelism=1)
        self._hash = PasswordHash((argon2,))
        self._threads = ThreadPoolExecutor(MAX_RUNNING, thread_name_prefix="argon2")
        self._places = asyncio.Semaphore(MAX_RUNNING)
        self._waiting = 0
        self._nobodys: str | None = None

    async def hash(self, password: str) -> str:
        """The stored form of a password."""
        return await self._in_thread(lambda: self._hash.hash(password))

    async def verify(self, password: str, stored: str) -> bool:
        """Is this the password? A stored form that cannot be read is never right."""

        def compare() -> bool:
            try:
                return self._hash.verify(password, stored)
            except PwdlibError:
                return False

        return await self._in_thread(compare)

    async def verify_nobody(self, password: str) -> bool:
        """Cost as much time as `verify`, for a user that does not exist; always False."""
        if self._nobodys is None:
            self._nobodys = await self.hash(new_secret())
        await self.verify(password, self._nobodys)
        return False

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            raise TooMany("too many sign-ins at this moment", parameters={"retry_after": 2})
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._places.release()
