"""Variables by level: what a command finds in its environment, and why it finds just that.

Levels lie over one another in the order of `LevelKind`: project, application, environment, task.
The nearest to the target wins. Pure; `server.variables` reads the levels, `server.ground` freezes
what comes out into releases.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from boreas.domain.errors import FieldError, InvalidInput
from boreas.domain.ids import ApplicationId, EnvironmentId, ProjectId
from boreas.domain.secrets import SecretRef

MASK: Final = "***"
RESERVED: Final = "BOREAS_"
MOST_PER_LEVEL: Final = 200
LONGEST_NAME: Final = 128
LONGEST_VALUE: Final = 16 * 1024
# An order travels as one frame of at most 256 KiB, and carries specs and configuration besides.
MOST_BYTES: Final = 64 * 1024

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class LevelKind(StrEnum):
    """Where a value may be given; later ones win."""

    PROJECT = "project"
    APPLICATION = "application"
    VERSION = "version"
    """Configuration only: a version carries no variables."""
    ENVIRONMENT = "environment"
    TASK = "task"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One variable as it is stored; exactly one of `value` and `secret` is set.

    `owner_id` is the id of the project, application or environment it belongs to. `size` is the
    length of the value in bytes, also of a secret one.
    """

    id: str
    project_id: ProjectId
    application_id: ApplicationId | None = None
    environment_id: EnvironmentId | None = None
    owner_id: str
    name: str
    value: str | None = None
    secret: SecretRef | None = None
    size: int = 0
    updated_at: datetime
    updated_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The level that gave a value, by kind and name."""

    kind: LevelKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A value at a level: plain, or a reference to a secret."""

    value: str | None = None
    secret: SecretRef | None = None
    size: int = 0

    @property
    def shown(self) -> str:
        """For people's eyes."""
        return MASK if self.value is None else self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """All that one level gives."""

    origin: Origin
    settings: Mapping[str, Setting]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A value, and who gave it."""

    origin: Origin
    setting: Setting


Resolution = Mapping[str, tuple[Given, ...]]
"""Name -> who gave it a value, the one that counts first, then those it overrode, nearest first."""


def settings_of(variables: Iterable[Variable]) -> dict[str, Setting]:
    """What one level's stored variables say."""
    return {
        it.name: Setting(value=it.value, secret=it.secret, size=it.size or len(it.value or ""))
        for it in variables
    }


def plain_settings(values: Mapping[str, str]) -> dict[str, Setting]:
    """Settings of values that are no secrets."""
    return {name: Setting(value=it, size=len(it.encode())) for name, it in values.items()}


def resolve(levels: Sequence[Level]) -> Resolution:
    """Lay the levels over one another, the farthest from the target first."""
    found: Resolution = {}
    for level in levels:
        found = over(found, _alone(level))
    return found


def over(upper: Resolution, lower: Resolution) -> Resolution:
    """Two neighbouring stretches of levels as one; the lower wins. Associative."""
    both = {name: (*lower.get(name, ()), *given) for name, given in upper.items()}
    return {**both, **{name: given for name, given in lower.items() if name not in upper}}


def _alone(level: Level) -> Resolution:
    return {
        name: (Given(origin=level.origin, setting=setting),)
        for name, setting in level.settings.items()
    }


def explained(name: str, given: Sequence[Given]) -> str:
    """One variable in a sentence.

    >>> prod = Origin(kind=LevelKind.ENVIRONMENT, name="prod")
    >>> explained("REPLICAS", [Given(origin=prod, setting=Setting(value="3"))])
    'REPLICAS=3 from environment prod'
    """
    first, *overrode = given
    said = f"{name}={first.setting.shown} from {first.origin}"
    if overrode:
        said += ", overrides " + ", ".join(f"{it.setting.shown} of {it.origin}" for it in overrode)
    return said


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableSnapshot:
    """What was resolved when a deployment was made; it never changes again."""

    plain: Mapping[str, str] = field(default_factory=dict)
    secret: Mapping[str, SecretRef] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    """Name -> the level that gave it, in words."""

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, sorted."""
        return tuple(sorted({*self.plain, *self.secret}))

    def shown(self, name: str) -> str | None:
        """The value for people's eyes; None when there is no such variable."""
        return MASK if name in self.secret else self.plain.get(name)

    def under(self, values: Mapping[str, str], origin: str = LevelKind.TASK) -> "VariableSnapshot":
        """With plain values laid over it."""
        if not values:
            return self
        return VariableSnapshot(
            plain={**self.plain, **values},
            secret={name: ref for name, ref in self.secret.items() if name not in values},
            origins={**self.origins, **dict.fromkeys(values, origin)},
        )


