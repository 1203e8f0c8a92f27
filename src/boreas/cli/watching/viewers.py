"""Who looks: a terminal that is drawn over and over, a pipe that gets a line per change, nobody."""

import sys
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from boreas.cli.client import Json
from boreas.cli.output import Output, console, plain
from boreas.cli.watching.model import DeploymentView
from boreas.cli.watching.plain import changes

if TYPE_CHECKING:
    from rich.console import RenderableType


class LineViewer:
    """Says each change in a line; to stderr when stdout belongs to a JSON document."""

    wants_log = False

    def __init__(self, out: Output) -> None:
        self._out = out
        self._before: DeploymentView | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_ended: object) -> None:
        pass

    def show(self, found: Json, log: Sequence[str], now: datetime) -> None:
        """Say what is new."""
        view = DeploymentView.of(found)
        for line in changes(self._before, view):
            if self._out.is_json:
                self._out.say(line)
            else:
                sys.stdout.write(plain(line) + "\n")
                sys.stdout.flush()
        self._before = view


class ScreenViewer:
    """Draws the whole deployment in place, again and again."""

    wants_log = True

    def __init__(self) -> None:
        from rich.live import Live

        self._live = Live(
            console=console(), refresh_per_second=8, vertical_overflow="crop", transient=False
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, found: Json, log: Sequence[str], now: datetime) -> None:
        """Draw it."""
        self._live.update(self._drawn(found, log, now))

    def _drawn(self, found: Json, log: Sequence[str], now: datetime) -> "RenderableType":
        from boreas.cli.watching.screen import draw

        return draw(DeploymentView.of(found), log, now)


def viewer_for(out: Output) -> LineViewer | ScreenViewer:
    """A screen where there is a terminal, lines everywhere else."""
    if sys.stdout.isatty() and not out.is_json:
        return ScreenViewer()
    return LineViewer(out)
