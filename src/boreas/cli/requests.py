"""Make the request for a new deployment out of names; used by `plan` and `deploy`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from boreas.cli import names
from boreas.cli.client import Client, Json
from boreas.cli.failures import usage
from boreas.cli.strategies import HOW, strategy

AppsOption = Annotated[
    list[str] | None,
    typer.Option("--app", "-a", metavar="APP", help="Only this application (repeatable)."),
]
StrategyOption = Annotated[
    str | None, typer.Option("--strategy", "-s", metavar="STRATEGY", help=f"How: {HOW}.")
]
InOrderOption = Annotated[
    str | None,
    typer.Option("--in-order", metavar="A,B", help="Deploy applications one after the other."),
]
ApproveOption = Annotated[
    bool, typer.Option("--approve", help="Wait for a person's word before the first task.")
]
TasksOption = Annotated[
    Path | None, typer.Option("--tasks", metavar="FILE", help="A list of tasks (YAML or JSON).")
]


AtOption = Annotated[
    str | None, typer.Option("--at", metavar="TIME", help="Not before this moment (ISO 8601).")
]
ExpireOption = Annotated[
    str | None,
    typer.Option("--expire", metavar="TIME", help="Give it up if it has not begun by then."),
]


WorkflowOption = Annotated[
    str | None,
    typer.Option(
        "--workflow", metavar="NAME[@N]", help="Make the tasks of this workflow (version N)."
    ),
]
VariablesOption = Annotated[
    list[str] | None,
    typer.Option("--var", metavar="NAME=VALUE", help="In place of the workflow's own value."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a person asked to deploy, in names."""

    project: str
    environment: str
    version: str
    apps: Sequence[str] = ()
    strategy: str | None = None
    in_order: str | None = None
    approve: bool = False
    tasks: Path | None = None
    approval_after_canary: bool = True
    at: str | None = None
    expire: str | None = None
    workflow: str | None = None
    variables: Sequence[str] = ()


async def request_body(client: Client, wanted: Wanted) -> dict[str, Any]:
    """The body of `POST /api/v1/deployments`; unknown names are failures with a mend."""
    project_id = (await names.project(client, wanted.project))["id"]
    environment = await names.environment(client, project_id, wanted.environment)
    version = await names.version(client, project_id, wanted.version)
    applications = await names.parts(client, project_id, "applications")
    body: dict[str, Any] = {
        "versionId": version["id"],
        "environmentId": environment["id"],
        "applicationIds": _ids(applications, wanted.apps) if wanted.apps else None,
        "mustInOrder": _ids(applications, split(wanted.in_order)) if wanted.in_order else None,
        "strategy": _strategy(wanted),
        "manualApproval": wanted.approve or None,
        "tasks": read_tasks(wanted.tasks) if wanted.tasks else None,
        "deployAt": wanted.at,
        "expireAt": wanted.expire,
        **_workflow(wanted),
    }
    return {key: value for key, value in body.items() if value is not None}


def _workflow(wanted: Wanted) -> dict[str, Any]:
    if wanted.workflow is None:
        return {"variables": pairs(wanted.variables)} if wanted.variables else {}
    name, at, number = wanted.workflow.rpartition("@")
    if not at or not number.isdigit():
        name, number = wanted.workflow, ""
    return {
        "workflowId": name,
        "workflowVersion": int(number) if number else None,
        "variables": pairs(wanted.variables) or None,
    }


def pairs(words: Sequence[str] | None) -> dict[str, str]:
    """`NAME=VALUE` words as a mapping."""
    found: dict[str, str] = {}
    for word in words or ():
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise usage(f"{word!r} has no value", mend="write NAME=VALUE")
        found[name] = value
    return found


async def application_ids(
    client: Client, project_id: object, wanted: Sequence[str]
) -> list[str] | None:
    """The ids of these applications; None if none was named."""
    if not wanted:
        return None
    return _ids(await names.parts(client, project_id, "applications"), wanted)


def _strategy(wanted: Wanted) -> Any:
    if wanted.strategy is None:
        return None
    return strategy(wanted.strategy, approval=wanted.approval_after_canary)


def split(text: str) -> list[str]:
    """`a,b` as a list."""
    return [part.strip() for part in text.split(",") if part.strip()]


def read_tasks(path: Path) -> list[Any]:
    """The task list in a file."""
    import yaml

    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise usage(f"{path} cannot be read: {error}") from error
    tasks = found.get("tasks") if isinstance(found, dict) else found
    if not isinstance(tasks, list):
        raise usage(f"{path} holds no list of tasks")
    return tasks


def _ids(applications: list[Json], wanted: Sequence[str]) -> list[str]:
    return [str(names.pick(applications, each, "application")["id"]) for each in wanted]
