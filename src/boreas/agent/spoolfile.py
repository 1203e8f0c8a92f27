"""An order's spool: a file of whole log chunks, written by several processes, read by the uploader.

Writers are the keepers of commands (`shim.py`) and the agent itself (`Workspace.say`); they take a
lock for each append. Whoever finds a torn tail (a writer died, the disk was full) cuts it back to
the last whole chunk. Offsets never change: what the server has stored is punched out of the file,
so the file stays sparse and `base` says below which offset nothing is there any more.

Imports little: it is loaded into every keeper.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator

from boreas.kit.stamp import now_us
from boreas.logs.chunks import HEADER, MAX_PAYLOAD, BadChunk, decode, spoken, whole_length

# What one order may keep on this node while the server cannot be reached. Past it output is dropped
# and counted: a chatty command must not fill the disk of the application it deploys.
DEFAULT_LIMIT = 64 * 1024 * 1024

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_WALK_BYTES = 1024 * 1024


def sound_length(block: bytes) -> int:
    """How many bytes of `block`, which starts at a chunk border, are whole and sound chunks."""
    try:
        return whole_length(block)
    except BadChunk:
        length = 0
        with contextlib.suppress(BadChunk):
            for chunk in decode(block):
                length += chunk.size
        return length


class SpoolFile:
    """One opened spool. Any number of processes may hold it open at the same time."""

    def __init__(self, path: str, *, limit: int = DEFAULT_LIMIT) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._base_path = path + ".base"
        self._limit = limit
        self._end = self.base()
        self._dropped = 0
        self._why_dropped = ""

    def base(self) -> int:
        """The offset below which everything is stored by the server."""
        try:
            with open(self._base_path, "rb") as file:
                return int.from_bytes(file.read(8), "big")
        except FileNotFoundError:
            return 0

    def append(self, chunks: bytes) -> bool:
        """Add whole chunks; False when there was no room and they were dropped and counted."""
        if not chunks:
            return True
        with self._locked():
            self._end = self._border()
            is_full = self.is_full()
            if not is_full and self._write_drop_note() and self._write(chunks):
                return True
            self._dropped += len(chunks)
            self._why_dropped = "the spool is full" if is_full else "no space left on the disk"
            return False

    def note_drops(self) -> None:
        """Say how much was dropped, past the limit if need be; called once, at the end."""
        with self._locked():
            self._end = self._border()
            self._write_drop_note()

    def size(self) -> int:
        """The offset after the last whole chunk; cuts a torn tail."""
        with self._locked():
            self._end = self._border()
            return self._end

    def read_block(self, offset: int, *, at_most: int) -> bytes:
        """Whole chunks from `offset`, a border, on; at least one if one is there."""
        block = os.pread(self._fd, max(at_most, MAX_PAYLOAD + HEADER.size), offset)
        length = sound_length(block)
        while length > at_most:
            shorter = sound_length(block[: min(at_most, length - 1)])
            if shorter == 0:
                break
            length = shorter
        return block[:length]

    def set_base(self, offset: int) -> None:
        """Everything below `offset` is stored elsewhere, and may be punched out.

        A file shorter than `offset` (somebody removed it) is stretched, so that what comes next
        never gets an offset that the server already knows.
        """
        with self._locked():
            temporary = self._base_path + ".new"
            with open(temporary, "wb") as file:
                file.write(offset.to_bytes(8, "big"))
            os.replace(temporary, self._base_path)
            if os.fstat(self._fd).st_size < offset:
                os.ftruncate(self._fd, offset)
            self._end = max(self._end, offset)

    def fileno(self) -> int:
        return self._fd

    def sync(self) -> None:
        """Make it durable; a full disk is not an error here."""
        with contextlib.suppress(OSError):
            os.fdatasync(self._fd)

    def close(self) -> None:
        os.close(self._fd)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _border(self) -> int:
        size = os.fstat(self._fd).st_size
        if self._end == size:
            return size
        # Below the base there may be a hole, whose zeros are no chunks.
        position = max(self._end if self._end <= size else 0, self.base())
        while position < size:
            length = sound_length(os.pread(self._fd, _WALK_BYTES, position))
            if length == 0:
                os.ftruncate(self._fd, position)
                break
            position += length
        return position

    def is_full(self) -> bool:
        """No more may be kept until the server has taken some."""
        return os.fstat(self._fd).st_blocks * 512 >= self._limit

    def _write_drop_note(self) -> bool:
        if not self._dropped:
            return True
        note = f"{self._dropped} bytes dropped: {self._why_dropped}"
        if not self._write(spoken(note, now_us())):
            return False
        self._dropped = 0
        return True

    def _write(self, chunks: bytes) -> bool:
        try:
            written = os.pwrite(self._fd, chunks, self._end)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            written = 0
        if written < len(chunks):
            os.ftruncate(self._fd, self._end)
            return False
        self._end += written
        return True
