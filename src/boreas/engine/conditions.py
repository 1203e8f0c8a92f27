"""Conditions of tasks (`when:`): which facts they see, and what they come to.

Facts are frozen with the deployment, so that a condition about them means the same whenever it is
asked. Results of earlier tasks are read when the task's turn comes; that they are over by then is
checked when the plan is laid out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from boreas.domain.deployments import Deployment, Execution, Task, TaskState
from boreas.domain.errors import FieldError, InvalidInput
from boreas.domain.ids import TaskId
from boreas.domain.variables import task_variables
from boreas.domain.workflow import Condition, TaskRequest
from boreas.engine import cel_texts
from boreas.engine.attempts import latest
from boreas.engine.graph import Graph

Facts = Mapping[str, Any]
"""Texts by their whole name (`version.name`); `variables`; `applications`, by id, with their own
facts and variables."""
Result = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a condition comes to. `holds` None: nobody can say, and `because` says why not."""

    holds: bool | None
    because: str


def bound(text: str, names: Mapping[str, Sequence[TaskId]] | None = None) -> Condition:
    """The condition with the tasks that its names stand for; a name stands for the task's id."""
    asked = dict.fromkeys(it.parts[0] for it in cel_texts.asked_in(text) if _is_result(it))
    given = names or {}
    return Condition(text=text, results={it: tuple(given.get(it, (TaskId(it),))) for it in asked})


def _is_result(asked: cel_texts.Asked) -> bool:
    return asked.root == "tasks" and bool(asked.parts)


def needs_results(condition: Condition) -> bool:
    """Whether it can only be answered while the deployment is under way."""
    return bool(condition.results)


def refuse_bad(requests: Sequence[TaskRequest], graph: Graph) -> None:
    """Raise `InvalidInput` unless every condition is CEL and asks only for what is over by then."""
    problems: list[FieldError] = []
    for index, wanted in enumerate(requests):
        if wanted.when is not None:
            problems += _problems(wanted, wanted.when, f"tasks[{index}].when")
    if not problems:
        early = asked_too_early(requests, graph)
        problems = [
            FieldError(
                field=f"tasks[{index}].when",
                problem=f"asks for the result of {late!r}, which is not before {wanted.id!r}",
                mend="let the task wait for it, or ask for an earlier one",
            )
            for index, wanted in enumerate(requests)
            for late in early.get(wanted.id, ())
        ]
    if problems:
        first = problems[0]
        message = f"{first.field}: {first.problem}; {first.mend}".rstrip("; ")
        raise InvalidInput(message, fields=tuple(problems))


def _problems(wanted: TaskRequest, condition: Condition, field: str) -> list[FieldError]:
    wrong = cel_texts.problems_of(condition.text, of_application=wanted.application_id is not None)
    return [
        FieldError(
            field=field,
            problem=f"{it.problem} (line {it.line}, column {it.column} of the condition)",
            mend=it.mend,
        )
        for it in wrong
    ]


def asked_too_early(
    requests: Sequence[TaskRequest], graph: Graph
) -> Mapping[TaskId, tuple[TaskId, ...]]:
    """By task: those of which its condition asks and that may not be over when its turn comes."""
    asked = {it.id: _asked_by(it) for it in requests if it.when is not None}
    bits = {id_: 1 << n for n, id_ in enumerate(sorted(frozenset().union(*asked.values())))}
    if not bits:
        return {}
    # One number for each node: a bit for everything asked for that comes before it.
    before: dict[TaskId, int] = {}
    for task_id in graph.order:
        _mark(task_id, graph, bits, before)
    late = {
        id_: tuple(sorted(it for it in wanted if not before.get(id_, 0) & bits[it]))
        for id_, wanted in asked.items()
    }
    return {id_: tasks for id_, tasks in late.items() if tasks}


def _asked_by(request: TaskRequest) -> frozenset[TaskId]:
    results = request.when.results if request.when is not None else {}
    return frozenset(it for ids in results.values() for it in ids)


def _mark(node: TaskId, graph: Graph, bits: Mapping[TaskId, int], before: dict[TaskId, int]) -> int:
    found = 0
    for earlier in graph.predecessors[node]:
        known = before.get(earlier)
        # Tasks come in order, so only a join can be unknown yet.
        found |= _mark(earlier, graph, bits, before) if known is None else known
        found |= bits.get(earlier, 0)
    before[node] = found
    return found


def foretold(wanted: Task | TaskRequest, facts: Facts) -> Verdict | None:
    """What the condition will come to, if that can be known before anything is done."""
    if wanted.when is None or needs_results(wanted.when):
        return None
    return _judged(wanted, wanted.when, facts, {})


def is_to_be_skipped(deployment: Deployment, task: Task) -> bool:
    """Whether it is known beforehand that nothing will be done for it."""
    verdict = foretold(task, deployment.facts)
    return verdict is not None and not verdict.holds


