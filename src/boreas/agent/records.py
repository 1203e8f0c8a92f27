"""An append-only file of checked records: the journal's ground.

Each record is `u32 length | u32 CRC-32 | bytes`. `append` is durable when it returns. A torn or
rotten tail is cut when the file is opened: what stands behind it cannot be trusted.
"""

import contextlib
import os
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

MAGIC = b"BOREASJ1"
MAX_RECORD = 1024 * 1024

_HEAD = struct.Struct(">II")


class NotAJournal(Exception):
    """The file begins with something else; it is left alone."""


class RecordFile:
    """One writer at a time; the agent's lock on its data directory sees to that."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = self._open()
        self._size = 0
        self.cut_bytes = 0

    @property
    def size(self) -> int:
        return self._size

    def read(self) -> list[bytes]:
        """All sound records from the start; cuts the file behind them."""
        content = self._path.read_bytes()
        records, end = sound_records(content)
        self.cut_bytes = len(content) - end
        if self.cut_bytes:
            self._keep_aside(content[end:])
            os.ftruncate(self._fd, end)
            os.fsync(self._fd)
        self._size = end
        return records

    def append(self, records: Iterable[bytes]) -> None:
        """Write all of them or none, durably. Raises OSError and leaves the file as it was."""
        block = b"".join(_framed(record) for record in records)
        try:
            written = os.pwrite(self._fd, block, self._size)
            if written < len(block):
                raise OSError(28, os.strerror(28))
            os.fsync(self._fd)
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise
        self._size += len(block)

    def rewrite(self, records: Iterable[bytes]) -> None:
        """Put these records in place of all others, atomically."""
        new = self._path.with_suffix(".new")
        with new.open("wb") as file:
            file.write(MAGIC + b"".join(_framed(record) for record in records))
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self._path)
        self._sync_directory()
        os.close(self._fd)
        self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        self._size = os.fstat(self._fd).st_size

    def close(self) -> None:
        os.close(self._fd)

    def _open(self) -> int:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        start = os.pread(fd, len(MAGIC), 0)
        if start != MAGIC[: len(start)]:
            os.close(fd)
            raise NotAJournal(f"{self._path} is not a journal of this agent version")
        if len(start) < len(MAGIC):
            os.pwrite(fd, MAGIC, 0)
            os.fsync(fd)
            self._sync_directory()
        return fd

    def _sync_directory(self) -> None:
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _keep_aside(self, tail: bytes) -> None:
        with contextlib.suppress(OSError):
            self._path.with_suffix(".cut").write_bytes(tail)


def sound_records(content: bytes) -> tuple[list[bytes], int]:
    """The records up to the first unsound one, and where that begins."""
    records = []
    position = len(MAGIC)
    while position + _HEAD.size <= len(content):
        length, check = _HEAD.unpack_from(content, position)
        record = content[position + _HEAD.size : position + _HEAD.size + length]
        if length > MAX_RECORD or len(record) < length or zlib.crc32(record) != check:
            break
        records.append(record)
        position += _HEAD.size + length
    return records, position


def _framed(record: bytes) -> bytes:
    return _HEAD.pack(len(record), zlib.crc32(record)) + record
