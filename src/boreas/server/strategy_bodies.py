"""A strategy as people write it, read into the engine's exact values, and written back.

Used by the routes that create and show deployments. Accepts a list of steps or `{type, steps}`,
camelCase or the documents' PascalCase, whole numbers or percent strings.
"""

import re
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from boreas.domain.workflow import Size, Strategy, StrategyKind, StrategyStep
from boreas.engine.waves import is_blue_green
from boreas.server.bodies import Flag, V1Body, Whole

_PERCENT = re.compile(r"\d{1,3}(?:\.\d{1,6})?%")


def _a_size(value: int | str) -> int | str:
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        if not _PERCENT.fullmatch(value) or Fraction(value[:-1]) > 100:
            raise ValueError('is not a number of targets; write 3, or "20%"')
    elif int(value) < 0 or int(value) > 1_000_000:
        raise ValueError("is not a number of targets; write 0 (all) or more")
    return value


def _a_ratio(value: float | str) -> float | str:
    if isinstance(value, str) and not (_PERCENT.fullmatch(value) or _DECIMAL.fullmatch(value)):
        raise ValueError('is not a ratio; write a number from 0 to 1, or "10%"')
    if not 0 <= _ratio_of(value) <= 1:
        raise ValueError("is not from 0 to 1; write 0.1 for a tenth of the targets")
    return value


_DECIMAL = re.compile(r"[01](?:\.\d{1,9})?")
SizeText = Annotated[Whole | str, AfterValidator(_a_size)]
RatioText = Annotated[float | str, AfterValidator(_a_ratio)]


class StepBody(V1Body):
    """One step; `manualApprovalStatus` present and null asks for an approval after it."""

    batch_size: SizeText = 0
    batch_interval: float = Field(default=0.0, ge=0, le=31_536_000)
    canary_ratio: RatioText = 0.0
    auto_rollback: Flag = False
    manual_approval_status: Flag | None = None
    max_failures: SizeText = 0


class StrategyBody(V1Body):
    """A strategy with a name for its kind."""

    type: Literal["rolling", "canary", "blue_green"] | None = None
    steps: list[StepBody] = Field(default_factory=list, max_length=100)
    grace_seconds: float = Field(default=0.0, ge=0, le=31_536_000)

    @model_validator(mode="before")
    @classmethod
    def _accept_a_list(cls, value: Any) -> Any:
        return {"steps": value} if isinstance(value, list) else value


def strategy_of(body: StrategyBody | None) -> Strategy:
    """The engine's value; the engine itself knows the documents' notation of blue-green."""
    if body is None:
        return Strategy()
    kind = StrategyKind.BLUE_GREEN if body.type == "blue_green" else StrategyKind.ROLLING
    steps = tuple(_step_of(step) for step in body.steps)
    return Strategy(kind=kind, steps=steps, grace_seconds=body.grace_seconds)


def _step_of(body: StepBody) -> StrategyStep:
    return StrategyStep(
        batch_size=_size_of(body.batch_size),
        batch_interval=body.batch_interval,
        canary_ratio=_ratio_of(body.canary_ratio),
        auto_rollback=body.auto_rollback,
        approval="manual_approval_status" in body.model_fields_set,
        answer=body.manual_approval_status,
        max_failures=_size_of(body.max_failures),
    )


def _size_of(value: int | str) -> Size:
    if isinstance(value, str) and value.endswith("%"):
        return Size(percent=Fraction(value[:-1]))
    return Size(count=int(value))


def _ratio_of(value: float | str) -> Fraction:
    """Exactly the number that was written: 0.1 is a tenth, not the nearest binary fraction."""
    if isinstance(value, str) and value.endswith("%"):
        return Fraction(value[:-1]) / 100
    return Fraction(str(value))


def strategy_view(strategy: Strategy) -> list[dict[str, Any]]:
    """The steps as the documents list them, camelCase."""
    return [_step_view(step) for step in strategy.steps]


def _step_view(step: StrategyStep) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "batchSize": _size_view(step.batch_size),
        "batchInterval": _number(step.batch_interval),
        "canaryRatio": _number(float(step.canary_ratio)),
        "autoRollback": step.auto_rollback,
        "maxFailures": _size_view(step.max_failures),
    }
    if step.approval:
        shown["manualApprovalStatus"] = step.answer
    return shown


def _size_view(size: Size) -> int | str:
    if size.percent is None:
        return size.count or 0
    return f"{_number(float(size.percent))}%"


def _number(value: float) -> int | float:
    return int(value) if value == int(value) else value


def grayscale(strategy: Strategy) -> tuple[bool, float | None]:
    """The documents' `grayscaleEnabled` and `grayscaleRatio`: is there a canary, and how large."""
    ratios = [step.canary_ratio for step in strategy.steps if 0 < step.canary_ratio < 1]
    return bool(ratios), float(ratios[0]) if ratios else None


def strategy_type(strategy: Strategy) -> str:
    """The kind in one word: `blue_green`, `canary` or `rolling`."""
    if is_blue_green(strategy):
        return StrategyKind.BLUE_GREEN.value
    return "canary" if grayscale(strategy)[0] else StrategyKind.ROLLING.value
