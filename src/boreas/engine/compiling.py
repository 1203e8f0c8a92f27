"""From a workflow template to the tasks of one deployment: the matrix spread out, needs resolved.

Nothing is read here; applications come in. What is wrong is said with the line and column of the
template. Tasks of applications that are not deployed this time are left out, and whoever needs them
needs what they need.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from boreas.domain.errors import InvalidInput
from boreas.domain.ids import ApplicationId, TaskId
from boreas.domain.placeholders import filled, safe_name
from boreas.domain.workflow import Condition, Stage, TaskRequest
from boreas.domain.workflows.problems import Place, Problem, refused
from boreas.domain.workflows.templates import TaskTemplate, Template
from boreas.engine import cel_texts, conditions
from boreas.engine.graph import graph_of
from boreas.engine.passing import ABOUT_THE_FLEET

MOST_TASKS: Final = 10_000
MOST_NEEDS: Final = 200_000
"""More edges than this are a matrix behind a matrix; stages say the same with hardly any."""
MOST_LOOKED_AT: Final = 100
"""Tasks whose `continue_on` is looked at: what is wrong with one is mostly wrong with all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """An application that is deployed."""

    id: ApplicationId
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What the engine lays out, and what is worth a second look."""

    tasks: tuple[TaskRequest, ...]
    stages: tuple[Stage, ...]
    notes: tuple[str, ...] = ()
    origins: Mapping[TaskId, str] = field(default_factory=dict)
    """By task: the id of the template's task that it was made of."""


def compile_template(
    template: Template,
    applications: Sequence[Named],
    *,
    known: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
    must_in_order: Sequence[ApplicationId] = (),
) -> Compiled:
    """The tasks for these applications; `InvalidInput` with places if there can be no such graph.

    `known` are the names of the project's other applications, `variables` what replaces the
    template's own.
    """
    spread = _Spread(template, applications, frozenset(known), dict(variables or {}))
    tasks = spread.tasks()
    if spread.problems:
        raise refused(spread.problems)
    spread.check_graph(tasks, must_in_order)
    if spread.problems:
        raise refused(spread.problems)
    return Compiled(
        tasks=tuple(tasks),
        stages=template.stages,
        notes=tuple(spread.notes(tasks)),
        origins=spread.origins(),
    )


