"""Where a process's own log goes: a stream that may fail, and must not take the process along."""

import contextlib
import logging
import sys
from typing import TextIO, cast

import structlog
from structlog.typing import Processor


def log_to_stderr(renderer: Processor) -> None:
    """Every line this process says of itself: level, time in UTC, fields, tracebacks."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(unfailing(sys.stderr)),
        cache_logger_on_first_use=True,
    )


def unfailing(stream: TextIO) -> TextIO:
    """The stream, with writes that are dropped where they would raise."""
    return cast(TextIO, _Unfailing(stream))


class _Unfailing:
    """Writes to another stream while that can be written; a line that cannot be is dropped.

    The log often lies on the very disk that is full, or in a pipe whose reader went away. A server
    that died of saying so would lose more than the line.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """As much of the text as the stream takes: all of it or nothing."""
        with contextlib.suppress(OSError, ValueError):
            return self._stream.write(text)
        return 0

    def flush(self) -> None:
        """Push what is buffered out, if that works."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()
