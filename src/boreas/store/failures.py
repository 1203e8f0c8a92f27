"""From the drivers' errors to the words of the domain: the only place that knows their codes.

Whoever calls the store sees `Unavailable` (try again), `NoSpace`, `Conflict`, `InvalidInput` or a
plain bug; never a driver's exception.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    PendingRollbackError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from boreas.domain.errors import (
    BoreasError,
    Conflict,
    FieldError,
    InvalidInput,
    NoSpace,
    NotFound,
    Unavailable,
)

FULL: Final = "The disk of the database is full; free some space, then try again."
DAMAGED: Final = (
    "The database file is damaged. Stop the server, keep the file aside, and run "
    "`boreas restore` with the last backup."
)
BUSY: Final = "The database is locked by another program; try again in a moment."
AWAY: Final = "The database does not answer; try again in a moment."
DUPLICATE: Final = ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "23505")
_DISK_FULL: Final = "53100"


@contextmanager
def translated() -> Iterator[None]:
    """Say driver errors of the block as domain errors."""
    try:
        yield
    except DBAPIError as error:
        raise _meaning(error) from error
    except (PoolTimeout, PendingRollbackError) as error:
        raise Unavailable(AWAY) from error
    except sqlite3.Error as error:
        raise _driver_meaning(error) or Unavailable(AWAY) from error


@contextmanager
def name_is_taken(noun: str, field: str, value: str) -> Iterator[None]:
    """Say a broken unique constraint as a conflict that names the field."""
    try:
        yield
    except IntegrityError as error:
        if not _is_duplicate(error):
            raise
        raise taken(noun, field, value) from error


def taken(noun: str, field: str, value: str) -> Conflict:
    """Somebody has this name already."""
    problem = FieldError(field=field, problem="is taken", mend="choose another one")
    # A hash of a secret is of no use to who reads this, but of some to who collects logs.
    words = "" if field.endswith("sha256") else f" `{value}`"
    return Conflict(f"Another {noun} already has the {field}{words}.", fields=(problem,))


def _is_duplicate(error: IntegrityError) -> bool:
    code = _sqlstate(error.orig) or getattr(error.orig, "sqlite_errorname", "")
    return code in DUPLICATE


def _sqlstate(error: BaseException | None) -> str | None:
    """PostgreSQL's code, None on SQLite. The driver itself is not imported for SQLite alone."""
    return getattr(error, "sqlstate", None)


def _meaning(error: DBAPIError) -> BoreasError:
    known = _driver_meaning(error.orig)
    if known is not None:
        return known
    if isinstance(error, DataError):
        return InvalidInput("The database cannot store this value (a NUL character?).")
    if error.connection_invalidated or isinstance(error, (OperationalError, InterfaceError)):
        return Unavailable(AWAY)
    raise error


def _driver_meaning(error: BaseException | None) -> BoreasError | None:
    if isinstance(error, sqlite3.Error):
        return _sqlite_meaning(getattr(error, "sqlite_errorname", ""))
    return _postgres_meaning(_sqlstate(error) or "")


def _sqlite_meaning(code: str) -> BoreasError | None:
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return Unavailable(BUSY)
    # A full disk also shows when the shared memory beside the file cannot grow.
    if code in ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_SHMMAP"):
        return NoSpace(FULL)
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return Unavailable(DAMAGED)
    return _integrity_meaning(code)


def _integrity_meaning(code: str) -> BoreasError | None:
    if code in DUPLICATE:
        return Conflict("Somebody else saved the same thing a moment ago.")
    if code in ("SQLITE_CONSTRAINT_FOREIGNKEY", "23503"):
        return NotFound("What this belongs to is not there (any more), or something still uses it.")
    return None


def _postgres_meaning(code: str) -> BoreasError | None:
    if code == _DISK_FULL:
        return NoSpace(FULL)
    # 08 connection, 40 serialisation and deadlock, 53 resources, 55P03 lock timeout,
    # 57 shutdown and cancel, 25006 a standby after a failover: all may work a moment later.
    if code[:2] in ("08", "40", "53", "57") or code in ("55P03", "25006"):
        return Unavailable(AWAY)
    return _integrity_meaning(code)
