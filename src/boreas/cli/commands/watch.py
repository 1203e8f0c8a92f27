"""`boreas watch`: a live view of one deployment."""

from typing import Annotated

import typer

from boreas.cli import names
from boreas.cli.arguments import DeploymentArgument
from boreas.cli.verbs import Session, new_app, verb
from boreas.cli.watching.watch import watch as watch_to_the_end

app = new_app()

TimeoutOption = Annotated[
    float | None,
    typer.Option("--timeout", min=1, metavar="SECONDS", help="Stop watching then; exit code 9."),
]


@app.command()
@verb
async def watch(
    session: Session, deployment: DeploymentArgument = "latest", stop_after: TimeoutOption = None
) -> None:
    """Watch a deployment until it ends; leaves with the exit code of its result."""
    found = await names.deployment(session.client, deployment)
    await watch_to_the_end(session, str(found["id"]), at_most=stop_after)
