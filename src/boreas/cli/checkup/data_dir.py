"""A data directory on this machine: may it be written, is the database whole, is there room."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from boreas.cli.archive.data_dir import DATABASE, holder_of, integrity_of
from boreas.cli.checkup.finding import Finding, bad, good, note

LEAST_FREE_BYTES: Final = 1_000_000_000
LEAST_FREE_SHARE: Final = 0.05


def check_data_dir(data_dir: Path) -> Iterator[Finding]:
    """Everything that can be said of the directory without changing it."""
    if not data_dir.is_dir():
        yield note("data directory", f"{data_dir} is not there yet", "boreas server makes it")
        return
    yield _access(data_dir)
    yield _holder(data_dir)
    yield _database(data_dir / DATABASE)
    yield disk(data_dir)
    yield _secrets(data_dir)


def _access(data_dir: Path) -> Finding:
    if os.access(data_dir, os.R_OK | os.W_OK | os.X_OK):
        return good("data directory", f"{data_dir} can be read and written")
    return bad(
        "data directory",
        f"{data_dir} cannot be written by this user",
        f"run as its owner, or: chown -R USER {data_dir}",
    )


def _holder(data_dir: Path) -> Finding:
    try:
        holder = holder_of(data_dir)
    except OSError as error:
        return note("server", f"whether one runs here cannot be seen: {error.strerror}")
    return good("server", f"runs here: {holder}" if holder else "none runs on this directory")


def _database(database: Path) -> Finding:
    if not database.exists():
        return note("database", "no SQLite file here", "with PostgreSQL that is right")
    try:
        found = integrity_of(database)
    except sqlite3.Error as error:
        found = str(error)
    if found == "ok":
        return good("database", f"{database} is whole, {database.stat().st_size / 1e6:.1f} MB")
    return bad(
        "database",
        f"{database} is damaged: {found}",
        "stop the server and bring the last backup back: boreas restore FILE --replace",
    )


def disk(directory: Path) -> Finding:
    """Is there room for logs and backups?"""
    usage = shutil.disk_usage(directory)
    share = usage.free / usage.total
    said = f"{usage.free / 1e9:.1f} GB free ({share:.0%}) where {directory} lies"
    if usage.free < LEAST_FREE_BYTES or share < LEAST_FREE_SHARE:
        return bad("disk", said, "make room, or keep logs for less long: --log-keep-days")
    return good("disk", said)


def _secrets(data_dir: Path) -> Finding:
    """Keys and the database must be closed to others; logs may hold secrets by accident."""
    if not data_dir.stat().st_mode & 0o077:
        return good("secrets", "nobody else can look into the directory")
    keys = (data_dir / DATABASE, data_dir / "setup-token", *data_dir.glob("pki/*"))
    readable = [path.name for path in keys if path.exists() and path.stat().st_mode & 0o077]
    closed = not (data_dir / "pki").exists() or not (data_dir / "pki").stat().st_mode & 0o077
    if [name for name in readable if not closed or name in (DATABASE, "setup-token")]:
        return bad("secrets", f"others can read {', '.join(readable)}", f"chmod -R go= {data_dir}")
    return note("secrets", "others can read the logs", f"chmod 700 {data_dir}")
