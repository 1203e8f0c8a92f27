"""What a reader sees of a stored line: text that is safe to show, a level, a time, a number.

Pure. Lines stay bytes until a reader wants them, so everything here works on one line or one block.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any, Final

from boreas.domain.errors import invalid
from boreas.logs.chunks import BOREAS, MAX_PAYLOAD, STDERR, STDOUT

SPLIT_MARK: Final = f"[line split at {MAX_PAYLOAD} bytes]"
STREAM_NAMES: Final = {STDOUT: "stdout", STDERR: "stderr", BOREAS: "boreas"}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Level(IntEnum):
    """How much a line matters; a filter by level means that level and worse."""

    DEBUG = 1
    INFO = 2
    WARN = 3
    ERROR = 4


_WORDS: Final = (
    (Level.ERROR, (b"ERROR", b"FATAL", b"CRITICAL", b"error:")),
    (Level.WARN, (b"WARN",)),
    (Level.DEBUG, (b"DEBUG", b"TRACE")),
)
_ALIASES: Final = {"warning": "warn", "err": "error", "fatal": "error", "trace": "debug"}


def level_of(line: bytes) -> Level:
    """Told by the text alone: well-behaved programs write progress to stderr."""
    for level, words in _WORDS:
        for word in words:
            if word in line:
                return level
    return Level.INFO


def level_named(name: str) -> Level:
    """The level a person asked for."""
    wanted = name.strip().lower()
    try:
        return Level[_ALIASES.get(wanted, wanted).upper()]
    except KeyError:
        raise invalid("level", f"{name!r} is not known", "use debug, info, warn or error") from None


def may_hold(block: bytes, least: Level) -> bool:
    """False only when no line of the block can be of this level or worse."""
    if least <= Level.INFO:
        return True
    return any(word in block for level, words in _WORDS if level >= least for word in words)


def timestamp_of(micros: int) -> str:
    """ISO 8601 in UTC with milliseconds."""
    moment = _EPOCH + timedelta(microseconds=micros)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def micros_of(moment: datetime) -> int:
    """Microseconds since the epoch."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def text_of(line: bytes) -> str:
    """The line for people: broken UTF-8 as backslash escapes, all else (ANSI, NUL) as it came."""
    return line.removesuffix(b"\r").decode("utf-8", "backslashreplace")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of a task's log.

    `seq` counts 1, 2, 3 ... inside a task without holes. `partial` marks the beginning of a line
    that has no end yet; such a one has no number (`seq` is 0) and comes again when it is whole.
    `moment` orders lines of several tasks: its time, but never before an earlier line of its task.
    """

    seq: int
    micros: int
    moment: int
    level: Level
    message: str
    stream: str
    target: str
    execution_id: str
    partial: bool = False

    @property
    def timestamp(self) -> str:
        """When the line was read from its pipe."""
        return timestamp_of(self.micros)

    def as_json(self) -> dict[str, Any]:
        """The shape clients get."""
        shape = {
            "timestamp": timestamp_of(self.micros),
            "level": self.level.name.lower(),
            "message": self.message,
            "seq": self.seq,
            "stream": self.stream,
            "target": self.target,
            "executionId": self.execution_id,
        }
        return {**shape, "partial": True} if self.partial else shape
