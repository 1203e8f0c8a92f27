"""`boreas plan`: what a deployment would do, without doing any of it."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from boreas.cli import names
from boreas.cli.arguments import EnvironmentArgument, ProjectArgument, VersionArgument
from boreas.cli.client import Json
from boreas.cli.requests import (
    ApproveOption,
    AppsOption,
    InOrderOption,
    StrategyOption,
    TasksOption,
    VariablesOption,
    Wanted,
    WorkflowOption,
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
    workflow: WorkflowOption = None,
    variable: VariablesOption = None,
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
        workflow=workflow,
        variables=variable or (),
    )
    body = await request_body(session.client, wanted)
    found = await session.client.post(names.DEPLOYMENTS, {**body, "dryRun": True})
    session.out.result(found, "\n".join(lines_of(found)))


def lines_of(plan: Json) -> Iterator[str]:
    """A plan for people: the graph with its batches, then what one should know before."""
    yield str(plan.get("text") or "").rstrip()
    yield from changes_of(plan.get("changes") or ())
    yield from inputs_of(plan.get("inputs") or ())
    for refusal in plan.get("refusals") or ():
        yield f"refused: {refusal['text']}; {refusal['mend']}"
    for sentence in plan.get("approvals") or ():
        yield f"approval: {sentence}"
    for sentence in plan.get("holds") or ():
        yield f"waits: {sentence}"
    for sentence in plan.get("offline") or ():
        yield f"offline: {sentence}"
    for warning in plan.get("warnings") or ():
        yield f"warning: {warning['text']}"


def inputs_of(inputs: Sequence[Json]) -> Iterator[str]:
    """One line for each variable, image or setting that will be another one."""
    for it in inputs:
        before, after = it.get("before"), it.get("after")
        if it["change"] == "changed":
            told = f"{before} → {after}"
        else:
            told = f"{after if it['change'] == 'added' else before} ({it['change']})"
        yield f"{it['kind']}: {it['application']} {it['name']}: {told}"


def changes_of(changes: Sequence[Json]) -> Iterator[str]:
    """One line for all targets that change in the same way."""
    for (app, before, after, mixed), several in groupby(changes, _way):
        targets = [str(each["target"]) for each in several]
        unsure = " (unsure: an earlier attempt was left there)" if mixed else ""
        where = targets[0] if len(targets) == 1 else f"{len(targets)} targets"
        yield f"changes: {app} on {where}: {before or 'nothing known'} → {after}{unsure}"


def _way(change: Json) -> tuple[str, str | None, str, bool]:
    app, before = str(change["application"]), change.get("fromVersion")
    return app, before, str(change["toVersion"]), bool(change.get("mixed"))
