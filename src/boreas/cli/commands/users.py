"""`boreas users`: who can sign in. Making and changing people is for admins."""

from typing import Annotated, Final

import typer

from boreas.cli import names
from boreas.cli.client import Client, Json
from boreas.cli.commands.login import read_password
from boreas.cli.nouns import given, show
from boreas.cli.verbs import Session, new_app, verb

app = new_app("Users: who can sign in here.")
PATH: Final = f"{names.RELEASE}/users"
COLUMNS = (
    ("NAME", "username"),
    ("DISPLAYED", "display_name"),
    ("E-MAIL", "email"),
    ("ADMIN", "is_admin"),
    ("DISABLED", "disabled_at"),
    ("ID", "id"),
)
UserArgument = Annotated[str, typer.Argument(metavar="USER", help="User name or id.")]
WhyOption = Annotated[
    str | None, typer.Option("--why", metavar="TEXT", help="Goes into the audit trail.")
]
DisplayOption = Annotated[str | None, typer.Option("--display-name", metavar="TEXT")]
EmailOption = Annotated[str | None, typer.Option("--email", metavar="ADDRESS")]
StdinOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]


async def user(client: Client, wanted: str) -> Json:
    """A user by name or id."""
    known = [{**each, "name": each.get("username")} for each in await client.listed(PATH)]
    return names.pick(known, wanted, "user")


@app.command("list")
@verb
async def list_users(session: Session) -> None:
    """List everybody; addresses and who is an admin are shown to admins."""
    session.out.table(await session.client.listed(PATH), COLUMNS)


@app.command("show")
@verb
async def show_user(session: Session, name: UserArgument) -> None:
    """Show one person."""
    found = await user(session.client, name)
    show(session, await session.client.get(f"{PATH}/{found['id']}"))


@app.command("create")
@verb
async def create_user(  # noqa: PLR0913 - a command line's options are its signature
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What they sign in with.")],
    display_name: DisplayOption = None,
    email: EmailOption = None,
    admin: Annotated[bool, typer.Option("--admin", help="May do everything.")] = False,
    password_stdin: StdinOption = False,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="They sign in by the identity provider only.")
    ] = False,
) -> None:
    """Make somebody who can sign in; the password is asked for, never an argument."""
    password = None if no_password else read_password(from_stdin=password_stdin, new=True)
    body = given(
        username=name, display_name=display_name, email=email, is_admin=admin, password=password
    )
    found = await session.client.post(PATH, body)
    session.out.result(found, f"user {name} ({found['id']}) made")


@app.command("change")
@verb
async def change_user(
    session: Session,
    name: UserArgument,
    display_name: DisplayOption = None,
    email: EmailOption = None,
    admin: Annotated[
        bool | None, typer.Option("--admin/--no-admin", help="May do everything, or no more.")
    ] = None,
) -> None:
    """Change what is given."""
    found = await user(session.client, name)
    body = given(display_name=display_name, email=email, is_admin=admin)
    changed = await session.client.patch(f"{PATH}/{found['id']}", body)
    session.out.result(changed, f"user {found['username']} changed")


@app.command("disable")
@verb
async def disable_user(session: Session, name: UserArgument, why: WhyOption = None) -> None:
    """Let nobody in with this account: sessions end, tokens count no more."""
    found = await user(session.client, name)
    done = await session.client.post(f"{PATH}/{found['id']}/disable", {"reason": why or ""})
    session.out.result(done, f"user {found['username']} is disabled")


@app.command("enable")
@verb
async def enable_user(session: Session, name: UserArgument, why: WhyOption = None) -> None:
    """Let them in again."""
    found = await user(session.client, name)
    done = await session.client.post(f"{PATH}/{found['id']}/enable", {"reason": why or ""})
    session.out.result(done, f"user {found['username']} is enabled")


@app.command("password")
@verb
async def reset_password(
    session: Session,
    name: UserArgument,
    password_stdin: StdinOption = False,
    end_tokens: Annotated[
        bool, typer.Option("--end-tokens", help="Their API tokens end, too.")
    ] = False,
) -> None:
    """Give somebody a new password; every session of theirs ends."""
    found = await user(session.client, name)
    password = read_password(from_stdin=password_stdin, new=True)
    body = {"new_password": password, "end_tokens": end_tokens}
    done = await session.client.post(f"{PATH}/{found['id']}/password", body)
    session.out.result(done, f"user {found['username']} has a new password")
