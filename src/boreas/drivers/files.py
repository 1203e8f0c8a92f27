"""Files that drivers keep on a node: written whole or not at all, never through a link.

Everything here is synchronous and small; what may take long is called through `off_loop`.
"""

import asyncio
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

SCRIPT_MODE = 0o700


async def off_loop(work: Callable[..., T], *arguments: Any) -> T:
    """Do file work that may take long in a thread, so that the agent's link goes on."""
    return await asyncio.to_thread(work, *arguments)


def write_whole(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Put a file there by rename: a reader sees the old or the new one, a crash leaves one of them.

    A link under the temporary name is removed, never followed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with open(file, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    os.chmod(fresh, mode)
    os.replace(fresh, path)


def write_script(release_dir: Path, name: str, text: str) -> Path:
    """Put bash into `scripts/<name>.sh` of a release, for its owner's eyes only.

    A user's text becomes a file and never an argument: arguments can be read by every process.
    """
    path = release_dir / "scripts" / f"{name}.sh"
    write_whole(path, text.encode("utf-8", "surrogateescape") + b"\n", mode=SCRIPT_MODE)
    return path


def write_json(path: Path, document: Mapping[str, Any], *, mode: int = 0o600) -> None:
    """Put a document there whole."""
    write_whole(path, json.dumps(document, indent=1, sort_keys=True).encode() + b"\n", mode=mode)


def read_json(path: Path) -> dict[str, Any] | None:
    """The document in a file; None without one. `ValueError` when it cannot be read."""
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    if not isinstance(document, dict):
        raise ValueError(f"{path} does not hold an object")
    return document


def remove_tree(path: Path) -> None:
    """Remove a directory and what is in it; links are removed, never followed."""
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
        return
    shutil.rmtree(path, ignore_errors=False) if path.exists() else None


def point_link(link: Path, target: str) -> None:
    """Make a symbolic link point elsewhere in one step: no reader ever finds it missing."""
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    os.replace(fresh, link)
    _sync_directory(link.parent)


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
