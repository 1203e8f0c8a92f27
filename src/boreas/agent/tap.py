"""From a pipe of a command into the order's spool, and how long to wait for its last words.

Part of the keeper (`shim.py`); imports little.
"""

import os

from boreas.agent.spoolfile import SpoolFile
from boreas.agent.veil import Veil
from boreas.kit.stamp import monotonic, now_us
from boreas.logs.chunks import OutputSplitter

PARTIAL_LINE_SECONDS = 0.2
READ_BYTES = 256 * 1024

# A full spool that is being emptied holds its command back instead of losing lines; when nothing
# was taken from it for this long nobody is listening, and the command must not hang for that.
PATIENCE_SECONDS = 5.0

# After the command has ended, what it left in the pipes (a `tee` that still flushes) is waited for
# this long in silence, and no longer than the second figure: a daemon may keep the pipe for ever.
DRAIN_SILENCE_SECONDS = 0.2
DRAIN_AT_MOST_SECONDS = 2.0


class Tap:
    """One pipe of the command, on its way into the spool."""

    def __init__(self, fd: int, stream: int, spool: SpoolFile, veil: Veil | None = None) -> None:
        self._fd = fd
        self._spool = spool
        # Before the splitter: a secret is found wherever lines and reads are cut.
        self._masker = veil.masker() if veil is not None else None
        self._splitter = OutputSplitter(stream)
        self._last_read = 0.0

    @property
    def holds_back(self) -> bool:
        masks = self._masker is not None and self._masker.holds_back
        return masks or self._splitter.holds_back

    def pump(self) -> bool:
        """Move what is there; False at the end of the pipe."""
        try:
            read = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return True
        if read:
            self._last_read = monotonic()
            said = read if self._masker is None else self._masker.feed(read)
            self._spool.append(self._splitter.feed(said, now_us()))
        return bool(read)

    def flush_idle(self) -> None:
        """Show an unfinished line (a prompt, a progress dot) that has waited long enough."""
        if self.holds_back and monotonic() - self._last_read >= PARTIAL_LINE_SECONDS:
            if self._masker is not None:
                self._spool.append(self._splitter.feed(self._masker.idle(), now_us()))
            self._spool.append(self._splitter.flush_idle(now_us()))

    def end(self) -> None:
        """Close an unfinished line, or the next command would go on in it."""
        if self._masker is not None:
            self._spool.append(self._splitter.feed(self._masker.end(), now_us()))
        self._spool.append(self._splitter.end(now_us()))


class Brake:
    """Holds a command back that prints faster than the server stores."""

    def __init__(self, spool: SpoolFile) -> None:
        self._spool = spool
        self._base = -1
        self._since = 0.0

    def holds(self) -> bool:
        """Leave what it prints in its pipe: there will be room."""
        if not self._spool.is_full():
            return False
        base, now = self._spool.base(), monotonic()
        if base != self._base:
            self._base, self._since = base, now
        return now - self._since < PATIENCE_SECONDS


class Drain:
    """The short wait for the last words after the command itself has ended."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._last = 0.0

    def begin(self) -> None:
        if self._began is None:
            self._began = self._last = monotonic()

    def touch(self) -> None:
        self._last = monotonic()

    def hold(self) -> None:
        """Nobody may read now: the wait has not begun yet."""
        self._began = None

    def is_done(self) -> bool:
        assert self._began is not None
        now = monotonic()
        silent = now - self._last >= DRAIN_SILENCE_SECONDS
        return silent or now - self._began >= DRAIN_AT_MOST_SECONDS
