"""What stands between a file and the server: a list of changes, and the words for them. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from boreas.cli.client import Json
from boreas.cli.manifests.documents import Item
from boreas.domain.manifests.sources import Source

MISSING = "(not set)"


class Deed(StrEnum):
    """What is done to a thing."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    CLASH = "clash"
    """It would have to change, and can never change."""
    KEEP = "keep"
    """Nothing, although no file names it; the details say why. No difference."""


MARKS = {Deed.CREATE: "+", Deed.UPDATE: "~", Deed.DELETE: "-", Deed.CLASH: "!", Deed.KEEP: "="}


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A secret that a change has to send; `part` is its name in the request."""

    part: str
    source: Source | None
    at: str
    """The field of the item that names the source, for complaints."""
    has_lines: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing to create, update or delete. `details` are `field: old -> new` lines."""

    deed: Deed
    noun: str
    name: str
    item: Item | None = None
    existing: Json | None = None
    details: tuple[str, ...] = ()
    inside: str = ""
    """The environment of a target, the application or environment of variables."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[Need, ...] = ()
    mend: str = ""
    """Of a clash."""

    @property
    def is_difference(self) -> bool:
        """Is something not as the files say?"""
        return self.deed is not Deed.KEEP

    def lines(self) -> Iterator[str]:
        """The change for people."""
        where = f" in {self.inside}" if self.inside else ""
        yield f"{MARKS[self.deed]} {self.noun} {self.name}{where}"
        yield from (f"    {each}" for each in self.details)

    def document(self) -> dict[str, Any]:
        """The change for programs."""
        return {
            "deed": self.deed.value,
            "noun": self.noun,
            "name": self.name,
            "in": self.inside,
            "details": list(self.details),
        }


def differing(wanted: Mapping[str, Any], written: Mapping[str, Any]) -> dict[str, str]:
    """Which given fields differ, each with its line `field: old -> new`."""
    return {
        name: f"{name}: {short(written.get(name))} -> {short(value)}"
        for name, value in wanted.items()
        if not is_same(value, written.get(name))
    }


def is_same(wanted: Any, existing: Any) -> bool:
    """Equal, or both say nothing."""
    return bool(wanted == existing) or (is_nothing(wanted) and is_nothing(existing))


def is_nothing(value: Any) -> bool:
    """Left out, null and empty are the same to a file."""
    return value is None or value in ("", {}, [], ())


def short(value: Any) -> str:
    """A value in one line."""
    if is_nothing(value):
        return MISSING
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text.split())
    return text if len(text) <= 200 else text[:200] + "..."


def missing_names(wanted: Sequence[Item], present: Sequence[str]) -> list[str]:
    """What is there and no file names."""
    named = {item.name for item in wanted}
    return [name for name in present if name not in named]
