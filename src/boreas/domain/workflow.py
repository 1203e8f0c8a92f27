"""What a person asks for: tasks, and the strategy by which targets are changed.

These are requests; `boreas.engine.plan` turns them into a deployment's frozen plan.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import Any

from boreas.domain.ids import ApplicationId, TaskId


class TaskType(StrEnum):
    """What a task does; inside one application the types run in this order, `custom` apart."""

    PREPARE = "prepare"
    BUILD = "build"
    TEST = "test"
    DEPLOY = "deploy"
    HEALTH_CHECK = "health_check"
    CUSTOM = "custom"


class Scope(StrEnum):
    """Where a task's command runs."""

    ONCE = "once"
    """On one target: the first of the application, or of the environment."""
    EACH_TARGET = "each_target"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A number of targets, absolute or as a percentage of all of them; exactly one is set."""

    count: int | None = None
    percent: Fraction | None = None


ALL_AT_ONCE = Size(count=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyStep:
    """One entry of a strategy list (the founding document's DeploySteps).

    `canary_ratio` r > 0 covers targets up to ceil(r*N) from the first; 0 covers all the rest.
    `batch_size` cuts what the step newly covers; count 0 is all at once; `batch_interval` seconds.
    `approval`: ManualApprovalStatus was present; `answer`: its value, None = a person is awaited.
    `max_failures` failed targets are tolerated; one more stops the rollout.
    """

    batch_size: Size = ALL_AT_ONCE
    batch_interval: float = 0.0
    canary_ratio: Fraction = Fraction(0)
    auto_rollback: bool = False
    approval: bool = False
    answer: bool | None = None
    max_failures: Size = ALL_AT_ONCE


class StrategyKind(StrEnum):
    """Whether old and new live side by side before the switch."""

    ROLLING = "rolling"
    """Batches in place; a canary is a first batch."""
    BLUE_GREEN = "blue_green"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """How targets are changed. `grace_seconds`: how long blue-green keeps the old side."""

    kind: StrategyKind = StrategyKind.ROLLING
    steps: tuple[StrategyStep, ...] = ()
    grace_seconds: float = 0.0


class Bad(StrEnum):
    """How a predecessor may have ended although the task behind it goes on."""

    FAILURE = "failure"
    CANCELLED = "cancelled"
    """It was not started, because something before it had failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A failed attempt is repeated by itself: so many times, after so many seconds."""

    count: int
    delay: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A CEL text that decides whether a task is done at all (`engine.conditions`).

    `results` says for each name after `tasks.` in the text which tasks it stands for: one, or all
    that a matrix made of it.
    """

    text: str
    results: Mapping[str, tuple[TaskId, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Tasks that begin when everything in the stage before is over; `approval`: and agreed to.

    `continue_on`: how tasks of earlier stages may end without keeping this one from being done.
    """

    name: str
    approval: bool = False
    continue_on: tuple[Bad, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRequest:
    """One task as a person writes it; `payload` keys depend on the type (docs/reference).

    `stage` is the index of its stage in the deployment, `continue_on` how its predecessors may end
    without keeping it from being done.
    """

    id: TaskId
    name: str
    type: TaskType
    application_id: ApplicationId | None = None
    block_by: tuple[TaskId, ...] = ()
    order: int = 0
    payload: Mapping[str, Any] = field(default_factory=dict)
    require_confirm: bool = False
    timeout_seconds: float | None = None
    stage: int | None = None
    when: Condition | None = None
    retry: Retry | None = None
    continue_on: tuple[Bad, ...] = ()
