"""`boreas deploy`: put a version into an environment."""

from typing import Annotated

import typer

from boreas.cli import names
from boreas.cli.arguments import (
    EnvironmentArgument,
    ProjectArgument,
    VersionArgument,
    WatchOption,
)
from boreas.cli.requests import (
    ApproveOption,
    AppsOption,
    AtOption,
    ExpireOption,
    InOrderOption,
    StrategyOption,
    TasksOption,
    VariablesOption,
    Wanted,
    WorkflowOption,
    request_body,
)
from boreas.cli.verbs import Session, new_app, verb
from boreas.cli.watching.watch import watch as watch_to_the_end
from boreas.cli.watching.words import said

app = new_app()


@app.command()
@verb
async def deploy(  # noqa: PLR0913 - a command line's options are its signature
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
    at: AtOption = None,
    expire: ExpireOption = None,
    watch: WatchOption = False,
    override: Annotated[
        str | None,
        typer.Option(
            "--override", metavar="REASON", help="An owner's word against the order of promotion."
        ),
    ] = None,
    start: Annotated[
        bool, typer.Option("--start/--no-start", help="Start it now, or only make it.")
    ] = True,
    stop_watching: Annotated[
        float | None,
        typer.Option("--timeout", min=1, metavar="SECONDS", help="With --watch: then exit with 9."),
    ] = None,
) -> None:
    """Deploy a version of a project into an environment."""
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
        at=at,
        expire=expire,
    )
    body = await request_body(session.client, wanted)
    if override is not None:
        body["override"] = {"reason": override}
    made = await session.client.post(names.DEPLOYMENTS, {**body, "autoStart": start})
    if watch:
        await watch_to_the_end(session, str(made["id"]), at_most=stop_watching)
        return
    sentence = f"{names.title(made)} ({made['id']}): {said(str(made.get('status', 'made')))}"
    session.out.result(made, f"{sentence}\nwatch it with: boreas watch {made['id']}")
