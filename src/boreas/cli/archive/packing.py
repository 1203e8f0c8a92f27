"""Write a backup: one tar.gz with the database as of one moment, keys, and logs as far as written.

The file holds keys, so only its owner may read it. It appears under its name only when whole.
"""

import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from boreas import __version__
from boreas.cli.archive.data_dir import DATABASE, copy_database, integrity_of
from boreas.cli.failures import Failure, usage

MANIFEST: Final = "boreas-backup.json"
FORMAT: Final = 1
CONTENT: Final = "data"
NOT_KEPT: Final = (
    DATABASE,
    f"{DATABASE}-wal",
    f"{DATABASE}-shm",
    f"{DATABASE}-journal",
    f"{DATABASE}.lock",
    "setup-token",
    "agent",
    "git-mirrors",
)
"""The database goes in as a consistent copy; a lock and a one-time token mean nothing later. The
journal of an agent beside the server must never go back in time: it would do things twice. Mirrors
of repositories are fetched again."""


def pack(data_dir: Path, archive: Path, *, now: datetime) -> dict[str, Any]:
    """Back the directory up into a new file; what was put in, as the manifest says it."""
    if not data_dir.is_dir():
        raise usage(f"there is no directory {data_dir}", mend="name it with --data-dir")
    if archive.exists():
        raise usage(f"{archive} exists already", mend="choose another name")
    draft = archive.with_name(archive.name + ".part")
    try:
        with _private(draft) as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
            manifest = _fill(tar, data_dir, now)
        draft.replace(archive)
    finally:
        draft.unlink(missing_ok=True)
    return manifest


def _private(path: Path) -> io.FileIO:
    path.unlink(missing_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}") from error
    return io.FileIO(descriptor, "w")


def _fill(tar: tarfile.TarFile, data_dir: Path, now: datetime) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="boreas-backup-") as scratch:
        copy = Path(scratch) / DATABASE
        has_database = (data_dir / DATABASE).exists()
        if has_database:
            copy_database(data_dir / DATABASE, copy)
            if (found := integrity_of(copy)) != "ok":
                raise Failure(f"the database is damaged: {found}", mend="see: boreas doctor")
        # After the database: a log that the copy knows is then at least as long as it says.
        files = sorted(_files(data_dir))
        manifest = {
            "format": FORMAT,
            "version": __version__,
            "created_at": now.isoformat(),
            "database": has_database,
            "files": len(files),
        }
        _add_bytes(tar, MANIFEST, json.dumps(manifest, indent=2).encode())
        if has_database:
            tar.add(copy, f"{CONTENT}/{DATABASE}")
        for file in files:
            _add_file(tar, file, f"{CONTENT}/{file.relative_to(data_dir)}")
    return manifest


def _files(data_dir: Path) -> Iterator[Path]:
    for path in data_dir.rglob("*"):
        top = path.relative_to(data_dir).parts[0]
        if top not in NOT_KEPT and path.is_file() and not path.is_symlink():
            yield path


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o600
    tar.addfile(entry, io.BytesIO(content))


def _add_file(tar: tarfile.TarFile, path: Path, name: str) -> None:
    """As long as it is now: a log may grow while it is read, or be compressed away."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        entry = tar.gettarinfo(arcname=name, fileobj=file)
        if entry is not None and entry.isreg():
            tar.addfile(entry, file)
