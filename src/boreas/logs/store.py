"""The server's door to the logs: the gateway appends, the routers read and follow.

Everything that changes a log runs on the loop's thread and is short (a write into the page cache);
what waits for the disk runs in a thread, one sync for all who wait.
"""

import asyncio
import os
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

from boreas.domain.errors import NoSpace
from boreas.kit.clock import Clock
from boreas.logs.closedlog import ClosedLog, read_closed, write_closed
from boreas.logs.disk import disk_errors, sync_directory
from boreas.logs.lines import micros_of
from boreas.logs.openlog import LogSource, OpenLog
from boreas.logs.reader import LogReader
from boreas.logs.retention import Usage, before, closed_files, files_to_remove, usage_of
from boreas.logs.shelf import Key


class LogStore(LogReader):
    """All logs of a server. One per directory; `aclose` at the end."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        super().__init__(directory)
        self._clock = clock
        self._unsynced: set[Key] = set()
        self._syncing: set[Key] = set()
        self._sync_lock = asyncio.Lock()
        self._close_lock = asyncio.Lock()

    async def aclose(self) -> None:
        """Make everything durable and give the files back."""
        await self.flush()
        self._searchers.shutdown(wait=True, cancel_futures=True)
        self._shelf.forget_all()

    def append(self, source: LogSource, start_offset: int, chunk_bytes: bytes) -> int:
        """Store chunks of an order that begin at this offset; up to where the order is stored.

        Sending again is harmless: what is stored is not stored twice. An unfinished chunk at the
        end is left out. Durable after the next `flush`. Raises `LogGap` (with `expected`) when
        bytes are missing before these, `BadChunk`, or `NoSpace`; nothing is stored then.
        """
        key = source.deployment, source.task
        log = self._shelf.find(key)
        if isinstance(log, ClosedLog):
            stored = log.offset_of(source.order_id)
            if start_offset + len(chunk_bytes) <= stored:
                return stored
        writable = self._shelf.writable(key)
        self._unsynced.add(key)
        stored = writable.append(source, start_offset, chunk_bytes, self._now())
        self._wake(key)
        return stored

    def skip_to(self, source: LogSource, offset: int) -> None:
        """The sender has nothing below this offset any more: a line in the log says so."""
        key = source.deployment, source.task
        self._unsynced.add(key)
        self._shelf.writable(key).skip_to(source, offset, self._now())
        self._wake(key)

    def offset_of(self, deployment: str, task: str, order_id: str) -> int:
        """Up to where an order is stored; `flush` before telling anybody."""
        log = self._shelf.find((deployment, task))
        if isinstance(log, OpenLog):
            # A process before this one may have written it and died before its sync.
            self._unsynced.add((deployment, task))
        return 0 if log is None else log.offset_of(order_id)

    async def flush(self) -> None:
        """Everything appended before this call is durable when it returns.

        Many callers share one sync. Raises `NoSpace` when the disk refused a log that had unsynced
        bytes; its senders must send again from `offset_of` on.
        """
        mine = [self._shelf.find(key) for key in self._unsynced | self._syncing]
        async with self._sync_lock:
            self._syncing, self._unsynced = self._unsynced, set()
            try:
                await self._sync(self._syncing)
            except asyncio.CancelledError:
                self._unsynced |= self._syncing
                raise
            finally:
                self._syncing = set()
            self._shelf.trim(self._unsynced)
        for log in mine:
            if isinstance(log, OpenLog) and log.failure:
                raise log.failure

    async def _sync(self, keys: set[Key]) -> None:
        logs = [(key, self._shelf.find(key)) for key in keys]
        work = [(key, log.sync_work()) for key, log in logs if isinstance(log, OpenLog)]
        if work:
            for key in await asyncio.to_thread(_sync_all, work):
                self._shelf.forget(key)

    async def close(self, deployment: str, task: str) -> None:
        """Nothing more is expected: compress the log, end its followers. Raises `NoSpace`."""
        key = deployment, task
        async with self._close_lock:
            while isinstance(log := self._shelf.find(key), OpenLog):
                log.end_unfinished(self._now())
                self._wake(key)
                size, beside = log.state.size, log.path.with_suffix(".tmp")
                orders = [(number, order.as_list()) for number, order in log.state.orders.items()]
                with log.view() as view:
                    await self._search(partial(write_closed, view, orders, key, beside))
                async with self._sync_lock:
                    if log.state.size == size and self._shelf.find(key) is log:
                        self._swap(key, log, beside)
            await asyncio.to_thread(self._sync_folder, key)
        self._end_followers(key)

    def _swap(self, key: Key, log: OpenLog, beside: Path) -> None:
        closed = log.path.with_suffix(".logz")
        with disk_errors(f"the log of task {key[1]} cannot be closed"):
            moment = self._clock.now().timestamp()
            os.utime(beside, (moment, moment))
            beside.replace(closed)
            self._shelf.forget(key)
            self._shelf.put(key, read_closed(closed))
            log.path.unlink()
            log.index_path.unlink(missing_ok=True)
        self._unsynced.discard(key)

    def _sync_folder(self, key: Key) -> None:
        folder = self._shelf.path_of(key).parent
        if folder.exists():
            sync_directory(folder)

    def open_logs(self) -> tuple[Key, ...]:
        """Deployment and task of every log that is not closed."""
        return self._shelf.open_keys()

    async def usage(self) -> Usage:
        """What the logs take on the disk."""
        return await self._search(lambda: usage_of(self._shelf.directory))

    async def prune(
        self, *, max_age: timedelta | None = None, max_bytes: int | None = None
    ) -> tuple[int, int]:
        """Remove closed logs that are too old or too much; how many, and their bytes."""
        oldest = before(self._clock.now(), max_age)
        usage = await self.usage()
        files = await self._search(lambda: list(closed_files(self._shelf.directory)))
        doomed = list(
            files_to_remove(files, open_bytes=usage.open_bytes, oldest=oldest, max_bytes=max_bytes)
        )
        for file in doomed:
            self._shelf.remove(file.path)
        return len(doomed), sum(file.size for file in doomed)

    def _now(self) -> int:
        return micros_of(self._clock.now())


def _sync_all(work: list[tuple[Key, Callable[[], None]]]) -> list[Key]:
    """Sync every log; those that the disk refused (their `failure` says why)."""
    refused = []
    for key, sync in work:
        try:
            sync()
        except NoSpace:
            refused.append(key)
    return refused
