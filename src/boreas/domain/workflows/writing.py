"""From the graph of a deployment back to a template: what somebody drew can be used again.

The text is what `reading` takes. Applications are named, ids that YAML or a template cannot hold
are replaced. A deployment that was made of a template and not edited since keeps its own text;
this is for all others.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from boreas.domain.deployments import Deployment, Task
from boreas.domain.ids import ApplicationId, TaskId
from boreas.domain.workflow import Condition, Retry

_NOT_IN_IDS: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_OWN_KEYS: Final = ("command", "scope", "target", "files", "variables")


def template_text(deployment: Deployment, applications: Mapping[ApplicationId, str]) -> str:
    """The deployment's tasks as a template."""
    ids = _plain_ids(deployment.tasks)
    by_stage: dict[int | None, list[dict[str, Any]]] = {}
    for task in deployment.tasks:
        by_stage.setdefault(task.stage, []).append(_task(task, ids, applications))
    document: dict[str, Any] = {"description": f"Made from deployment #{deployment.number}"}
    if deployment.stages and None not in by_stage:
        document["stages"] = [
            {
                "name": stage.name,
                **({"approval": True} if stage.approval else {}),
                **(
                    {"continue_on": [it.value for it in stage.continue_on]}
                    if stage.continue_on
                    else {}
                ),
                "tasks": by_stage[index],
            }
            for index, stage in enumerate(deployment.stages)
            if index in by_stage
        ]
    else:
        document["tasks"] = [it for tasks in by_stage.values() for it in tasks]
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    """Without anchors, and with texts of several lines as blocks."""

    def ignore_aliases(self, data: Any) -> bool:
        """Each value is written where it stands."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    # What YAML 1.1 reads as true or false is a text in YAML 1.2, so quotes do no harm.
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _plain_ids(tasks: Sequence[Task]) -> Mapping[TaskId, str]:
    taken: dict[str, TaskId] = {}
    for task in tasks:
        plain = _NOT_IN_IDS.sub("-", task.id).strip("-.")[:90] or "task"
        plain = plain if plain[0].isalnum() else f"t{plain}"
        name, number = plain, 1
        while name in taken:
            number += 1
            name = f"{plain}-{number}"
        taken[name] = task.id
    return {task_id: name for name, task_id in taken.items()}


def _task(
    task: Task, ids: Mapping[TaskId, str], applications: Mapping[ApplicationId, str]
) -> dict[str, Any]:
    said: dict[str, Any] = {"id": ids[task.id]}
    if task.name not in (task.id, ids[task.id]):
        said["name"] = task.name
    said["type"] = task.type.value
    if task.application_id is not None:
        said["application"] = applications.get(task.application_id, str(task.application_id))
    if task.block_by:
        said["needs"] = [ids[it] for it in task.block_by if it in ids]
    if task.when is not None:
        said["when"] = _condition(task.when, ids)
    said |= {key: task.payload[key] for key in _OWN_KEYS if task.payload.get(key)}
    rest = {key: value for key, value in task.payload.items() if key not in _OWN_KEYS}
    return said | ({"payload": rest} if rest else {}) | _behaviour(task)


def _behaviour(task: Task) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if task.require_confirm:
        said["confirm"] = True
    if task.timeout_seconds is not None:
        said["timeout"] = task.timeout_seconds
    if task.retry is not None:
        said["retry"] = _retry(task.retry)
    if task.continue_on:
        said["continue_on"] = [it.value for it in task.continue_on]
    return said


def _retry(retry: Retry) -> dict[str, Any]:
    return {"count": retry.count, **({"delay": retry.delay} if retry.delay else {})}


def _condition(condition: Condition, ids: Mapping[TaskId, str]) -> str:
    """With the ids of the new template where it asks for results."""
    text = condition.text
    for name, tasks in condition.results.items():
        new = ids.get(tasks[0]) if len(tasks) == 1 else None
        if new is not None and new != name:
            named = re.escape(name)
            spelled = rf"tasks\s*(?:\.\s*{named}\b|\[\s*(?:\"{named}\"|'{named}')\s*\])"
            text = re.sub(spelled, lambda _, new=new: f'tasks["{new}"]', text)  # type: ignore[misc]
    return text
