"""What earlier decisions worked out about the same large deployment.

The graph of its tasks and the list of each task's executions stay the same while states change; to
build them anew for every report would make the cost of a task grow with their number. Only a
memory: an entry counts only for the very objects it was made from, and forgetting costs time alone.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from boreas.domain.deployments import Deployment, Execution, Task
from boreas.domain.ids import ApplicationId, DeploymentId, ExecutionId, TaskId
from boreas.engine.graph import FEW, Graph

MOST = 32
"""Large deployments under way at a time."""

OfTask = Mapping[TaskId, Sequence[ExecutionId]]


@dataclass(slots=True)
class Known:
    """Of the deployment that has exactly these tuples."""

    tasks: tuple[Task, ...]
    executions: tuple[Execution, ...]
    must_in_order: tuple[ApplicationId, ...]
    graph: Graph | None = None
    of_task: OfTask | None = None


_known: OrderedDict[DeploymentId, Known] = OrderedDict()


def known_of(deployment: Deployment) -> Known:
    """What is known of it; nothing, if it is new or was changed elsewhere."""
    known = _known.get(deployment.id)
    found = _nothing_of(deployment)
    if known is None:
        return found
    same_order = known.must_in_order == deployment.must_in_order
    if known.tasks is deployment.tasks and same_order:
        found.graph = known.graph
    if known.executions is deployment.executions:
        found.of_task = known.of_task
    return found


def remember(deployment: Deployment, *, graph: Graph | None, of_task: OfTask | None) -> None:
    """This holds for the deployment as it is now."""
    if len(deployment.tasks) + len(deployment.executions) <= FEW:
        return
    found = _known[deployment.id] = _nothing_of(deployment)
    found.graph, found.of_task = graph, of_task
    _known.move_to_end(deployment.id)
    if len(_known) > MOST:
        _known.popitem(last=False)


def _nothing_of(deployment: Deployment) -> Known:
    return Known(
        tasks=deployment.tasks,
        executions=deployment.executions,
        must_in_order=deployment.must_in_order,
    )
