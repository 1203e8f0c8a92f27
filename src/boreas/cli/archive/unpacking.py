"""Bring a backup back: beside the old directory first, checked, then put in its place.

Members are written by hand, plain files under plain names only: an archive is somebody's input.
"""

import json
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any, Final

from boreas.cli.archive.data_dir import (
    DATABASE,
    integrity_of,
    make_newer_than_all_agents,
    refuse_if_in_use,
)
from boreas.cli.archive.packing import CONTENT, FORMAT, MANIFEST
from boreas.cli.failures import Failure, usage

AGENT: Final = "agent"
"""The directory of the agent beside the server (`--with-agent`)."""


def unpack(archive: Path, data_dir: Path, *, now_ms: int, keep_old: bool) -> dict[str, Any]:
    """Restore into `data_dir`; what was restored. Raises `Failure` and leaves the old as it was.

    With `keep_old` an existing directory is moved aside; else it must be empty or missing.
    """
    refuse_if_in_use(data_dir)
    if _is_used(data_dir) and not keep_old:
        mend = "choose an empty one, or move it aside with --replace"
        raise usage(f"{data_dir} is not empty", mend=mend)
    fresh = data_dir.with_name(f"{data_dir.name}.restoring")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        manifest = _extract(archive, fresh)
        fence = _make_usable(fresh / DATABASE, now_ms) if manifest.get("database") else None
        old = _put_in_place(fresh, data_dir, now_ms)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return {**manifest, "data_dir": str(data_dir), "fence": fence, "old": old}


def _is_used(data_dir: Path) -> bool:
    return data_dir.exists() and any(data_dir.iterdir())


def _extract(archive: Path, fresh: Path) -> dict[str, Any]:
    fresh.mkdir(mode=0o700, parents=True)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            manifest = _manifest(tar, archive)
            for entry in tar:
                _write(tar, entry, fresh)
    except FileNotFoundError:
        raise usage(f"there is no file {archive}") from None
    except (OSError, EOFError, tarfile.TarError) as error:
        raise usage(f"{archive} cannot be read: {error}") from error
    return manifest


def _manifest(tar: tarfile.TarFile, archive: Path) -> dict[str, Any]:
    first = tar.next()
    file = tar.extractfile(first) if first is not None and first.name == MANIFEST else None
    if file is None:
        raise usage(f"{archive} is no backup of Boreas")
    manifest: dict[str, Any] = json.loads(file.read(100_000))
    if manifest.get("format") != FORMAT:
        raise usage(f"{archive} was written by {manifest.get('version')}, which is not understood")
    return manifest


def _write(tar: tarfile.TarFile, entry: tarfile.TarInfo, fresh: Path) -> None:
    name = PurePosixPath(entry.name)
    source = tar.extractfile(entry) if entry.isreg() else None
    if source is None or name.parts[:1] != (CONTENT,) or ".." in name.parts:
        return
    target = fresh.joinpath(*name.parts[1:])
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with target.open("xb") as file:
        shutil.copyfileobj(source, file)
    # Never set-uid, never writable by others, whatever the archive says.
    target.chmod(entry.mode & 0o755 | 0o600)


def _make_usable(database: Path, now_ms: int) -> int:
    if (found := integrity_of(database)) != "ok":
        raise Failure(f"the database in the backup is damaged: {found}")
    return make_newer_than_all_agents(database, now_ms=now_ms)


def _put_in_place(fresh: Path, data_dir: Path, now_ms: int) -> str | None:
    old: Path | None = None
    if _is_used(data_dir):
        old = data_dir.with_name(f"{data_dir.name}.before-{now_ms}")
        data_dir.rename(old)
        if (old / AGENT).is_dir():
            # It did go on since the backup, and must remember what it did.
            (old / AGENT).rename(fresh / AGENT)
    elif data_dir.exists():
        data_dir.rmdir()
    fresh.rename(data_dir)
    return str(old) if old else None
