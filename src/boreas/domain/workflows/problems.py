"""What is wrong with a template, and where: line, column, the key, and what would be right."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from boreas.domain.errors import FieldError, InvalidInput

MOST_PROBLEMS: Final = 50
"""More are not told: after the first few of them the rest is mostly their echo."""


class Place(NamedTuple):
    """Where something stands in a text; both count from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One complaint; `path` is the key as in `stages[0].tasks[2].when`, empty for the whole."""

    place: Place
    path: str
    problem: str
    mend: str = ""

    @property
    def field(self) -> str:
        """Place and key in one word, for whoever shows only fields."""
        return f"{self.place}: {self.path}" if self.path else str(self.place)


def refused(problems: Sequence[Problem]) -> InvalidInput:
    """All of them in one error; clients find line and column in `parameters.problems`."""
    told = sorted(problems, key=lambda it: it.place)[:MOST_PROBLEMS]
    first = told[0]
    more = f" (and {len(told) - 1} more)" if len(told) > 1 else ""
    mend = f"; {first.mend}" if first.mend else ""
    return InvalidInput(
        f"{first.field} {first.problem}{mend}{more}",
        fields=tuple(FieldError(field=it.field, problem=it.problem, mend=it.mend) for it in told),
        parameters={
            "problems": [
                {
                    "line": it.place.line,
                    "column": it.place.column,
                    "path": it.path,
                    "problem": it.problem,
                    "mend": it.mend,
                }
                for it in told
            ]
        },
    )
