"""The SQLAlchemy engine: how connections are made, and how a transaction begins.

SQLite: WAL with `synchronous=FULL` (an acknowledged commit survives a power cut; group commit buys
the speed back), and every writing transaction starts with BEGIN IMMEDIATE, because a transaction
that reads first and writes later gets SQLITE_BUSY without any waiting.
"""

import errno
import os
import stat
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from boreas.domain.errors import NoSpace, Unavailable
from boreas.store import quick_sqlite
from boreas.store.failures import FULL

LONGEST_WAIT_SECONDS: Final = 5.0
"""For a lock, a connection of the pool, a connection to the server: then `Unavailable`."""

READING: Final = "boreas_reading"
"""The execution option of transactions that only read."""
PATIENCE: Final = "boreas_patience"
"""The execution option that says for how many seconds a SQLite lock may still be waited for."""

_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA temp_store = MEMORY",
)


def database_url(url: str | None, data_dir: Path) -> URL:
    """Where the data is: `<data_dir>/boreas.db` unless an address says otherwise."""
    if not url:
        return URL.create("sqlite+aiosqlite", database=str(data_dir / "boreas.db"))
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return parsed.set(drivername="sqlite+aiosqlite")
    return parsed.set(drivername="postgresql+psycopg")


def make_engine(url: URL) -> AsyncEngine:
    """An engine for either database; nothing is connected yet."""
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url)
    return _postgres_engine(url)


def _sqlite_engine(url: URL) -> AsyncEngine:
    _make_private_file(Path(url.database or ""))
    engine = create_async_engine(
        url,
        hide_parameters=True,  # errors are logged; documents and hashes must not be in them
        pool_size=5,
        max_overflow=10,
        pool_timeout=LONGEST_WAIT_SECONDS,
        connect_args={
            "timeout": LONGEST_WAIT_SECONDS,
            "isolation_level": None,
            "async_creator_fn": quick_sqlite.connect,
        },
    )
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _make_private_file(path: Path) -> None:
    """The file is readable by its owner only; SQLite gives the files beside it the same mode."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, stat.S_IRUSR | stat.S_IWUSR))
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise NoSpace(FULL) from error
        raise Unavailable(f"The database {path} cannot be opened: {error.strerror}.") from error


def _prepare_sqlite(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    patience = options.get(PATIENCE, LONGEST_WAIT_SECONDS)
    if connection.info.get(PATIENCE, LONGEST_WAIT_SECONDS) != patience:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(patience * 1000)}")
        connection.info[PATIENCE] = patience
    connection.exec_driver_sql("BEGIN" if options.get(READING, False) else "BEGIN IMMEDIATE")


def _postgres_engine(url: URL) -> AsyncEngine:
    wait = int(LONGEST_WAIT_SECONDS)
    milliseconds = wait * 1000
    return create_async_engine(
        url,
        hide_parameters=True,
        pool_size=10,
        max_overflow=10,
        pool_timeout=LONGEST_WAIT_SECONDS,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": wait,
            # A peer that vanished without a word (failover, pulled cable) is noticed by the kernel.
            "keepalives_idle": wait,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 2 * milliseconds,
            "options": f"-c lock_timeout={milliseconds} -c statement_timeout={6 * milliseconds}",
        },
    )
