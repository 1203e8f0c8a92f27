"""Disk errors in the words of the domain, and the file operations that must not be done wrong."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from boreas.domain.errors import NoSpace

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def disk_errors(doing: str) -> Iterator[None]:
    """Any `OSError` inside becomes `NoSpace`, saying what could not be done and why."""
    try:
        yield
    except OSError as error:
        reason = "the disk is full" if error.errno in _FULL else error.strerror or str(error)
        raise NoSpace(f"{doing}: {reason}", parameters={"errno": error.errno}) from error


def write_all(fd: int, content: bytes, place: int) -> None:
    """Write everything at this place; a short write goes on until the disk says why."""
    rest = memoryview(content)
    while rest:
        written = os.pwrite(fd, rest, place)
        rest, place = rest[written:], place + written


def sync_directory(directory: Path) -> None:
    """Names made or removed in it are durable afterwards."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
