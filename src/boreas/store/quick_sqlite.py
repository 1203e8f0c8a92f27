"""SQLite without a change of thread for every statement.

aiosqlite gives each call to a thread and waits for it: four changes of thread for a SELECT that
takes microseconds. Here a statement runs where it is asked for, in the event loop, unless it may
wait: for the lock (what begins a transaction), for the disk (COMMIT), or for itself (a SELECT that
is still not done after some milliseconds is stopped and begun anew in the thread; many rows).
"""

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Self, TypeVar

import aiosqlite

T = TypeVar("T")

# A SELECT that has not come to its end after so many steps of SQLite's machine (about 5 ms) has no
# place in the event loop.
_MOST_STEPS: Final = 100_000
_MANY_ROWS: Final = 200

_DATA: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")


class QuickConnection(aiosqlite.Connection):
    """Fits SQLAlchemy's adapter for aiosqlite."""

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, iter_chunk_size=64)
        self._thread.daemon = True
        self._in_thread = 0
        self._has_lock = False
        """What this transaction needs of the file's locks it has: nothing more is waited for."""
        self._is_reading = False
        self._is_hasty = False

    async def prepared(self) -> Self:
        """Connected."""
        await self
        self._conn.set_progress_handler(lambda: self._is_hasty, _MOST_STEPS)
        return self

    def cursor(self) -> Any:
        """One for SQLAlchemy's adapter, which enters it and never leaves."""
        return QuickCursor(self, self._conn.cursor())

    async def run(self, sql: str, work: Callable[[], T], *, many: int = 1) -> T:
        """Do this statement where it should be done."""
        kind = sql.lstrip()[:6].upper()
        if not self._in_thread:
            if sql == "BEGIN":
                self._is_reading = True
                return work()  # It takes no lock yet.
            if kind == "SELECT" and self._is_reading and not self._has_lock:
                return await self._first_look(work)
        if self._in_thread or many > _MANY_ROWS or not (kind in _DATA and self._has_lock):
            done = await self._by_thread(work)
            # BEGIN alone takes no lock; the first statement after it does.
            self._has_lock = kind in _DATA or sql.startswith("BEGIN IMMEDIATE")
            self._is_reading = self._is_reading or sql == "BEGIN"
            return done
        return await self._hastily(work) if kind == "SELECT" else work()

    async def _first_look(self, work: Callable[[], T]) -> T:
        """A reader hardly ever waits in WAL mode; if it must, it does so in the thread."""
        patience = self._conn.execute("PRAGMA busy_timeout").fetchone()[0]
        self._conn.execute("PRAGMA busy_timeout = 0")
        self._is_hasty = True
        try:
            done = work()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_INTERRUPT):
                raise
        else:
            self._has_lock = True
            return done
        finally:
            self._is_hasty = False
            self._conn.execute(f"PRAGMA busy_timeout = {patience}")
        done = await self._by_thread(work)
        self._has_lock = True
        return done

    async def commit(self) -> None:
        self._has_lock = self._is_reading = False
        await self._by_thread(self._conn.commit)

    async def rollback(self) -> None:
        self._has_lock = self._is_reading = False
        if self._in_thread:
            await self._by_thread(self._conn.rollback)
        else:
            self._conn.rollback()

    async def _hastily(self, work: Callable[[], T]) -> T:
        self._is_hasty = True
        try:
            return work()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
        finally:
            self._is_hasty = False
        return await self._by_thread(work)

    async def _by_thread(self, work: Callable[[], T]) -> T:
        self._in_thread += 1
        asked: Awaitable[T] = self._execute(self._counted, work)  # type: ignore[no-untyped-call]
        return await asked

    def _counted(self, work: Callable[[], T]) -> T:
        """Counted down by the thread: a caller who was cancelled does not know when it is done."""
        try:
            return work()
        finally:
            self._in_thread -= 1


class QuickCursor:
    """One statement and all its rows."""

    def __init__(self, connection: QuickConnection, cursor: sqlite3.Cursor) -> None:
        self._connection = connection
        self._cursor = cursor
        self._rows: list[Any] = []

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Self:
        def work() -> None:
            self._cursor.execute(sql, parameters)
            self._rows = self._cursor.fetchall() if self._cursor.description else []

        await self._connection.run(sql, work)
        return self

    async def executemany(self, sql: str, rows: Sequence[Any]) -> Self:
        await self._connection.run(sql, lambda: self._cursor.executemany(sql, rows), many=len(rows))
        return self

    async def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        self._cursor.close()

    @property
    def description(self) -> Any:
        return self._cursor.description

    @property
    def rowcount(self) -> int:
        return self._cursor.rowcount

    @property
    def lastrowid(self) -> int | None:
        return self._cursor.lastrowid


def connect(database: str, **options: Any) -> Awaitable[QuickConnection]:
    """For `create_async_engine(connect_args={"async_creator_fn": connect})`."""
    return QuickConnection(lambda: sqlite3.connect(database, **options)).prepared()
