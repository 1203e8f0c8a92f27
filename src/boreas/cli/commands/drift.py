"""`boreas drift`: whether what is live is what was deployed, with an exit code for scripts."""

from typing import Annotated, Final

import typer

from boreas.cli import names
from boreas.cli.arguments import ProjectArgument
from boreas.cli.client import Json
from boreas.cli.exits import ExitCode
from boreas.cli.verbs import Session, new_app, verb

app = new_app()

COLUMNS: Final = (
    ("ENVIRONMENT", "environment"),
    ("TARGET", "target"),
    ("APPLICATION", "application"),
    ("STATE", "state"),
    ("WANTED", "wanted"),
    ("SEEN", "seen"),
    ("SINCE", "since"),
    ("WHY", "reason"),
)
_EXITS: Final = {
    "drifted": ExitCode.DRIFTED,
    "unknown": ExitCode.UNSURE,
}


@app.command(name="drift")
@verb
async def show_drift(
    session: Session,
    project: ProjectArgument,
    environment: Annotated[
        str | None, typer.Argument(metavar="[ENVIRONMENT]", help="Name or id; else all.")
    ] = None,
) -> None:
    """Say whether what is live is what was deployed: 0 as deployed, 10 drifted, 11 nobody knows."""
    owner = await names.project(session.client, project)
    if environment is None:
        wanted = await names.parts(session.client, owner["id"], "environments")
    else:
        wanted = [await names.environment(session.client, owner["id"], environment)]
    found = [
        await session.client.get(f"{names.RELEASE}/environments/{it['id']}/drift") for it in wanted
    ]
    if session.out.is_json:
        session.out.result(found[0] if environment else found)
    else:
        session.out.table([row for each in found for row in _rows(each)], COLUMNS)
    code = _exit_of(found)
    if code is not ExitCode.OK:
        raise typer.Exit(code)


def _rows(found: Json) -> list[Json]:
    if not found["items"]:
        reason = "nothing has been deployed here"
        return [{"environment": found["environment"], "state": found["state"], "reason": reason}]
    return [{"environment": found["environment"], **item} for item in found["items"]]


def _exit_of(found: list[Json]) -> ExitCode:
    """The worst decides; among many, one where nothing was ever deployed is no trouble."""
    states = {str(each["state"]) for each in found if each["items"] or len(found) == 1}
    return next((code for state, code in _EXITS.items() if state in states), ExitCode.OK)
