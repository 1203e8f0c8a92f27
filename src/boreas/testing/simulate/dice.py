"""All chance in a run: one generator, seeded once. Nothing else may be random."""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """Choices in the words of the simulator."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def chance(self, probability: float) -> bool:
        """True this often; no number is drawn for what can never be."""
        return probability > 0 and self._random.random() < probability

    def whole(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return low + int(self._random.random() * (high - low + 1))

    def between(self, low: float, high: float) -> float:
        """A number with three digits after the point, so that times stay readable."""
        return round(low + self._random.random() * (high - low), 3)

    def pick(self, choices: Sequence[T]) -> T:
        """One of them, each as likely."""
        return choices[int(self._random.random() * len(choices))]

    def weighted(self, choices: Sequence[tuple[float, T]]) -> T:
        """One of them, as likely as its weight says."""
        at = self._random.random() * sum(weight for weight, _ in choices)
        for weight, choice in choices:
            at -= weight
            if at < 0:
                return choice
        return choices[-1][1]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The same in another order."""
        copy = list(items)
        self._random.shuffle(copy)
        return copy
