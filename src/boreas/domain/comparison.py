"""Two sets of named values side by side: what is the same, added, removed, changed. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from boreas.domain.variables import VariableSnapshot


class Change(StrEnum):
    """What became of a value between two sides."""

    SAME = "same"
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One name on both sides; a side on which it is missing is None."""

    name: str
    change: Change
    a: Any = None
    b: Any = None


def compared(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Every name of either side, sorted.

    >>> [(it.name, it.change.value) for it in compared({"x": 1, "y": 1}, {"y": 2, "z": 1})]
    [('x', 'removed'), ('y', 'changed'), ('z', 'added')]
    """
    return tuple(
        Difference(name=name, change=_change(name, a, b), a=a.get(name), b=b.get(name))
        for name in sorted({*a, *b})
    )


def _change(name: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Change:
    if name not in a:
        return Change.ADDED
    if name not in b:
        return Change.REMOVED
    return Change.SAME if a[name] == b[name] else Change.CHANGED


def compared_variables(a: VariableSnapshot, b: VariableSnapshot) -> tuple[Difference, ...]:
    """The same for variables; of secrets one sees whether they changed, never what they are."""
    found = compared({**a.plain, **a.secret}, {**b.plain, **b.secret})
    return tuple(
        Difference(name=it.name, change=it.change, a=a.shown(it.name), b=b.shown(it.name))
        for it in found
    )


def changes_only(differences: tuple[Difference, ...]) -> tuple[Difference, ...]:
    """Without what is the same on both sides."""
    return tuple(it for it in differences if it.change is not Change.SAME)