NO_VARIABLES: Final = VariableSnapshot()


def snapshot_of(resolution: Resolution) -> VariableSnapshot:
    """Keep what counts; `InvalidInput` when it is more than an order can carry."""
    counts = {name: given[0] for name, given in resolution.items()}
    used = sum(len(name) + it.setting.size for name, it in counts.items())
    if used > MOST_BYTES:
        largest = max(counts, key=lambda name: counts[name].setting.size)
        problem = f"together they take {used} bytes, and {MOST_BYTES} is the most"
        mend = f"make them smaller; the largest is {largest} from {counts[largest].origin}"
        raise InvalidInput(
            f"variables: {problem}; {mend}",
            fields=(FieldError(field="variables", problem=problem, mend=mend),),
        )
    return VariableSnapshot(
        plain={n: it.setting.value for n, it in counts.items() if it.setting.value is not None},
        secret={n: it.setting.secret for n, it in counts.items() if it.setting.secret is not None},
        origins={name: str(it.origin) for name, it in counts.items()},
    )


def task_variables(payload: Mapping[str, object]) -> dict[str, str]:
    """The plain values that a task's payload gives under `variables`."""
    given = payload.get("variables")
    return (
        {str(name): str(value) for name, value in given.items()}
        if isinstance(given, Mapping)
        else {}
    )


def name_problem(name: str) -> tuple[str, str] | None:
    """What is wrong with a variable's name and how to mend it, or None."""
    if not _NAME.match(name):
        return "is no name for a variable", "write letters, digits and _, no digit first"
    if len(name) > LONGEST_NAME:
        return f"is longer than {LONGEST_NAME} characters", "choose a shorter name"
    if name.upper().startswith(RESERVED):
        return f"starts with {RESERVED}, which Boreas keeps for itself", "choose another name"
    return None


def value_problem(value: str) -> tuple[str, str] | None:
    """What is wrong with a value and how to mend it, or None."""
    if "\0" in value:
        return "has a NUL character, which no environment can hold", "leave it out"
    if any(unicodedata.category(letter) == "Cs" for letter in value):
        return "is not valid Unicode", "write it in UTF-8"
    if len(value.encode()) > LONGEST_VALUE:
        return f"is longer than {LONGEST_VALUE} bytes", "put it into a file of the task"
    return None


def check_variables(items: Sequence[tuple[str, str | None]], *, at: str = "variables") -> None:
    """Refuse a level's list, naming every item that is wrong; a value of None was left out."""
    wrong = [it for index, item in enumerate(items) for it in _wrong(item, f"{at}[{index}]")]
    seen: set[str] = set()
    for index, (name, _) in enumerate(items):
        if name in seen:
            problem = f"{name!r} is there twice"
            wrong.append(FieldError(field=f"{at}[{index}].name", problem=problem, mend="keep one"))
        seen.add(name)
    if len(items) > MOST_PER_LEVEL:
        problem = f"has {len(items)} entries, and {MOST_PER_LEVEL} is the most"
        wrong.append(FieldError(field=at, problem=problem, mend="take some away"))
    used = sum(len(name) + len((value or "").encode(errors="replace")) for name, value in items)
    if used > MOST_BYTES:
        problem = f"take {used} bytes together, and {MOST_BYTES} is the most"
        wrong.append(FieldError(field=at, problem=problem, mend="make them smaller"))
    if wrong:
        raise InvalidInput(f"{wrong[0].field}: {wrong[0].problem}", fields=tuple(wrong))


def _wrong(item: tuple[str, str | None], at: str) -> Iterable[FieldError]:
    name, value = item
    if found := name_problem(name):
        yield FieldError(field=f"{at}.name", problem=found[0], mend=found[1])
    if value is not None and (found := value_problem(value)):
        yield FieldError(field=f"{at}.value", problem=found[0], mend=found[1])
