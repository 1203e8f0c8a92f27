"""What the command line may know of a data directory: its names, who uses it, its database file.

The only place outside `boreas.store` that opens the SQLite file, and never to change a deployment.
"""

import fcntl
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from boreas.cli.exits import ExitCode
from boreas.cli.failures import Failure

DATABASE: Final = "boreas.db"
LOCK: Final = "boreas.db.lock"
FENCE: Final = "boreas_fence"
OUTBOX: Final = "boreas_outbox"
FENCE_LEAP: Final = 1_000_000


def holder_of(data_dir: Path) -> str | None:
    """Who runs on this directory: the words in its lock, or None when nobody holds it."""
    try:
        descriptor = os.open(data_dir / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        said = os.pread(descriptor, 500, 0).decode(errors="replace").strip()
        return said or "another process"
    finally:
        os.close(descriptor)
    return None


def quic_address_of(holder: str) -> str | None:
    """Where the server that wrote a lock's words (`… at HOST:PORT, …`) listens for agents."""
    found = re.search(r" at (\S+:\d+)", holder)
    return found[1] if found else None


def refuse_if_in_use(data_dir: Path) -> None:
    """Raise `Failure` (conflict) while a server runs on the directory."""
    holder = holder_of(data_dir)
    if holder is not None:
        raise Failure(
            f"a server runs on {data_dir} ({holder})",
            exit_code=ExitCode.CONFLICT,
            mend="stop it first",
        )


def copy_database(source: Path, target: Path) -> None:
    """A consistent copy, also while a server writes: SQLite's own online backup."""
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=30)) as before,
        closing(sqlite3.connect(target)) as after,
    ):
        # In one go: copied in steps, it would begin anew at every commit in between.
        before.backup(after)
        after.execute("PRAGMA journal_mode=DELETE")
    target.chmod(0o600)


def integrity_of(database: Path) -> str:
    """`ok`, or what SQLite found broken."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
        rows = connection.execute("PRAGMA integrity_check(5)").fetchall()
        broken = connection.execute("PRAGMA foreign_key_check").fetchmany(5)
    words = [str(row[0]) for row in rows]
    if words == ["ok"] and broken:
        return f"rows point at nothing: {', '.join(str(row[0]) for row in broken)}"
    return "; ".join(words)


def make_newer_than_all_agents(database: Path, *, now_ms: int) -> int:
    """Draw the fencing numbers of a restored database far beyond any that were handed out.

    Agents refuse fences below the highest they have seen, and some saw numbers that were drawn
    after the backup. Milliseconds since the epoch outrun any counter that starts below them, and
    grow from one restore to the next. Servers of the old life are forgotten. The new number.
    """
    fence = now_ms
    with closing(sqlite3.connect(database)) as connection, connection:
        for name in (FENCE, OUTBOX):
            row = connection.execute("SELECT value FROM counters WHERE name = ?", (name,))
            value = max([int(number) for (number,) in row.fetchall()] or [0])
            fence = max(fence, value + FENCE_LEAP)
            connection.execute(
                "INSERT INTO counters (name, value) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (name, fence),
            )
        connection.execute("UPDATE servers SET lease_until = 0")
    return fence
