"""Configuration documents by level, merged deeply; the nearest to the target wins.

Objects merge key by key, everything else (lists too) is replaced as a whole. Levels are folded from
the farthest to the nearest: project, application, version, environment.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from boreas.domain.errors import invalid
from boreas.domain.variables import Origin

MOST_BYTES: Final = 32 * 1024
DEEPEST: Final = 16

Config = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenConfig:
    """A value inside a configuration, and who gave it."""

    origin: Origin
    value: Any


ConfigOrigins = Mapping[str, tuple[GivenConfig, ...]]
"""Dotted path of a value -> who gave it, the one that counts first."""


def merged(levels: Sequence[Config]) -> dict[str, Any]:
    """All levels as one document.

    >>> merged([{"db": {"host": "a", "port": 1}}, {"db": {"host": "b"}}])
    {'db': {'host': 'b', 'port': 1}}
    """
    whole: dict[str, Any] = {}
    for level in levels:
        whole = _laid_over(whole, level)
    return whole


def _laid_over(upper: Config, lower: Config) -> dict[str, Any]:
    whole = dict(upper)
    for key, value in lower.items():
        present = whole.get(key)
        if isinstance(present, Mapping) and isinstance(value, Mapping):
            whole[key] = _laid_over(present, value)
        else:
            whole[key] = value
    return whole


def resolved_config(levels: Sequence[tuple[Origin, Config]]) -> ConfigOrigins:
    """Who gave each value of the merged document, and which values that overrode."""
    found: dict[str, tuple[GivenConfig, ...]] = {}
    counting = leaves(merged([config for _, config in levels]))
    for origin, config in levels:
        for path, value in leaves(config).items():
            given = GivenConfig(origin=origin, value=value)
            found[path] = (given, *found.get(path, ()))
    return {path: found[path] for path in sorted(counting) if path in found}


def leaves(config: Config) -> dict[str, Any]:
    """Every value that is no object (or an empty one) by its dotted path."""
    return dict(_leaves(config, ""))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping) or (path and not value):
        yield path, value
        return
    for key, inner in value.items():
        yield from _leaves(inner, f"{path}.{key}" if path else str(key))


def check_config(config: Config, *, at: str = "config") -> None:
    """`InvalidInput` when it is too large or too deep to travel in an order."""
    if _depth(config) > DEEPEST:
        raise invalid(at, f"is nested deeper than {DEEPEST}", "make it flatter")
    used = len(json.dumps(config, ensure_ascii=False).encode(errors="replace"))
    if used > MOST_BYTES:
        problem = f"takes {used} bytes, and {MOST_BYTES} is the most"
        raise invalid(at, problem, "put large values into a file of the task")


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, Mapping) else value
    if isinstance(value, Mapping | list | tuple):
        return 1 + max((_depth(each) for each in inner), default=0)
    return 0
