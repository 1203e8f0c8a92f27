"""From the text of a template to a `Template`, or to every problem in it with line and column.

What can be known without a project is checked here: keys, kinds, ids, what `needs` point at, cycles
among them. Applications, conditions and the whole graph are `engine.compiling`'s to check.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from boreas.domain.file_names import is_file_name
from boreas.domain.workflow import Bad, Retry, Scope, Stage, TaskType
from boreas.domain.workflows.fields import Fields, plain
from boreas.domain.workflows.problems import Problem, refused
from boreas.domain.workflows.templates import ConditionText, TaskTemplate, Template
from boreas.domain.workflows.tree import tree_of

MOST_TASKS: Final = 10_000
MOST_STAGES: Final = 200
MOST_REPETITIONS: Final = 20
LONGEST_COMMAND: Final = 100_000
LONGEST_CONDITION: Final = 2_000
TASK_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def read_template(text: str) -> Template:
    """The template; `InvalidInput` with every problem's line, column and mend."""
    problems: list[Problem] = []
    template = _Reading(problems).template(Fields(tree_of(text), "", problems))
    if problems:
        raise refused(problems)
    return template


class _Reading:
    """Reads a template and notes what is wrong."""

    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems

    def template(self, top: Fields) -> Template:
        top.text("$schema", most=500)
        description = top.text("description", most=10_000) or ""
        variables = top.text_by_name("variables")
        stages: list[Stage] = []
        tasks: list[TaskTemplate] = []
        if top.has("stages") and top.has("tasks"):
            mend = "put the tasks into stages, or leave the stages out"
            top.wrong("tasks", "stands beside `stages`", mend)
        for stage, own in self._stages(top):
            stages.append(stage)
            tasks += own
        tasks += self._tasks(top, None, ())
        if not top.has("stages") and not top.has("tasks"):
            top.wrong_at(top.place, "", "has neither `stages` nor `tasks`", "write one of them")
        top.refuse_the_rest()
        self._check_together(tasks)
        return Template(
            description=description,
            variables=variables,
            stages=tuple(stages),
            tasks=tuple(tasks),
        )

    def _stages(self, top: Fields) -> Iterator[tuple[Stage, list[TaskTemplate]]]:
        names: dict[str, str] = {}
        for index, fields in enumerate(top.children("stages", "stage", most=MOST_STAGES)):
            name = fields.text("name", most=100, required=True) or f"stage {index + 1}"
            if name in names:
                fields.wrong("name", f"is {name!r} like that of {names[name]}", "choose another")
            names.setdefault(name, fields.path)
            stage = Stage(
                name=name, approval=fields.flag("approval"), continue_on=_continue_on(fields)
            )
            common = _condition(fields)
            tasks = self._tasks(fields, index, common)
            if not fields.has("tasks"):
                fields.wrong("tasks", "has no `tasks`", "write at least one task")
            fields.refuse_the_rest()
            yield stage, tasks

    def _tasks(
        self, around: Fields, stage: int | None, common: Sequence[ConditionText]
    ) -> list[TaskTemplate]:
        return [
            self._task(it, stage, common)
            for it in around.children("tasks", "task", most=MOST_TASKS)
        ]

    def _task(
        self, fields: Fields, stage: int | None, common: Sequence[ConditionText]
    ) -> TaskTemplate:
        id_ = fields.text("id", most=100, required=True) or ""
        if id_ and not TASK_ID.fullmatch(id_):
            mend = "use letters, digits, `-`, `_` and `.`, beginning with a letter or digit"
            fields.wrong("id", f"is {id_!r}, which is no id", mend)
        type_ = _type(fields)
        task = TaskTemplate(
            id=id_,
            name=fields.text("name", most=200) or id_,
            type=type_,
            path=fields.path,
            stage=stage,
            application=fields.text("application"),
            applications=_matrix(fields),
            needs=tuple(name for name, _ in fields.texts("needs")),
            conditions=(*common, *_condition(fields)),
            payload=_payload(fields, type_),
            confirm=fields.flag("confirm"),
            timeout_seconds=fields.seconds("timeout", least=1.0),
            retry=_retry(fields),
            continue_on=_continue_on(fields),
            places=fields.places(),
        )
        fields.refuse_the_rest()
        self._check_application(task, fields)
        return task

    def _check_application(self, task: TaskTemplate, fields: Fields) -> None:
        if task.application is not None and task.applications is not None:
            fields.wrong("matrix", "stands beside `application`", "leave one of them out")
        needs_one = task.type in (TaskType.DEPLOY, TaskType.HEALTH_CHECK)
        if needs_one and not task.of_application:
            problem = f"is a {task.type} task without an application"
            mend = "write `application: NAME`, or `matrix: {applications: all}` for each of them"
            fields.wrong("type", problem, mend)

    # --- what concerns several tasks ---------------------------------------------------------

    def _check_together(self, tasks: Sequence[TaskTemplate]) -> None:
        by_id: dict[str, TaskTemplate] = {}
        for task in tasks:
            if task.id in by_id:
                line = by_id[task.id].place("id").line
                problem = f"is {task.id!r} like that of the task in line {line}"
                self._wrong(task, "id", problem, "choose another")
            by_id.setdefault(task.id, task)
        if len(tasks) > MOST_TASKS:
            problem = f"are {len(tasks)}, at most {MOST_TASKS} are taken"
            self._wrong(tasks[MOST_TASKS], "", problem, "leave some out")
        for task in tasks:
            self._check_needs(task, by_id)
        if not self._problems:
            self._check_cycles(tasks, by_id)

    def _check_needs(self, task: TaskTemplate, by_id: Mapping[str, TaskTemplate]) -> None:
        for name in task.needs:
            other = by_id.get(name)
            if other is None:
                mend = "write the id of a task of this template"
                self._wrong(task, "needs", f"names {name!r}, which is not there", mend)
            elif other is task:
                self._wrong(task, "needs", "names the task itself", "leave it out")
            elif other.stage is not None and task.stage is not None and other.stage > task.stage:
                problem = f"names {name!r} of a later stage"
                mend = "stages run in their order; put the task into that stage or a later one"
                self._wrong(task, "needs", problem, mend)

    def _check_cycles(
        self, tasks: Sequence[TaskTemplate], by_id: Mapping[str, TaskTemplate]
    ) -> None:
        cycle = _cycle({it.id: it.needs for it in tasks})
        if cycle:
            ring = " needs ".join([*cycle, cycle[0]])
            self._wrong(by_id[cycle[0]], "needs", f"make a cycle: {ring}", "leave one of them out")

    def _wrong(self, task: TaskTemplate, key: str, problem: str, mend: str) -> None:
        path = f"{task.path}.{key}" if key else task.path
        self._problems.append(Problem(place=task.place(key), path=path, problem=problem, mend=mend))


