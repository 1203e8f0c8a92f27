"""Many seeds, one line: how many, how many steps, and for each breach how to see it again."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from boreas.testing.simulate.ledger import Ledger
from boreas.testing.simulate.shadow import ShadowedLedger
from boreas.testing.simulate.simulation import Played, Simulation
from boreas.testing.simulate.weather import TROUBLES, Limits

SHADOWED = 4
MODULE = "python -m boreas.testing.simulate"


@dataclass(slots=True)
class Tally:
    """What a campaign came to."""

    seeds: int = 0
    steps: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    breaches: list[Played] = field(default_factory=list)

    def add(self, played: Played) -> None:
        """One more run."""
        self.seeds += 1
        self.steps += played.steps
        for state, count in played.ends.items():
            self.ends[state] = self.ends.get(state, 0) + count
        if played.breach is not None:
            self.breaches.append(played)

    def line(self, limits: Limits, *, seconds: float) -> str:
        """One line of JSON."""
        told = {
            "seeds": self.seeds,
            "steps": self.steps,
            "violations": len(self.breaches),
            "deployments": dict(sorted(self.ends.items())),
            "seconds": round(seconds, 1),
            "found": [_told(it, limits) for it in self.breaches[:60]],
        }
        return json.dumps(told)


def _told(played: Played, limits: Limits) -> dict[str, object]:
    assert played.breach is not None
    return {
        "seed": played.seed,
        "step": played.breach.step,
        "law": played.breach.law,
        "text": played.breach.text,
        "replay": replay_command(played.seed, limits),
    }


def replay_command(seed: int, limits: Limits) -> str:
    """How to see this run again, step by step."""
    without = "".join(f" --without {it}" for it in limits.without)
    return f"{MODULE} --seed {seed} --steps {limits.steps}{without} -v"


def simulation_of(seed: int, limits: Limits) -> Simulation:
    """Every fourth seed is played on the in-memory store as well; nothing else differs."""
    return Simulation(seed, limits, ledger_of=Ledger if seed % SHADOWED else ShadowedLedger)


def campaign(seeds: Iterable[int], limits: Limits, *, most_breaches: int = 60) -> Tally:
    """Play these seeds; stops early when more breaches were found than anybody reads."""
    tally = Tally()
    for seed in seeds:
        tally.add(simulation_of(seed, limits).play())
        if len(tally.breaches) >= most_breaches:
            break
    return tally


def shrunk(seed: int, limits: Limits) -> tuple[Limits, Played]:
    """The same law broken with as few kinds of trouble and steps as can be found.

    Switching a trouble off changes what the dice mean afterwards, so this is a search, not a proof:
    what it answers breaks the same law, and is easier to read.
    """
    best = simulation_of(seed, limits).play()
    assert best.breach is not None
    law = best.breach.law
    for trouble in TROUBLES:
        tried = replace(limits, without=(*limits.without, trouble))
        played = simulation_of(seed, tried).play()
        if played.breach is not None and played.breach.law == law:
            limits, best = tried, played
    return _fewer_steps(seed, limits, best, law)


def _fewer_steps(seed: int, limits: Limits, best: Played, law: str) -> tuple[Limits, Played]:
    for steps in _halvings(limits.steps):
        tried = replace(limits, steps=steps)
        played = simulation_of(seed, tried).play()
        if played.breach is not None and played.breach.law == law:
            limits, best = tried, played
    return limits, best


def _halvings(steps: int) -> Sequence[int]:
    return [steps * part // 8 for part in (7, 6, 5, 4, 3, 2, 1)]
