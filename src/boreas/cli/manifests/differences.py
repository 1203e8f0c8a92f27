"""What stands between a file and the server: a list of changes, and the words for them. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from boreas.cli.client import Json
from boreas.cli.manifests.documents import Item

MISSING = "(not set)"
NESTED = ("health_check", "approval_policy", "git", "artifacts", "config")
"""The server fills in defaults here: only what the file says is compared."""


class Deed(StrEnum):
    """What is done to a thing."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    CLASH = "clash"
    """It would have to change, and can never change."""


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
    """The environment of a target."""
    fields: Mapping[str, Any] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        """The change for people."""
        mark = {Deed.CREATE: "+", Deed.UPDATE: "~", Deed.DELETE: "-", Deed.CLASH: "!"}[self.deed]
        where = f" in {self.inside}" if self.inside else ""
        yield f"{mark} {self.noun} {self.name}{where}"
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


def compare(
    noun: str, wanted: Sequence[Item], present: Sequence[Json], *, prune: bool, inside: str = ""
) -> Iterator[Change]:
    """The changes that bring what is present to what is wanted."""
    by_name = {str(each["name"]): each for each in present}
    for item in wanted:
        existing = by_name.get(item.name)
        if existing is None:
            yield Change(
                deed=Deed.CREATE,
                noun=noun,
                name=item.name,
                item=item,
                inside=inside,
                fields=item.fields,
            )
        elif changed := changed_fields(item.fields, existing):
            yield Change(
                deed=Deed.UPDATE,
                noun=noun,
                name=item.name,
                item=item,
                existing=existing,
                details=tuple(changed.values()),
                inside=inside,
                fields={name: item.fields[name] for name in changed},
            )
    if prune:
        names = {item.name for item in wanted}
        for name, existing in by_name.items():
            if name not in names:
                yield Change(
                    deed=Deed.DELETE, noun=noun, name=name, existing=existing, inside=inside
                )


def changed_fields(wanted: Mapping[str, Any], existing: Json) -> dict[str, str]:
    """Which given fields differ, each with its line `field: old -> new`."""
    return {
        name: f"{name}: {_short(existing.get(name))} -> {_short(value)}"
        for name, value in wanted.items()
        if not _same(value, existing.get(name), lenient=name in NESTED)
    }


def _same(wanted: Any, existing: Any, *, lenient: bool) -> bool:
    if isinstance(wanted, Mapping) and isinstance(existing, Mapping):
        names = set(wanted) if lenient else set(wanted) | set(existing)
        return all(_same(wanted.get(name), existing.get(name), lenient=lenient) for name in names)
    if isinstance(wanted, list) and isinstance(existing, list):
        pairs = zip(wanted, existing, strict=False)
        return len(wanted) == len(existing) and all(
            _same(one, other, lenient=lenient) for one, other in pairs
        )
    return bool(wanted == existing) or (not wanted and existing in (None, "", {}, []))


def _short(value: Any) -> str:
    if value is None or value == "":
        return MISSING
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= 200 else text[:200] + "..."
