"""Templates at work: chosen for a deployment, compiled for it, their errors placed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from boreas.domain.deployments import WorkflowOrigin
from boreas.domain.errors import InvalidInput, invalid
from boreas.domain.ids import ApplicationId
from boreas.domain.projects import Application
from boreas.domain.variables import check_variables
from boreas.domain.workflows.reading import read_template
from boreas.domain.workflows.templates import Template
from boreas.engine.compiling import Compiled, Named, compile_template
from boreas.server.ground import Site
from boreas.store import SqlTransaction as Transaction

UNSAVED: Final = WorkflowOrigin(id="", name="", version=0)
"""Of a text that is only looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """A template that a deployment's tasks are made of."""

    origin: WorkflowOrigin
    text: str
    template: Template
    compiled: Compiled


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which template, in which version (None: the newest), with which variables."""

    workflow: str
    version: int | None
    variables: Mapping[str, str]


async def used_in(
    tx: Transaction,
    site: Site,
    wanted: Wanted,
    chosen: Sequence[ApplicationId],
    in_order: Sequence[ApplicationId],
) -> Used:
    """The template compiled for the chosen applications of this site."""
    project_id = site.project.id
    workflow = await tx.workflows.find(wanted.workflow)
    if workflow is None or workflow.project_id != project_id:
        workflow = await tx.workflows.named(wanted.workflow, within=project_id)
    if workflow is None:
        mend = "write the id or the name of a workflow of this project"
        raise invalid("workflowId", f"there is no workflow {wanted.workflow!r}", mend)
    number = wanted.version or workflow.revision
    version = await tx.workflow_versions.numbered(workflow.id, number)
    origin = WorkflowOrigin(id=workflow.id, name=workflow.name, version=number)
    return use(version.text, origin, site.applications, wanted.variables, chosen, in_order)


def use(
    text: str,
    origin: WorkflowOrigin,
    applications: Sequence[Application],
    variables: Mapping[str, str],
    chosen: Sequence[ApplicationId],
    in_order: Sequence[ApplicationId] = (),
) -> Used:
    """This text compiled; `InvalidInput` with line and column where it cannot be."""
    check_variables(list(variables.items()), at="variables")
    template = read_template(text)
    taken = set(chosen)
    compiled = compile_template(
        template,
        [Named(id=it.id, name=it.name) for it in applications if it.id in taken],
        known=[it.name for it in applications if it.id not in taken],
        variables=variables,
        must_in_order=in_order,
    )
    return Used(origin=origin, text=text, template=template, compiled=compiled)


def check_text(text: str, applications: Sequence[Application]) -> Template:
    """What can be known when a template is saved: all of it, if the project has applications."""
    if not applications:
        return read_template(text)
    return use(text, UNSAVED, applications, {}, [it.id for it in applications]).template


_TASK_FIELD: Final = re.compile(r"tasks\[(\d+)\]")


def placed(error: InvalidInput, used: Used | None) -> InvalidInput:
    """An error about `tasks[3]` of a compiled template, with the line that the task is from."""
    if used is None:
        return error
    tasks = {it.id: it for it in used.template.tasks}
    fields = []
    for wrong in error.fields:
        found = _TASK_FIELD.match(wrong.field)
        index = int(found[1]) if found else -1
        if 0 <= index < len(used.compiled.tasks):
            template_id = used.compiled.origins[used.compiled.tasks[index].id]
            place = tasks[template_id].place()
            path = tasks[template_id].path + wrong.field[found.end() if found else 0 :]
            wrong = replace(wrong, field=f"{place}: {path}")
        fields.append(wrong)
    return InvalidInput(error.message, fields=tuple(fields), parameters=error.parameters)
