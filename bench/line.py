"""One figure: measured, held against its goal, printed as one JSON line."""

import json
import os
import statistics
from collections.abc import Sequence
from typing import Any


def line(what: str, goal: str, *, reached: bool | None, **figures: Any) -> dict[str, Any]:
    """The load says how far wall-clock figures can be trusted: it should be near what we use."""
    rounded = {name: _rounded(value) for name, value in figures.items()}
    load = round(os.getloadavg()[0], 1)
    return {"what": what, **rounded, "goal": goal, "reached": reached, "load": load}


def say(figures: dict[str, Any]) -> None:
    """Print it at once: somebody may be waiting."""
    print(json.dumps(figures), flush=True)


def percentile(values: Sequence[float], percent: int) -> float:
    """By linear interpolation; the only value there is, if there is only one."""
    if len(values) < 2:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _rounded(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return round(value, 4) if abs(value) < 1 else round(value, 2)