@dataclass(slots=True)
class _Spread:
    """One compilation."""

    template: Template
    applications: Sequence[Named]
    known: frozenset[str]
    variables: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)
    _made: dict[str, dict[ApplicationId | None, TaskId]] = field(default_factory=dict)
    """By template task: the ids that came of it, by application."""
    _origin: dict[TaskId, TaskTemplate] = field(default_factory=dict)
    _bridges: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def tasks(self) -> list[TaskRequest]:
        spread = [
            (task, application) for task in self.template.tasks for application in self._of(task)
        ]
        if len(spread) > MOST_TASKS:
            problem = f"makes {len(spread)} tasks, at most {MOST_TASKS} are taken"
            self._wrong(self.template.tasks[0], "", problem, "deploy fewer applications at a time")
            return []
        for task, application in spread:
            self._name(task, application)
        for task in self.template.tasks:
            self._check_conditions(task)
        if not spread and not self.problems:
            first = self.template.tasks[0]
            problem = "makes no task: none of its applications is deployed"
            self._wrong(
                first, "application", problem, "deploy one of them, or use another workflow"
            )
        requests: list[TaskRequest] = []
        needs = 0
        for task, application in spread:
            requests.append(self._request(len(requests), task, application))
            needs += len(requests[-1].block_by)
            if needs > MOST_NEEDS:
                problem = f"and those before it need more than {MOST_NEEDS} others"
                self._wrong(task, "needs", problem, "put the tasks into stages instead")
                break
        return requests

    # --- which tasks there are ---------------------------------------------------------------

    def _of(self, task: TaskTemplate) -> Sequence[Named | None]:
        """The applications for which this task is done; None: for none in particular."""
        self._made[task.id] = {}
        if task.applications is not None:
            known = self._all_known(task, "matrix", task.applications)
            return [it for it in self.applications if known and self._is_wanted(task, it)]
        if task.application is None:
            return [None]
        if not self._all_known(task, "application", (task.application,)):
            return []
        return [it for it in self.applications if task.application in (it.name, it.id)]

    def _is_wanted(self, task: TaskTemplate, application: Named) -> bool:
        names = task.applications
        return not names or application.name in names or application.id in names

    def _all_known(self, task: TaskTemplate, key: str, names: Sequence[str]) -> bool:
        present = {name for it in self.applications for name in (it.name, it.id)} | self.known
        for name in names:
            if name not in present:
                mend = "write the name of an application of this project"
                if present:
                    mend += ": " + ", ".join(sorted({it.name for it in self.applications})[:10])
                self._wrong(task, key, f"names {name!r}, which is no application here", mend)
                return False
        return True

    def _name(self, task: TaskTemplate, application: Named | None) -> None:
        task_id = TaskId(task.id)
        if task.applications is not None and application is not None:
            task_id = TaskId(f"{task.id}-{safe_name(application.name)}")
            if task_id in self._origin:
                task_id = TaskId(f"{task.id}-{application.id}")
        if task_id in self._origin:
            problem = f"makes a second task {task_id!r}"
            self._wrong(task, "id", problem, "choose an id that no matrix makes")
        self._made[task.id][application.id if application is not None else None] = task_id
        self._origin[task_id] = task

    # --- one task ----------------------------------------------------------------------------

    def _request(self, order: int, task: TaskTemplate, application: Named | None) -> TaskRequest:
        app_id = application.id if application is not None else None
        words = {"application": application.name} if application is not None else {}
        own = task.payload.get("variables", {})
        variables = {**self.template.variables, **self.variables, **own}
        payload = {**task.payload, **({"variables": variables} if variables else {})}
        return TaskRequest(
            id=self._made[task.id][app_id],
            name=self._title(task, words),
            type=task.type,
            application_id=app_id,
            block_by=tuple(self._needs(task, app_id)),
            order=order,
            payload=payload,
            require_confirm=task.confirm,
            timeout_seconds=task.timeout_seconds,
            stage=task.stage,
            when=self._condition(task, app_id),
            retry=task.retry,
            continue_on=task.continue_on,
        )

    def _title(self, task: TaskTemplate, words: Mapping[str, str]) -> str:
        title = filled(task.name, words)
        spread = task.applications is not None and title == task.name
        return f"{title} ({words['application']})" if spread and words else title

    def _needs(self, task: TaskTemplate, app_id: ApplicationId | None) -> Iterator[TaskId]:
        found: dict[TaskId, None] = {}
        for name in self._bridged(task.needs):
            found |= dict.fromkeys(self._standing_for(name, task, app_id))
        yield from found

    def _bridged(self, needs: Sequence[str]) -> Iterator[str]:
        """Needs without those that are left out; in their place what those need."""
        by_id = {it.id: it for it in self.template.tasks} if self._is_any_left_out(needs) else {}
        open_, seen = list(reversed(needs)), set[str]()
        while open_:
            name = open_.pop()
            if name in seen:
                continue
            seen.add(name)
            if self._made.get(name):
                yield name
            elif name in by_id:
                open_ += reversed(by_id[name].needs)

    def _is_any_left_out(self, needs: Sequence[str]) -> bool:
        return any(not self._made.get(name) for name in needs)

    def _standing_for(
        self, name: str, task: TaskTemplate, app_id: ApplicationId | None
    ) -> tuple[TaskId, ...]:
        """One matrix behind another goes application by application; otherwise all count."""
        made = self._made.get(name, {})
        if task.applications is not None and None not in made:
            spread = self._origin[next(iter(made.values()))].applications if made else None
            if spread is not None:
                return (made[app_id],) if app_id in made else ()
        return tuple(made.values())

    # --- conditions --------------------------------------------------------------------------

    def _condition(self, task: TaskTemplate, app_id: ApplicationId | None) -> Condition | None:
        text = task.when
        if text is None:
            return None
        asked = {it.parts[0] for it in cel_texts.asked_in(text) if it.root == "tasks" and it.parts}
        return conditions.bound(text, {it: self._standing_for(it, task, app_id) for it in asked})

    def _check_conditions(self, task: TaskTemplate) -> None:
        for condition in task.conditions:
            wrong = cel_texts.problems_of(condition.text, of_application=task.of_application)
            for it in wrong:
                place = _inside(condition.place, it.line, it.column)
                self._note(place, condition.path, it.problem, it.mend)
            for asked in cel_texts.asked_in(condition.text):
                if asked.root == "tasks" and asked.parts and asked.parts[0] not in self._made:
                    place = _inside(condition.place, asked.line, asked.column)
                    problem = f"asks for the result of {asked.parts[0]!r}, which is not there"
                    self._note(place, condition.path, problem, "write the id of a task")

    # --- the whole graph ---------------------------------------------------------------------

    def check_graph(
        self, tasks: Sequence[TaskRequest], must_in_order: Sequence[ApplicationId]
    ) -> None:
        """Cycles that only types and applications make, and results asked for too early."""
        try:
            graph = graph_of(tasks, must_in_order)
        except InvalidInput as error:
            cycle = error.parameters.get("cycle") or [tasks[0].id]
            task = self._origin.get(cycle[0], self.template.tasks[0])
            mend = (
                "inside a stage the types of one application follow each other: prepare, build, "
                "test, deploy, health_check"
            )
            self._wrong(task, "", f"is part of {error.message}", mend)
            return
        for task_id, late in conditions.asked_too_early(tasks, graph).items():
            task = self._origin[task_id]
            names = ", ".join(sorted({self._origin[it].id for it in late}))
            problem = f"asks for the result of {names}, which may not be over by then"
            condition = task.conditions[-1]
            mend = f"add `needs: [{names}]`, or put the task into a later stage"
            self._note(condition.place, condition.path, problem, mend)

    def origins(self) -> Mapping[TaskId, str]:
        """By task: the template's task."""
        return {task_id: task.id for task_id, task in self._origin.items()}

    def notes(self, tasks: Sequence[TaskRequest]) -> Iterator[str]:
        """What is legal and perhaps not meant."""
        for task in self.template.tasks:
            if not self._made[task.id]:
                name = task.application or ", ".join(task.applications or ())
                yield f"{task.id} is left out: {name or 'its application'} is not deployed"
        graph = graph_of(tasks)
        types = {it.id: it.type for it in tasks}
        for wanted in [it for it in tasks if it.continue_on][:MOST_LOOKED_AT]:
            before = graph.before(wanted.id)
            if all(types[it] in ABOUT_THE_FLEET for it in before):
                what = "a failed deploy or health check always stops" if before else "it is first"
                yield f"continue_on of {wanted.id} has no effect: {what}"

    # --- noting ------------------------------------------------------------------------------

    def _wrong(self, task: TaskTemplate, key: str, problem: str, mend: str) -> None:
        path = f"{task.path}.{key}" if key else task.path
        self._note(task.place(key), path, problem, mend)

    def _note(self, place: Place, path: str, problem: str, mend: str) -> None:
        self.problems.append(Problem(place=place, path=path, problem=problem, mend=mend))


def _inside(place: Place, line: int, column: int) -> Place:
    """A place of a text that itself begins at a place."""
    if line == 1:
        return Place(place.line, place.column + column - 1)
    return Place(place.line + line - 1, column)
