"""The DAG of a deployment's tasks: edges united from their sources, cycles refused by name.

Sources: `block_by`, the order of stages, the order of applications (`must_in_order`), and the order
of types inside one application. That last one holds inside one stage; between stages their order
alone counts, so that a test may follow a deployment. Where two whole groups of tasks meet, a *join*
stands between them, so that the number of edges stays linear in the number of tasks; joins never
show outside this module.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple

from boreas.domain.deployments import Task
from boreas.domain.errors import FieldError, InvalidInput
from boreas.domain.ids import ApplicationId, TaskId
from boreas.domain.workflow import TaskRequest, TaskType

RANK: Mapping[TaskType, int] = {
    TaskType.PREPARE: 0,
    TaskType.BUILD: 1,
    TaskType.TEST: 2,
    TaskType.DEPLOY: 3,
    TaskType.HEALTH_CHECK: 4,
}
"""The order of types inside one application; `custom` has none."""


EDGES = frozenset({"id", "type", "application_id", "block_by", "stage"})
"""The fields of a task that make the graph."""


class Node(NamedTuple):
    """What the graph needs to know of a task."""

    id: TaskId
    type: TaskType
    application_id: ApplicationId | None
    block_by: tuple[TaskId, ...]
    stage: int | None


@dataclass(frozen=True, slots=True)
class Graph:
    """`predecessors` and `successors` hold joins too; `order` is topological, tasks only."""

    predecessors: Mapping[TaskId, tuple[TaskId, ...]]
    successors: Mapping[TaskId, tuple[TaskId, ...]]
    order: tuple[TaskId, ...]
    joins: frozenset[TaskId]

    def before(self, task_id: TaskId) -> tuple[TaskId, ...]:
        """The tasks that this one directly waits for, joins resolved."""
        found: dict[TaskId, None] = {}
        open_ = list(reversed(self.predecessors[task_id]))
        while open_:
            at = open_.pop()
            if at in self.joins:
                open_.extend(reversed(self.predecessors[at]))
            else:
                found[at] = None
        return tuple(found)

    def behind(self, task_id: TaskId) -> tuple[TaskId, ...]:
        """The tasks that directly wait for this one, joins resolved."""
        found: dict[TaskId, None] = {}
        open_ = list(self.successors[task_id])
        while open_:
            at = open_.pop()
            if at in self.joins:
                open_.extend(self.successors[at])
            else:
                found[at] = None
        return tuple(found)

    def after(self, task_ids: Iterable[TaskId]) -> frozenset[TaskId]:
        """Everything that directly or indirectly waits for one of these."""
        seen: set[TaskId] = set()
        open_ = list(task_ids)
        while open_:
            for follower in self.successors[open_.pop()]:
                if follower not in seen:
                    seen.add(follower)
                    open_.append(follower)
        return frozenset(seen - self.joins)

    def ready(self, finished: frozenset[TaskId] | set[TaskId]) -> tuple[TaskId, ...]:
        """The unfinished tasks all of whose predecessors are finished, in topological order."""
        return tuple(
            task_id
            for task_id in self.order
            if task_id not in finished and all(it in finished for it in self.before(task_id))
        )


def graph_of(
    tasks: Sequence[Task | TaskRequest], must_in_order: Sequence[ApplicationId] = ()
) -> Graph:
    """The united graph; raises `InvalidInput` naming the bad id or one real cycle."""
    remembered = _graph_of_few if len(tasks) <= FEW else _graph_of_many
    return remembered(tuple(map(_as_node, tasks)), tuple(must_in_order))


_Plain = tuple[TaskId, str, ApplicationId | None, tuple[TaskId, ...], int | None]
# Plain tuples of words: thousands are made and hashed at each decision, to find the graph that is
# remembered, and enums hash slowly.
_as_node: Callable[[Task | TaskRequest], _Plain] = attrgetter(
    "id", "type._value_", "application_id", "block_by", "stage"
)


def _graph_of(plain: tuple[_Plain, ...], must_in_order: tuple[ApplicationId, ...]) -> Graph:
    nodes = tuple(Node(id_, TaskType(kind), app, by, stage) for id_, kind, app, by, stage in plain)
    _refuse_bad_references(nodes)
    edges = _Edges(nodes)
    edges.add_asked()
    edges.add_stage_order()
    edges.add_type_order()
    edges.add_application_order(must_in_order)
    return edges.graph()


# As many as may be under way at a time, or every decision would build its graph anew; but graphs of
# thousands of tasks are megabytes.
FEW = 200
_graph_of_few = lru_cache(maxsize=512)(_graph_of)
_graph_of_many = lru_cache(maxsize=8)(_graph_of)


def _refuse_bad_references(nodes: Sequence[Node]) -> None:
    known: set[TaskId] = set()
    for index, node in enumerate(nodes):
        if node.id in known:
            raise _refused(f"tasks[{index}].id", f"the id {node.id!r} is used twice")
        known.add(node.id)
    for index, node in enumerate(nodes):
        for wanted in node.block_by:
            field = f"tasks[{index}].blockBy"
            if wanted == node.id:
                raise _refused(field, f"task {node.id!r} waits for itself")
            if wanted not in known:
                raise _refused(field, f"task {node.id!r} waits for {wanted!r}, which is not there")


def _refused(field: str, problem: str) -> InvalidInput:
    return InvalidInput(problem, fields=(FieldError(field=field, problem=problem),))


class _Edges:
    """Collects predecessors while the three sources are united."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self.predecessors: dict[TaskId, dict[TaskId, None]] = {it.id: {} for it in nodes}
        self.joins: list[TaskId] = []

    def add_asked(self) -> None:
        for node in self.nodes:
            self.predecessors[node.id].update(dict.fromkeys(node.block_by))

    def add_stage_order(self) -> None:
        """Each stage waits for the whole stage before it; tasks without one are free."""
        stages: dict[int, list[TaskId]] = {}
        for node in self.nodes:
            if node.stage is not None:
                stages.setdefault(node.stage, []).append(node.id)
        for earlier, later in pairwise(sorted(stages)):
            self._hold(stages[later], until=stages[earlier])

    def add_type_order(self) -> None:
        """Each rank waits for the nearest lower rank that the application really has."""
        ranks: dict[tuple[ApplicationId, int | None], dict[int, list[TaskId]]] = {}
        for node in self.nodes:
            if node.application_id is not None and node.type in RANK:
                of_app = ranks.setdefault((node.application_id, node.stage), {})
                of_app.setdefault(RANK[node.type], []).append(node.id)
        for of_app in ranks.values():
            present = sorted(of_app)
            for lower, upper in pairwise(present):
                self._hold(of_app[upper], until=of_app[lower])

    def add_application_order(self, must_in_order: Sequence[ApplicationId]) -> None:
        """Deploy tasks wait for the deploy and health checks of every application before theirs."""
        deploys: dict[ApplicationId | None, list[TaskId]] = {}
        lasting: dict[ApplicationId | None, list[TaskId]] = {}
        for node in self.nodes:
            if node.type is TaskType.DEPLOY:
                deploys.setdefault(node.application_id, []).append(node.id)
            if node.type in {TaskType.DEPLOY, TaskType.HEALTH_CHECK}:
                lasting.setdefault(node.application_id, []).append(node.id)
        before: list[TaskId] = []
        for application_id in must_in_order:
            own = deploys.get(application_id, [])
            self._hold(own, until=before)
            # Without a deploy of its own an application passes on what it would have waited for.
            mine = lasting.get(application_id, [])
            before = mine if own else [*before, *mine]

    def _hold(self, held: Sequence[TaskId], *, until: Sequence[TaskId]) -> None:
        if not held or not until:
            return
        gate: Sequence[TaskId] = until
        if min(len(held), len(until)) > 1:
            gate = (self._join(until),)
        for task_id in held:
            self.predecessors[task_id].update(dict.fromkeys(gate))

    def _join(self, until: Sequence[TaskId]) -> TaskId:
        # NUL cannot stand in a task's id, so a join can never be mistaken for one.
        join = TaskId(f"\0{len(self.joins)}")
        self.joins.append(join)
        self.predecessors[join] = dict.fromkeys(until)
        return join

    def graph(self) -> Graph:
        successors: dict[TaskId, list[TaskId]] = {it: [] for it in self.predecessors}
        for follower, leaders in self.predecessors.items():
            for leader in leaders:
                successors[leader].append(follower)
        joins = frozenset(self.joins)
        order = self._topological(successors)
        return Graph(
            predecessors={it: tuple(them) for it, them in self.predecessors.items()},
            successors={it: tuple(them) for it, them in successors.items()},
            order=tuple(it for it in order if it not in joins),
            joins=joins,
        )

    def _topological(self, successors: Mapping[TaskId, Sequence[TaskId]]) -> list[TaskId]:
        missing = {it: len(them) for it, them in self.predecessors.items()}
        order = [it for it, count in missing.items() if count == 0]
        for at in order:  # grows while it is read
            for follower in successors[at]:
                missing[follower] -= 1
                if missing[follower] == 0:
                    order.append(follower)
        if len(order) < len(missing):
            raise self._cycle({it for it, count in missing.items() if count > 0})
        return order

    def _cycle(self, stuck: set[TaskId]) -> InvalidInput:
        """Walk backwards among the stuck: every one of them has a stuck predecessor."""
        at = next(iter(sorted(stuck)))
        seen: dict[TaskId, int] = {}
        path: list[TaskId] = []
        while at not in seen:
            seen[at] = len(path)
            path.append(at)
            at = next(it for it in self.predecessors[at] if it in stuck)
        real = [it for it in path[seen[at] :] if it not in set(self.joins)]
        ring = [*real, real[0]]
        words = " waits for ".join(ring)
        problem = f"a cycle, the tasks wait for each other: {words}"
        wrong = FieldError(field="tasks", problem=problem)
        return InvalidInput(problem, fields=(wrong,), parameters={"cycle": real})
