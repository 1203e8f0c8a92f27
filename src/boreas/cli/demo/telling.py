"""What the demo says at its end: what happened, and where to look. Pure."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from boreas.cli.demo.story import Ending
from boreas.cli.demo.world import ADMIN, World
from boreas.cli.names import title
from boreas.cli.watching.model import DeploymentView
from boreas.cli.watching.words import said, span


def rows(endings: Sequence[Ending]) -> list[dict[str, Any]]:
    """One row per deployment."""
    found = []
    for ending in endings:
        view = DeploymentView.of(ending.found)
        seconds = (
            (view.completed_at - view.started_at).total_seconds()
            if view.completed_at and view.started_at
            else 0.0
        )
        found.append(
            {
                "deployment": title(ending.found),
                "version": ending.chapter.version,
                "what": ending.chapter.told,
                "ended": said(view.state),
                "seconds": round(seconds, 1),
                "asItShould": ending.as_it_should,
                "why": view.error,
            }
        )
    return found


def row_lines(table: Sequence[Mapping[str, Any]]) -> list[str]:
    """The table for people."""
    lines = []
    for row in table:
        mark = "✔" if row["asItShould"] else "✘"
        took = span(row["seconds"])
        lines.append(
            f"{mark} {row['deployment']:<4} {row['version']}  {row['ended']:<12} {took:>5}"
        )
        lines.append(f"       {row['what']}")
        if row["why"]:
            lines.append(f"       {row['why']}")
    return lines


def where_to_look(world: World, password: str) -> list[str]:
    """URL, login and the commands to try."""
    boreas = command()
    return [
        f"Server   {world.url}   (user {ADMIN}, password {password})",
        f"Shell    . {world.env_file}",
        f"         {boreas} list",
        f"         {boreas} status latest",
        f"         {boreas} logs latest --level warn",
        f"         {boreas} deploy shop prod v1 --app web --strategy rolling:2 --watch",
        f"Files    {world.directory}",
    ]


def command() -> str:
    """How this `boreas` is called from a shell."""
    found = shutil.which("boreas")
    beside = Path(sys.executable).with_name("boreas")
    if found and Path(found).resolve() == beside.resolve():
        return "boreas"
    return str(beside) if beside.exists() else f"{sys.executable} -m boreas"
