"""`boreas status`: one look at one deployment, and why it stands where it stands."""

from boreas.cli import names
from boreas.cli.arguments import DeploymentArgument
from boreas.cli.verbs import Session, new_app, verb
from boreas.cli.watching.model import DeploymentView
from boreas.kit.clock import SystemClock

app = new_app()


@app.command()
@verb
async def status(session: Session, deployment: DeploymentArgument = "latest") -> None:
    """Show a deployment: tasks, targets by batch, what it waits for and why."""
    from boreas.cli.watching.screen import draw

    found = await names.deployment(session.client, deployment)
    session.out.result(found, draw(DeploymentView.of(found), (), SystemClock().now()))
