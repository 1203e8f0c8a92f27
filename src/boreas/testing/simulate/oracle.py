"""The rules once more, written apart from the engine: what comes before what, in which batch.

Deliberately simple and slow. When the engine and this page disagree, one of them is wrong.
"""

from collections.abc import Sequence
from fractions import Fraction

from boreas.domain.deployments import Deployment, Task
from boreas.domain.ids import TargetId, TaskId
from boreas.domain.workflow import Size, Strategy, StrategyKind, StrategyStep, TaskType

_TYPES = ("prepare", "build", "test", "deploy", "health_check")


def must_come_before(deployment: Deployment, task: Task) -> list[TaskId]:
    """Every task that has to be done before this one may start."""
    found = {it: None for it in task.block_by}
    for other in deployment.tasks:
        if other.id != task.id and (
            _earlier_type(other, task)
            or _earlier_app(deployment, other, task)
            or _earlier_stage(other, task)
        ):
            found[other.id] = None
    return list(found)


def _earlier_type(other: Task, task: Task) -> bool:
    if task.application_id is None or other.application_id != task.application_id:
        return False
    if task.stage != other.stage:
        return False
    if task.type not in _TYPES or other.type not in _TYPES:
        return False
    return _TYPES.index(other.type) < _TYPES.index(task.type)


def _earlier_stage(other: Task, task: Task) -> bool:
    return other.stage is not None and task.stage is not None and other.stage < task.stage


def _earlier_app(deployment: Deployment, other: Task, task: Task) -> bool:
    """`mustInOrder`: deploys of the next application wait for deploys and checks of this one."""
    order = deployment.must_in_order
    if task.type is not TaskType.DEPLOY or other.type not in {
        TaskType.DEPLOY,
        TaskType.HEALTH_CHECK,
    }:
        return False
    if task.application_id not in order or other.application_id not in order:
        return False
    return order.index(other.application_id) + 1 == order.index(task.application_id)


def is_blue_green(strategy: Strategy) -> bool:
    """By name, or one step with BatchSize 0 and CanaryRatio 0."""
    if strategy.kind is StrategyKind.BLUE_GREEN:
        return True
    return len(strategy.steps) == 1 and (
        strategy.steps[0].canary_ratio == 0 and strategy.steps[0].batch_size == Size(count=0)
    )


def batches(
    strategy: Strategy, targets: Sequence[TargetId], *, first: bool
) -> list[list[TargetId]]:
    """Which targets are started together, in turn."""
    if is_blue_green(strategy):
        return [list(targets)]
    cut: list[list[TargetId]] = []
    done = 0
    for index, step in enumerate([*strategy.steps, None]):
        if first and step is not None and 0 < step.canary_ratio < 1:
            continue
        upto = _upto(step, len(targets), done)
        size = _size(_step_or_last(strategy, index, first=first), len(targets), upto - done)
        while done < upto:
            cut.append(list(targets[done : min(done + size, upto)]))
            done = min(done + size, upto)
    return cut


def _upto(step: StrategyStep | None, total: int, done: int) -> int:
    if step is None or step.canary_ratio == 0:
        return total
    part = step.canary_ratio * total
    whole = part.numerator // part.denominator + (1 if part.denominator > 1 else 0)
    return min(total, max(done, whole, 1))


def _step_or_last(strategy: Strategy, index: int, *, first: bool) -> StrategyStep | None:
    """Past the end the last step's care goes on, except on a first deployment."""
    if index < len(strategy.steps):
        return strategy.steps[index]
    return None if first or not strategy.steps else strategy.steps[-1]


def _size(step: StrategyStep | None, total: int, fresh: int) -> int:
    if step is None:
        return max(1, fresh)
    if step.batch_size.percent is not None:
        part = Fraction(step.batch_size.percent) * total / 100
        return max(1, -((-part.numerator) // part.denominator))
    return step.batch_size.count or max(1, fresh)


def tolerated(size: Size, total: int) -> int:
    """How many may fail."""
    if size.percent is not None:
        return int(Fraction(size.percent) * total / 100)
    return size.count or 0


def interval_of(strategy: Strategy, step: int, *, first: bool) -> float:
    """Seconds to wait after a batch of this step."""
    if step < len(strategy.steps):
        return strategy.steps[step].batch_interval
    return 0.0 if first or not strategy.steps else strategy.steps[-1].batch_interval


def failures_allowed(deployment: Deployment, task: Task, step: int, total: int) -> int:
    """`maxFailures` of this step of a deploy task; the last step's past the end."""
    steps = deployment.strategy.steps
    if not steps:
        return 0
    return tolerated(steps[min(step, len(steps) - 1)].max_failures, total)