def _condition(fields: Fields) -> tuple[ConditionText, ...]:
    node = fields.node("when")
    if node is not None and isinstance(node.value, bool):
        place, path = fields.place_of("when"), fields.path_of("when")
        return (ConditionText(text=str(node.value).lower(), path=path, place=place),)
    text = fields.text("when", most=LONGEST_CONDITION)
    if text is None:
        return ()
    return (ConditionText(text=text, path=fields.path_of("when"), place=fields.text_place("when")),)


def _type(fields: Fields) -> TaskType:
    """`custom` if it is left out; an unknown one stands for the kind that asks for nothing."""
    if not fields.has("type"):
        fields.node("type")
        return TaskType.CUSTOM
    return TaskType(fields.choice("type", [it.value for it in TaskType]) or TaskType.PREPARE)


def _matrix(fields: Fields) -> tuple[str, ...] | None:
    matrix = fields.child("matrix")
    if matrix is None:
        return None
    names = [name for name, _ in matrix.texts("applications", most=1000)]
    if not matrix.has("applications"):
        matrix.wrong("applications", "is missing", "write `all`, or a list of applications")
    matrix.refuse_the_rest()
    return () if names == ["all"] else tuple(dict.fromkeys(names))


def _retry(fields: Fields) -> Retry | None:
    node = fields.node("retry")
    if node is None:
        return None
    if not isinstance(node.value, Mapping):
        count = fields.whole("retry", least=0, most=MOST_REPETITIONS)
        return Retry(count=count) if count else None
    retry = Fields(node, fields.path_of("retry"), fields.problems)
    count = retry.whole("count", least=0, most=MOST_REPETITIONS)
    delay = retry.seconds("delay") or 0.0
    if not retry.has("count"):
        retry.wrong("count", "is missing", "write how many times it is tried again")
    retry.refuse_the_rest()
    return Retry(count=count, delay=delay) if count else None


def _continue_on(fields: Fields) -> tuple[Bad, ...]:
    found: list[Bad] = []
    for name, place in fields.texts("continue_on", most=10):
        try:
            found.append(Bad(name))
        except ValueError:
            path = fields.path_of("continue_on")
            fields.wrong_at(place, path, f"is {name!r}", "write `failure` or `cancelled`")
    return tuple(dict.fromkeys(found))


_WITH_COMMAND: Final = (TaskType.TEST, TaskType.CUSTOM)


def _payload(fields: Fields, type_: TaskType) -> dict[str, Any]:
    free = fields.child("payload")
    payload: dict[str, Any] = {} if free is None else dict(_plain_payload(fields))
    command = fields.text("command", most=LONGEST_COMMAND)
    if command is not None:
        payload["command"] = command
    scope = fields.choice("scope", [it.value for it in Scope])
    if scope is not None:
        payload["scope"] = scope
    target = fields.text("target")
    if target is not None:
        payload["target"] = target
        if scope == Scope.EACH_TARGET:
            fields.wrong("target", "stands beside `scope: each_target`", "leave one of them out")
    files = [name for name, _ in fields.texts("files", most=100)]
    if any(not is_file_name(name) for name in files):
        fields.wrong("files", "has what is no plain file name", "write names without a path")
    elif files:
        payload["files"] = files
    variables = fields.text_by_name("variables")
    if variables:
        payload["variables"] = variables
    if type_ in _WITH_COMMAND and "command" not in payload and not fields.has("command"):
        fields.wrong("command", f"is missing in a {type_} task", "write the bash text to run")
    return payload


def _plain_payload(fields: Fields) -> Mapping[str, Any]:
    node = fields.node("payload")
    found = plain(node) if node is not None else {}
    return found if isinstance(found, dict) else {}


def _cycle(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """One real cycle, or nothing; without recursion, for chains of thousands."""
    open_ = {it: len(them) for it, them in needs.items()}
    behind: dict[str, list[str]] = {it: [] for it in needs}
    for name, them in needs.items():
        for it in them:
            behind[it].append(name)
    free = [it for it, count in open_.items() if not count]
    for it in free:  # grows while it is read
        for follower in behind[it]:
            open_[follower] -= 1
            if not open_[follower]:
                free.append(follower)
    stuck = {it for it, count in open_.items() if count}
    at = min(stuck, default="")
    path: list[str] = []
    while at and at not in path:
        path.append(at)
        at = next(it for it in needs[at] if it in stuck)
    return path[path.index(at) :] if at else []