def judged_now(
    deployment: Deployment, task: Task, results: Mapping[TaskId, Result]
) -> Verdict | None:
    """What the task's condition comes to with these results of earlier tasks."""
    if task.when is None:
        return None
    return _judged(task, task.when, deployment.facts, results)


def _judged(
    task: Task | TaskRequest,
    condition: Condition,
    facts: Facts,
    results: Mapping[TaskId, Result],
) -> Verdict:
    """The verdict, with what it was based on in words."""
    seen = visible(facts, task)
    seen["tasks"] = {
        name: together([results[it] for it in ids if it in results])
        for name, ids in condition.results.items()
    }
    words = _seen_words(condition.text, seen)
    shown = condition.text if len(condition.text) <= 300 else condition.text[:299] + "…"
    try:
        of_application = task.application_id is not None
        holds = cel_texts.answer(condition.text, seen, of_application=of_application)
    except cel_texts.Unanswerable as error:
        because = f"the condition `{shown}` cannot be answered: {error}{words}"
        return Verdict(holds=None, because=because)
    met = "met" if holds else "not met"
    return Verdict(holds=holds, because=f"the condition `{shown}` is {met}{words}")


def kept_of(facts: Facts, texts: Iterable[str]) -> dict[str, Any]:
    """The facts with only those variables that the texts name; all, if they ask for all."""
    asked = [it for text in texts for it in cel_texts.asked_in(text) if it.root == "variables"]
    names = {it.parts[0] for it in asked if it.parts}
    if any(not it.parts for it in asked):
        return dict(facts)

    def few(found: Mapping[str, Any]) -> dict[str, Any]:
        return {name: text for name, text in found.items() if name in names}

    applications = {
        id_: {**own, "variables": few(own.get("variables", {}))}
        for id_, own in facts.get("applications", {}).items()
    }
    kept = {"variables": few(facts.get("variables", {})), "applications": applications}
    return {**facts, **kept}


def visible(facts: Facts, task: Task | TaskRequest) -> dict[str, Any]:
    """The facts that the task's condition sees; a text that is not known is empty.

    Its variables are those that its command finds, but for secret ones.
    """
    texts = {name: str(facts.get(name) or "") for name in cel_texts.FACTS}
    own: Mapping[str, Any] = {}
    if task.application_id is not None:
        own = facts.get("applications", {}).get(task.application_id, {})
        texts |= {name: str(own.get(name) or "") for name in cel_texts.OF_APPLICATION}
    variables = {
        **facts.get("variables", {}),
        **own.get("variables", {}),
        **task_variables(task.payload),
    }
    return {**texts, "variables": variables}


def _seen_words(text: str, seen: Mapping[str, Any]) -> str:
    """`(environment.kind is "test")`: the things it asks for, as they are."""
    told = dict.fromkeys(
        f"{it.spelled} is {_shown(found)}"
        for it in cel_texts.asked_in(text)
        if (found := _found(it, seen)) is not _MISSING
    )
    return f" ({', '.join(told)})" if told else ""


_MISSING = object()


def _found(asked: cel_texts.Asked, seen: Mapping[str, Any]) -> object:
    whole = ".".join((asked.root, *asked.parts))
    if whole in seen:
        return seen[whole]
    value: Any = seen.get(asked.root, _MISSING)
    for part in asked.parts:
        value = value.get(part, _MISSING) if isinstance(value, Mapping) else _MISSING
    return _MISSING if isinstance(value, Mapping) else value


def _shown(value: object) -> str:
    if value is None:
        return "null"
    return f'"{value[:100]}"' if isinstance(value, str) else str(value)


# --- results -----------------------------------------------------------------------------------

_WORST_FIRST = ("failed", "cancelled", "success", "skipped")


def result_of(task: Task, executions: Iterable[Execution]) -> Result:
    """What later conditions see of a task that is over."""
    rows = latest(executions)
    codes = [it.exit_code for it in rows if it.exit_code is not None]
    outputs: dict[str, str] = {}
    for row in rows:
        outputs |= row.outputs or {}
    state = "skipped" if task.skipped and task.state is TaskState.SUCCESS else task.state.value
    return {"status": state, "exit_code": _worst(codes), "outputs": outputs}


def together(results: Sequence[Result]) -> Result:
    """Several tasks under one name: the worst status, the first bad exit code, all outputs."""
    if len(results) == 1:
        return results[0]
    states = {it["status"] for it in results}
    status = next((it for it in _WORST_FIRST if it in states), "skipped")
    codes = [it["exit_code"] for it in results if it["exit_code"] is not None]
    outputs: dict[str, str] = {}
    for result in results:
        outputs |= result["outputs"]
    return {"status": status, "exit_code": _worst(codes), "outputs": outputs}


def _worst(codes: Sequence[int]) -> int | None:
    return next((it for it in codes if it != 0), 0 if codes else None)
