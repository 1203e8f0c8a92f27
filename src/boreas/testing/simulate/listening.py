"""Hear what the loop only logs: an engine that cannot decide is a breach, not a line in a log."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from boreas.runtime import loop


class Ear:
    """Stands where the loop's logger stands."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def exception(self, text: str, **about: object) -> None:
        """Something failed inside a decision."""
        error = sys.exc_info()[1]
        trace = error.__traceback__ if error else None
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        where = f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}" if trace else "?"
        self.heard.append(f"{text}: {error!r} in {where} ({about.get('deployment')})")

    def warning(self, text: str, **about: object) -> None:
        """A round failed; here no database is ever away, so it must not."""
        self.heard.append(f"{text}: {about.get('reason')}")


@contextmanager
def listening(ear: Ear) -> Iterator[None]:
    """The loop speaks to this ear inside the block."""
    speaker, loop.log = loop.log, ear
    try:
        yield
    finally:
        loop.log = speaker
