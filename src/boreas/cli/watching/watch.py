"""Watch a deployment for a verb: show it, print the result, leave with the result's exit code."""

import asyncio

import typer

from boreas.cli.client import Json
from boreas.cli.exits import EXIT_OF_STATE, ExitCode
from boreas.cli.failures import Failure
from boreas.cli.names import title
from boreas.cli.verbs import Session
from boreas.cli.watching.follow import follow
from boreas.cli.watching.viewers import viewer_for
from boreas.cli.watching.words import said
from boreas.domain.deployments import DeploymentState


async def watch(session: Session, deployment_id: str, *, at_most: float | None = None) -> None:
    """Show the deployment to its end. Raises `typer.Exit` with the code of its result."""
    try:
        async with asyncio.timeout(at_most):
            with viewer_for(session.out) as viewer:
                found = await follow(session.client, deployment_id, viewer)
    except TimeoutError as error:
        raise _timed_out(deployment_id, at_most or 0) from error
    except asyncio.CancelledError:
        session.out.say(
            f"\nThe deployment goes on without you. Look again with: boreas watch {deployment_id}\n"
            f"Stop it with: boreas cancel {deployment_id}"
        )
        raise
    session.out.result(found)
    _say_the_end(session, found)
    code = EXIT_OF_STATE[DeploymentState(found["status"])]
    if code is not ExitCode.OK:
        raise typer.Exit(code)


def _say_the_end(session: Session, found: Json) -> None:
    error = f": {found['errorMessage']}" if found.get("errorMessage") else ""
    session.out.say(f"{title(found)} ended: {said(str(found['status']))}{error}")


def _timed_out(deployment_id: str, seconds: float) -> Failure:
    return Failure(
        f"after {seconds:g} s the deployment has not ended; it goes on",
        exit_code=ExitCode.TIMED_OUT,
        mend=f"look again with: boreas watch {deployment_id}",
    )
