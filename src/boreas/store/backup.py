"""Copies of a SQLite database, taken while a server works on it, and checks of one.

Used by `boreas backup`, `boreas restore` and `boreas doctor`; each opens the file by itself and
blocks, so a server calls them in a thread. PostgreSQL has its own tools (`pg_dump`).
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from boreas.domain.errors import Conflict, InvalidInput, NotFound
from boreas.store import tables
from boreas.store.engines import LONGEST_WAIT_SECONDS
from boreas.store.failures import translated

# After a restore, agents have seen orders that the database knows nothing of. Every number drawn
# from now on must be higher than any that could have been drawn after the backup.
FENCE_LEAP: Final = 1 << 32


def back_up(database: Path, copy: Path) -> None:
    """Write a consistent copy of one moment; writers go on meanwhile.

    The copy appears under its name only when it is whole. `Conflict` if the name is taken,
    `NotFound` without a database, `NoSpace` when the disk fills up.
    """
    if copy.exists():
        raise Conflict(f"{copy} exists already; a backup never overwrites anything.")
    _check_exists(database)
    unfinished = copy.with_name(f".{copy.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    try:
        with translated(), closing(_open(database)) as connection:
            connection.execute("VACUUM INTO ?", (str(unfinished),))
        _sync(unfinished)
        unfinished.chmod(0o600)
        unfinished.rename(copy)
    finally:
        unfinished.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def faults(database: Path) -> list[str]:
    """What SQLite finds wrong with the file; empty when all is well."""
    _check_exists(database)
    try:
        with closing(_open(database)) as connection:
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
            broken = connection.execute("PRAGMA foreign_key_check").fetchall()
    except sqlite3.DatabaseError as error:
        return [str(error)]
    return [line for line in found if line != "ok"] + [f"lost parent: {row}" for row in broken]


def make_ready_after_restore(database: Path) -> None:
    """Fence off what happened after the backup, and forget servers that were alive then.

    `InvalidInput` if the file is not a sound database of Boreas.
    """
    if found := faults(database):
        raise InvalidInput(f"{database} cannot be restored: {found[0]}")
    with translated(), closing(_open(database)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "INSERT INTO counters (name, value) VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            (tables.FENCE, FENCE_LEAP),
        )
        connection.execute("UPDATE servers SET lease_until = 0")
        connection.execute("COMMIT")


def _open(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(database, timeout=LONGEST_WAIT_SECONDS, isolation_level=None)


def _check_exists(database: Path) -> None:
    if not database.is_file():
        raise NotFound(f"There is no database at {database}.")
