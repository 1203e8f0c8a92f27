"""Which task stands under which in the drawn tree. Pure.

The server orders tasks by `blockBy`, by type inside one application, and by `mustInOrder`
(`boreas.engine.graph`); this draws the same edges and decides nothing.
"""

from collections.abc import Mapping

from boreas.cli.watching.model import DeploymentView, TaskView
from boreas.domain.workflow import TaskType

_RANK: Mapping[str, int] = {
    kind.value: rank for rank, kind in enumerate(TaskType) if kind is not TaskType.CUSTOM
}
_HELD_IN_ORDER = (TaskType.DEPLOY, TaskType.HEALTH_CHECK)


def predecessors(view: DeploymentView) -> Mapping[str, tuple[str, ...]]:
    """Every task's direct predecessors, asked for and implied."""
    known = {task.id for task in view.tasks}
    return {
        task.id: tuple(
            dict.fromkeys(
                each
                for each in (*task.after, *_by_type(view, task), *_in_order(view, task))
                if each in known
            )
        )
        for task in view.tasks
    }


def children(view: DeploymentView) -> Mapping[str | None, tuple[TaskView, ...]]:
    """The tree: each task hangs under its deepest predecessor; None holds the first ones."""
    before = predecessors(view)
    depth: dict[str, int] = {}
    for task in view.tasks:
        _depth_of(task.id, before, depth, frozenset())
    tree: dict[str | None, tuple[TaskView, ...]] = {}
    for task in view.tasks:
        parent = max(before[task.id], key=lambda each: depth[each], default=None)
        tree[parent] = (*tree.get(parent, ()), task)
    return tree


def _depth_of(
    task: str, before: Mapping[str, tuple[str, ...]], depth: dict[str, int], above: frozenset[str]
) -> int:
    if task not in depth and task not in above:
        seen = above | {task}
        depth[task] = 1 + max((_depth_of(e, before, depth, seen) for e in before[task]), default=0)
    return depth.get(task, 0)


def _by_type(view: DeploymentView, task: TaskView) -> tuple[str, ...]:
    """Tasks of the nearest earlier type of the same application."""
    rank = _RANK.get(task.type)
    if rank is None or task.app_id is None:
        return ()
    earlier = [
        (_RANK[each.type], each.id)
        for each in view.tasks
        if each.app_id == task.app_id and each.type in _RANK and _RANK[each.type] < rank
    ]
    nearest = max((each for each, _ in earlier), default=None)
    return tuple(id_ for each, id_ in earlier if each == nearest)


def _in_order(view: DeploymentView, task: TaskView) -> tuple[str, ...]:
    """The last tasks of the application that `mustInOrder` puts before this deploy task."""
    if task.type != TaskType.DEPLOY or task.app_id not in view.must_in_order:
        return ()
    place = view.must_in_order.index(task.app_id)
    if place == 0:
        return ()
    before = view.must_in_order[place - 1]
    return tuple(
        each.id for each in view.tasks if each.app_id == before and each.type in _HELD_IN_ORDER
    )
