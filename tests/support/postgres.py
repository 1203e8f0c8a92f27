"""A PostgreSQL cluster of our own, under /tmp, on a unix socket only."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from glob import glob
from pathlib import Path

import psycopg
import pytest


def postgres_binaries() -> Path | None:
    """Where `initdb` and `pg_ctl` are, or None."""
    found = sorted(glob("/usr/lib/postgresql/*/bin/initdb"))
    return Path(found[-1]).parent if found else None


class PrivatePostgres:
    """Started with `start`; every test takes a database of its own."""

    def __init__(self, binaries: Path) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="boreas-pg-", dir="/tmp"))
        self._binaries = binaries
        self._names = 0
        self._as_other: list[str] = []
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root.
            shutil.chown(self.home, "postgres", "postgres")
            self._as_other = [
                "setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups",
            ]  # fmt: skip

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_other, str(self._binaries / program), *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=self.home, timeout=60)

    def start(self) -> None:
        """Make the cluster and start it."""
        self._run("initdb", "-D", self._data, "-U", "boreas", "-A", "trust", "--no-sync", "-EUTF8")
        self.start_again()

    def start_again(self) -> None:
        """Start it after `stop_for_now`."""
        options = f"-c listen_addresses= -c unix_socket_directories={self.home} -c fsync=off"
        log = str(self.home / "log")
        self._run("pg_ctl", "-D", self._data, "-l", log, "-w", "-o", options, "start")

    def stop_for_now(self) -> None:
        """Stop at once, as a crash would; the data stays."""
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")

    def stop(self) -> None:
        """Stop and remove everything."""
        with suppress(subprocess.SubprocessError):
            self.stop_for_now()
        shutil.rmtree(self.home, ignore_errors=True)

    def new_database(self) -> str:
        """The URL of an empty database."""
        self._names += 1
        name = f"t{self._names}"
        with psycopg.connect(
            host=str(self.home), user="boreas", dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        return f"postgresql://boreas@/{name}?host={self.home}"

    @property
    def _data(self) -> str:
        return str(self.home / "data")


def running_postgres() -> Iterator[PrivatePostgres]:
    """A cluster until the fixture that yields from this one ends; skips without PostgreSQL."""
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL binaries in /usr/lib/postgresql")
    cluster = PrivatePostgres(binaries)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
