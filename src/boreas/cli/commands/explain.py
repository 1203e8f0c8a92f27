"""`boreas explain` and `boreas history`: why a deployment stands where it stands, how it got there.

The sentences are the engine's own; nothing is worded here.
"""

from typing import Annotated

import typer

from boreas.cli import names
from boreas.cli.arguments import DeploymentArgument
from boreas.cli.client import Json
from boreas.cli.verbs import Session, new_app, verb

explain, history = new_app(), new_app()

PAGE = 500


@explain.command(name="explain")
@verb
async def explain_deployment(session: Session, deployment: DeploymentArgument = "latest") -> None:
    """Say why a deployment waits, holds, skipped or goes back."""
    found = await names.deployment(session.client, deployment)
    answer = await session.client.get(f"{names.DEPLOYMENTS}/{found['id']}/explain")
    session.out.result(answer, str(answer["text"]).rstrip())


@history.command(name="history")
@verb
async def tell_history(
    session: Session,
    deployment: DeploymentArgument = "latest",
    last: Annotated[
        int | None, typer.Option("--last", "-n", min=1, help="Only the last so many.")
    ] = None,
) -> None:
    """Tell what happened to a deployment, oldest first, with who did it."""
    found = await names.deployment(session.client, deployment)
    events = await _all_events(session, str(found["id"]))
    if last is not None:
        events = events[-last:]
    session.out.result(events, "\n".join(_line(each) for each in events))


async def _all_events(session: Session, deployment_id: str) -> list[Json]:
    events: list[Json] = []
    after = 0
    while True:
        path = f"{names.DEPLOYMENTS}/{deployment_id}/events"
        page = await session.client.get(path, after=after, limit=PAGE)
        events += page["items"]
        if len(page["items"]) < PAGE:
            return events
        after = page["lastSeq"]


def _line(event: Json) -> str:
    who, text = event.get("by"), str(event["text"])
    by = f" ({who})" if who and f"by {who}" not in text else ""
    return f"{event['at']}  {text}{by}"
