"""`boreas targets`: where the applications of an environment are put."""

from typing import Annotated

import typer

from boreas.cli import names
from boreas.cli.arguments import EnvironmentArgument, ProjectArgument
from boreas.cli.client import Json
from boreas.cli.nouns import NameArgument, NewNameArgument, YesOption, be_sure, made, removed
from boreas.cli.verbs import Session, new_app, verb

app = new_app("Targets of an environment, in the order in which a canary counts them.")


@app.command("list")
@verb
async def list_targets(
    session: Session, project: ProjectArgument, environment: EnvironmentArgument
) -> None:
    """List the targets of an environment in their stored order."""
    found = await _environment(session, project, environment)
    agents = {each["id"]: each for each in await names.agents(session.client)}
    session.out.table(
        await names.targets(session.client, found["id"]),
        (
            ("NAME", "name"),
            ("AGENT", lambda each: agent_of(each, agents).get("name")),
            ("ONLINE", lambda each: agent_of(each, agents).get("online")),
            ("ID", "id"),
        ),
    )


@app.command("add")
@verb
async def add_target(
    session: Session,
    project: ProjectArgument,
    environment: EnvironmentArgument,
    name: NewNameArgument,
    agent: Annotated[
        str | None, typer.Option("--agent", metavar="AGENT", help="Its agent; else the same name.")
    ] = None,
) -> None:
    """Add a target after the ones that are there."""
    found = await _environment(session, project, environment)
    path = f"{names.RELEASE}/environments/{found['id']}/targets"
    target = await session.client.post(path, {"name": name, "agent": agent or name})
    made(session, target, "target")


@app.command("remove")
@verb
async def remove_target(
    session: Session,
    project: ProjectArgument,
    environment: EnvironmentArgument,
    name: NameArgument,
    yes: YesOption = False,
) -> None:
    """Remove a target. What runs there stays where it is."""
    owner = await _environment(session, project, environment)
    found = names.pick(await names.targets(session.client, owner["id"]), name, "target")
    be_sure(f"Remove target {found['name']} of {owner['name']}?", yes=yes)
    await session.client.delete(f"{names.RELEASE}/targets/{found['id']}")
    removed(session, found, "target")


async def _environment(session: Session, project: str, environment: str) -> Json:
    owner = await names.project(session.client, project)
    return await names.environment(session.client, owner["id"], environment)


def agent_of(target: Json, agents: dict[object, Json]) -> Json:
    """The agent of a target, as far as known."""
    return agents.get(target.get("agent_id") or target.get("agent"), {"name": target.get("agent")})
