"""`boreas agents`: the resident programs on the nodes, and the tokens that let new ones in."""

from typing import Annotated

import typer

from boreas.cli import names
from boreas.cli.nouns import NameArgument, YesOption, be_sure, labels_of, removed, show
from boreas.cli.verbs import Session, new_app, verb

app = new_app("Agents: the only programs that ever touch a target.")
PATH = f"{names.RELEASE}/agents"
COLUMNS = (
    ("NAME", "name"),
    ("ONLINE", "online"),
    ("LABELS", "labels"),
    ("VERSION", "version"),
    ("TRANSPORT", "transport"),
    ("LAST SEEN", "last_seen_at"),
    ("REVOKED", "revoked_at"),
    ("ID", "id"),
)


@app.command("list")
@verb
async def list_agents(session: Session) -> None:
    """List all agents."""
    session.out.table(await names.agents(session.client), COLUMNS)


@app.command("show")
@verb
async def show_agent(session: Session, name: NameArgument) -> None:
    """Show one agent with the facts it reports."""
    show(session, await names.agent(session.client, name))


@app.command("token")
@verb
async def make_enrol_token(
    session: Session,
    ttl: Annotated[
        int, typer.Option("--ttl", min=1, metavar="SECONDS", help="How long it is good.")
    ] = 3600,
    uses: Annotated[int, typer.Option("--uses", min=1, help="How many agents it lets in.")] = 1,
    label: Annotated[
        list[str] | None, typer.Option("--label", metavar="NAME=VALUE", help="Of those agents.")
    ] = None,
) -> None:
    """Make an enrol token; it is shown once, alone on stdout."""
    body = {"ttl_seconds": ttl, "uses": uses, "labels": labels_of(label)}
    found = await session.client.post(f"{PATH}/enroll-tokens", body)
    session.out.result(found, str(found["token"]))
    session.out.say("Start the agent with: boreas agent --server HOST:PORT --token TOKEN --name N")


@app.command("revoke")
@verb
async def revoke_agent(session: Session, name: NameArgument, yes: YesOption = False) -> None:
    """Shut an agent out for good; it may come back only with a new enrol token."""
    found = await names.agent(session.client, name)
    be_sure(f"Revoke agent {found['name']}?", yes=yes)
    await session.client.post(f"{PATH}/{found['id']}/revoke")
    document = {"id": found["id"], "revoked": True}
    session.out.result(document, f"agent {found['name']} is revoked")


@app.command("delete")
@verb
async def delete_agent(session: Session, name: NameArgument, yes: YesOption = False) -> None:
    """Forget a revoked agent that no target uses any more."""
    found = await names.agent(session.client, name)
    be_sure(f"Forget agent {found['name']}?", yes=yes)
    await session.client.delete(f"{PATH}/{found['id']}")
    removed(session, found, "agent")
