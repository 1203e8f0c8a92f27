"""How a fault of the torture package becomes a test: few rounds, and the books must balance."""

from collections.abc import Callable
from pathlib import Path

from torture.tally import Dose, Tally

# Rounds that have begun are finished; a busy machine must not fail a test by being slow.
AT_MOST_SECONDS = 40.0


def must_come_to_nothing(
    fault: Callable[[Path, Dose], Tally], directory: Path, *, rounds: int
) -> None:
    """Do it; nothing may be lost, doubled, stuck or end otherwise than it would have.

    How long things took is held to its limits by `make torture` only.
    """
    tally = fault(directory, Dose(rounds=rounds, at_most_seconds=AT_MOST_SECONDS, seed=3))
    in_time = [problem for problem in tally.problems if "more than" not in problem]
    books = tally.lost, tally.doubled, tally.stuck, tally.wrong_ends
    assert (in_time, books) == ([], (0, 0, 0, 0)), tally.as_json()
