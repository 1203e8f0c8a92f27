"""Does it find anything? Play seeds with a bug planted by hand until a law is broken.

The bugs live in a file of the tests (tests/engine/simulator/planted_bugs.py): a list `PLANTED` of
`Planted`. `--mutants FILE` prints the table that docs/simulator.md keeps.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location

from boreas.testing.simulate.simulation import Breach, Simulation
from boreas.testing.simulate.weather import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A bug: its name, what was done to the code, and the way to do it for a while."""

    name: str
    what: str
    plant: Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Find:
    """After how many seeds a planted bug was found, and by which law; None: it was not."""

    seeds: int
    breach: Breach | None


def hunt(bug: Planted, limits: Limits, *, most_seeds: int) -> Find:
    """Play seeds 1, 2, 3, ... with this bug planted."""
    with bug.plant():
        for seed in range(1, most_seeds + 1):
            breach = Simulation(seed, limits).play().breach
            if breach is not None:
                return Find(seeds=seed, breach=breach)
    return Find(seeds=most_seeds, breach=None)


def planted_in(path: str) -> Sequence[Planted]:
    """The list of bugs in this file."""
    spec = spec_from_file_location("planted_bugs", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = module_from_spec(spec)
    sys.modules["planted_bugs"] = module
    spec.loader.exec_module(module)
    bugs: Sequence[Planted] = module.PLANTED
    return bugs


def print_table(path: str, limits: Limits, *, most_seeds: int) -> int:
    """A Markdown table; exit code 1 if a bug was not found."""
    lines = ["| bug | what was done | found after | by the law |", "| --- | --- | --- | --- |"]
    missed = 0
    for bug in planted_in(path):
        find = hunt(bug, limits, most_seeds=most_seeds)
        missed += find.breach is None
        law = f"`{find.breach.law}`" if find.breach else "not found"
        seeds = f"{find.seeds} seed{'s' if find.seeds > 1 else ''}"
        lines.append(f"| {bug.name} | {bug.what} | {seeds} | {law} |")
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if missed else 0
