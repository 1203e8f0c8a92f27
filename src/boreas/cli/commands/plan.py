"""`boreas plan`: what a deployment would do, without doing any of it."""

from collections.abc import Iterator
from typing import Any

from boreas.cli import names
from boreas.cli.arguments import EnvironmentArgument, ProjectArgument, VersionArgument
from boreas.cli.client import Json
from boreas.cli.requests import (
    ApproveOption,
    AppsOption,
    InOrderOption,
    StrategyOption,
    TasksOption,
    Wanted,
    request_body,
)
from boreas.cli.verbs import Session, new_app, verb

app = new_app()


@app.command()
@verb
async def plan(  # noqa: PLR0913 - a command line's options are its signature
    session: Session,
    project: ProjectArgument,
    environment: EnvironmentArgument,
    version: VersionArgument,
    app: AppsOption = None,
    strategy: StrategyOption = None,
    in_order: InOrderOption = None,
    approve: ApproveOption = False,
    tasks: TasksOption = None,
) -> None:
    """Say which targets a deployment would change, in which batches, and what is in its way."""
    wanted = Wanted(
        project=project,
        environment=environment,
        version=version,
        apps=app or (),
        strategy=strategy,
        in_order=in_order,
        approve=approve,
        tasks=tasks,
    )
    body = await request_body(session.client, wanted)
    found = await session.client.post(names.DEPLOYMENTS, {**body, "dryRun": True})
    session.out.result(found, "\n".join(lines_of(found)))


def lines_of(plan: Json) -> Iterator[str]:
    """A plan for people: each task with its batches, then what else there is to know."""
    for task in plan.get("tasks") or ():
        yield f"{task.get('name', task.get('id'))}  ({task.get('type')})"
        for batch in task.get("batches") or ():
            yield f"  batch {batch.get('number')}: {', '.join(_targets(batch))}"
        yield from (f"  {note}" for note in _sentences(task.get("notes")))
    for heading in ("notes", "warnings", "approvals", "offline", "downtime", "changes"):
        for sentence in _sentences(plan.get(heading)):
            yield f"{heading}: {sentence}"


def _targets(batch: Json) -> list[str]:
    named = batch.get("targets") or batch.get("targetNames") or batch.get("targetIds") or ()
    return [
        str(each.get("name", each.get("id"))) if isinstance(each, dict) else each for each in named
    ]


def _sentences(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield str(each.get("text", each)) if isinstance(each, dict) else str(each)
