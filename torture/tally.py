"""What one fault came to: a JSON line, and the dose in which it was given."""

import json
import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

_SHOWN_PROBLEMS = 8
_BOOKS = ("tried", "lost", "doubled", "stuck", "wrong_ends")

Counts = tuple[Mapping[str, int], Sequence[str]]
"""What another process counted, and its problems."""


@dataclass(frozen=True, kw_only=True)
class Dose:
    """How often a fault is done, for how long at most, and from which dice."""

    rounds: int
    at_most_seconds: float
    seed: int = 0

    def dice(self) -> random.Random:
        """The same dose throws the same numbers."""
        return random.Random(self.seed)

    def turns(self) -> Iterator[int]:
        """1, 2, ... until all rounds are done or the time is over; at least one."""
        end = time.monotonic() + self.at_most_seconds
        for turn in range(1, self.rounds + 1):
            yield turn
            if time.monotonic() > end:
                return

    def shared_turns(self) -> Iterator[int]:
        """The same for several threads, each of which gets some of them."""
        turns, lock = self.turns(), threading.Lock()

        def next_turn() -> int:
            with lock:
                return next(turns, 0)

        return iter(next_turn, 0)


@dataclass(kw_only=True)
class Tally:
    """The books of one fault. `is_clean` when nothing was lost, doubled, stuck or ended wrongly."""

    fault: str
    tried: int = 0
    lost: int = 0
    doubled: int = 0
    stuck: int = 0
    wrong_ends: int = 0
    slowest_recovery_seconds: float = 0.0
    facts: dict[str, float | str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def is_clean(self) -> bool:
        """Nothing went wrong that must not."""
        return not (self.lost or self.doubled or self.stuck or self.wrong_ends or self.problems)

    def add(self, *, problem: str = "", **counts: int) -> None:
        """Count; from any thread."""
        with self._lock:
            for name, count in counts.items():
                if name in _BOOKS:
                    setattr(self, name, getattr(self, name) + count)
                else:
                    self.facts[name] = float(self.facts.get(name, 0)) + count
            if problem:
                self.problems.append(problem)

    def counts(self) -> Counts:
        """What may be sent to another process, to be absorbed there."""
        books = {name: int(getattr(self, name)) for name in _BOOKS}
        return books | {name: int(it) for name, it in self._numbers()}, self.problems

    def absorb(self, other: Counts) -> None:
        """Count what was counted elsewhere."""
        counts, problems = other
        self.add(**counts)
        for problem in problems:
            self.add(problem=problem)

    def slowest(self, name: str, seconds: float) -> None:
        """Keep the worst of a measured time, and the worst of all recoveries."""
        with self._lock:
            key = f"slowest_{name}_seconds"
            self.facts[key] = round(max(float(self.facts.get(key, 0.0)), seconds), 2)
            self.slowest_recovery_seconds = round(max(self.slowest_recovery_seconds, seconds), 2)

    def slowest_answer(self, seconds: float, *, at_most: float) -> None:
        """Keep the slowest answer, which is no recovery; too slow is a problem."""
        with self._lock:
            known = float(self.facts.get("slowest_answer_seconds", 0.0))
            self.facts["slowest_answer_seconds"] = round(max(known, seconds), 2)
        self.must(seconds <= at_most, f"an answer took {seconds:.1f} s")

    def must(self, condition: object, problem: str) -> None:
        """Note a problem unless the condition holds."""
        if not condition:
            self.add(problem=problem)

    def as_json(self) -> str:
        """One line for people and machines."""
        shown: dict[str, object] = {
            "fault": self.fault,
            "clean": self.is_clean,
            "tried": self.tried,
            "lost": self.lost,
            "doubled": self.doubled,
            "stuck": self.stuck,
            "wrong_ends": self.wrong_ends,
            "slowest_recovery_seconds": self.slowest_recovery_seconds,
            **{name: int(it) if it == it // 1 else it for name, it in self._numbers()},
            **{name: it for name, it in self.facts.items() if isinstance(it, str)},
        }
        if self.problems:
            shown |= {"problems": self.problems[:_SHOWN_PROBLEMS]}
        return json.dumps(shown, ensure_ascii=False)

    def _numbers(self) -> list[tuple[str, float]]:
        return [(name, it) for name, it in self.facts.items() if not isinstance(it, str)]
