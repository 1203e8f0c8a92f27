"""Which targets a strategy's steps newly cover, cut into batches. Exact arithmetic only.

Called when a plan is laid out or an edit re-plans a task; the batches are frozen into the task.
"""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor

from boreas.domain.deployments import Batch
from boreas.domain.ids import TargetId
from boreas.domain.workflow import Size, Strategy, StrategyKind, StrategyStep


def covered_by(step: StrategyStep, total: int, before: int) -> int:
    """How many targets, counted from the first, are covered once this step is done."""
    if step.canary_ratio <= 0:
        return total
    wanted = max(1, ceil(step.canary_ratio * total))
    return min(total, max(before, wanted))


def batch_size_of(size: Size, total: int, fresh: int) -> int:
    """Targets per batch: a percentage is of all targets, rounded up, at least 1; 0 is all fresh."""
    if size.percent is not None:
        return max(1, ceil(Fraction(size.percent) * total / 100))
    return size.count or max(1, fresh)


def tolerated(size: Size, total: int) -> int:
    """How many targets may fail: a percentage rounds down, so that it never tolerates more."""
    if size.percent is not None:
        return floor(Fraction(size.percent) * total / 100)
    return size.count or 0


def is_canary(step: StrategyStep) -> bool:
    """A step that deliberately leaves targets for a later one."""
    return 0 < step.canary_ratio < 1


def is_blue_green(strategy: Strategy) -> bool:
    """Asked for by name, or by the documents' notation: one step, BatchSize 0, CanaryRatio 0."""
    if strategy.kind is StrategyKind.BLUE_GREEN:
        return True
    if len(strategy.steps) != 1:
        return False
    (step,) = strategy.steps
    return step.canary_ratio == 0 and step.batch_size.percent is None and not step.batch_size.count


def step_at(strategy: Strategy, index: int, *, first_deployment: bool = False) -> StrategyStep:
    """The step behind a batch's step number; past the end, the implicit final step.

    The implicit step goes on as carefully as the last written one (batch size, interval, going
    back, tolerance) but asks for no approval. On a first deployment there is nothing to be careful
    of: it takes all at once.
    """
    if index < len(strategy.steps):
        return strategy.steps[index]
    if not strategy.steps:
        return StrategyStep()
    last = strategy.steps[-1]
    if first_deployment:
        return StrategyStep(auto_rollback=last.auto_rollback, max_failures=last.max_failures)
    return replace(last, canary_ratio=Fraction(0), approval=False, answer=None)


def cut_into_batches(
    strategy: Strategy, target_ids: Sequence[TargetId], *, first_deployment: bool = False
) -> tuple[Batch, ...]:
    """All targets, each in exactly one batch, in stored order; steps that cover nothing vanish.

    A first deployment leaves canary steps out: there is no old version to compare with.
    """
    batches: list[Batch] = []
    covered = 0
    for index in range(len(strategy.steps) + 1):
        step = step_at(strategy, index, first_deployment=first_deployment)
        if first_deployment and is_canary(step):
            continue
        upto = covered_by(step, len(target_ids), covered)
        fresh = target_ids[covered:upto]
        size = batch_size_of(step.batch_size, len(target_ids), len(fresh))
        for start in range(0, len(fresh), size):
            cut = tuple(fresh[start : start + size])
            batches.append(Batch(number=len(batches) + 1, step=index, target_ids=cut))
        covered = upto
    return tuple(batches)
