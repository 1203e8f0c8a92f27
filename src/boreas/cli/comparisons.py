"""Two versions side by side, and the commits between them, in lines for people."""

from collections.abc import Iterator, Sequence
from typing import Any

from boreas.cli.client import Json

SIGNS = {"added": "+", "removed": "-", "changed": "~", "same": "="}


def log_lines(commits: Json) -> Iterator[str]:
    """The newest first; what would be taken away after a minus."""
    if commits.get("unavailable"):
        yield f"no commits known: {commits['unavailable']}"
        return
    for sign, key in (("+", "added"), ("-", "removed")):
        for it in commits.get(key) or ():
            date = str(it["date"])[:10]
            yield f"{sign} {str(it['sha'])[:10]} {date} {it['author']}: {it['subject']}"
    if commits.get("truncated"):
        yield "... and more"


def comparison_lines(found: Json, *, everything: bool) -> Iterator[str]:
    """Commits first, then what differs of the version itself, then of each application."""
    yield from log_lines(found["commits"])
    yield from _differences("config", found["config"], everything=everything)
    for it in found["applications"]:
        name = it["application"]
        yield from _differences(f"{name} source", it["images"], everything=everything)
        yield from _differences(f"{name} config", it["config"], everything=everything)
        yield from _differences(f"{name} variable", it["variables"], everything=everything)


def _differences(what: str, found: Sequence[Json], *, everything: bool) -> Iterator[str]:
    for it in found:
        if everything or it["change"] != "same":
            yield f"{SIGNS[str(it['change'])]} {what} {it['name']}: {_sides(it)}"


def _sides(it: Json) -> str:
    if it["change"] in ("same", "removed"):
        return _shown(it["a"])
    if it["change"] == "added":
        return _shown(it["b"])
    return f"{_shown(it['a'])} → {_shown(it['b'])}"


def _shown(value: Any) -> str:
    return str(value)
