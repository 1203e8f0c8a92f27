"""`boreas credentials`: keep what agents get in elsewhere with. Values go in and never come out."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from boreas.cli import names
from boreas.cli.client import Json
from boreas.cli.failures import usage
from boreas.cli.nouns import (
    NameArgument,
    NewNameArgument,
    YesOption,
    be_sure,
    given,
    made,
    removed,
)
from boreas.cli.secret_input import read_secret
from boreas.cli.verbs import Session, new_app, verb
from boreas.domain.credentials import CredentialType

app = new_app("Credentials: what agents get in elsewhere with. Values are never shown.")
PATH: Final = f"{names.RELEASE}/credentials"
COLUMNS = (
    ("NAME", "name"),
    ("TYPE", "type"),
    ("SCOPE", "scope"),
    ("REVISION", "revision"),
    ("LAST USED", "last_used_at"),
    ("ID", "id"),
)
LOG_COLUMNS = (
    ("WHEN", "created_at"),
    ("ACTION", "action"),
    ("WHO", "user"),
    ("FROM", "ip_address"),
    ("REVISION", "revision"),
    ("WHAT FOR", "purpose"),
)
SECRET: Final = {
    CredentialType.USERNAME_TOKEN: "password",
    CredentialType.ACCESS_TOKEN: "token",
    CredentialType.SSH: "private_key",
    CredentialType.REGISTRY: "password",
    CredentialType.KUBECONFIG: "kubeconfig",
}
"""The field that is read from a file, from standard input or from a person."""
_LINES: Final = frozenset({"private_key", "kubeconfig"})

OwnerOption = Annotated[
    str | None,
    typer.Option("--project", "-p", metavar="PROJECT", help="Of this project; else the global."),
]
FileOption = Annotated[
    str | None,
    typer.Option(
        "--file", "-f", metavar="FILE", help="Read the secret there; - is standard input."
    ),
]
UsernameOption = Annotated[str | None, typer.Option("--username", "-u", metavar="NAME")]
RegistryOption = Annotated[str | None, typer.Option("--registry", metavar="HOST[:PORT]")]
PassphraseOption = Annotated[
    str | None,
    typer.Option("--passphrase-file", metavar="FILE", help="Of an encrypted SSH key."),
]
KnownHostsOption = Annotated[
    str | None,
    typer.Option("--known-hosts", metavar="FILE", help="Host keys that are right, for SSH."),
]
DescriptionOption = Annotated[str | None, typer.Option("--description", "-d", metavar="TEXT")]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What a person said of a value."""

    file: str | None
    username: str | None
    registry: str | None
    passphrase_file: str | None
    known_hosts: str | None

    @property
    def are_given(self) -> bool:
        return any(
            (self.file, self.username, self.registry, self.passphrase_file, self.known_hosts)
        )

    def data(self, kind: CredentialType) -> dict[str, Any]:
        """The value as the server wants it."""
        field = SECRET[kind]
        words = field.replace("_", " ")
        secret = read_secret(self.file, what=words, lines=field in _LINES)
        return {
            **given(username=self.username, registry=self.registry),
            field: secret,
            **self._more("passphrase", self.passphrase_file, lines=False),
            **self._more("known_hosts", self.known_hosts, lines=True),
        }

    def _more(self, field: str, file: str | None, *, lines: bool) -> dict[str, str]:
        if file is None:
            return {}
        return {field: read_secret(file, what=field.replace("_", " "), lines=lines)}


@app.command("list")
@verb
async def list_credentials(session: Session, project: OwnerOption = None) -> None:
    """List credentials: of a project with the global ones beside, or all that you see."""
    session.out.table(await _known(session, project), COLUMNS)


@app.command("add")
@verb
async def add_credential(  # noqa: PLR0913 - a command line's options are its signature
    session: Session,
    name: NewNameArgument,
    kind: Annotated[CredentialType, typer.Option("--type", "-t", help="What it opens.")],
    project: OwnerOption = None,
    everybody: Annotated[
        bool, typer.Option("--global", help="For every project; admins only.")
    ] = False,
    description: DescriptionOption = None,
    file: FileOption = None,
    username: UsernameOption = None,
    registry: RegistryOption = None,
    passphrase_file: PassphraseOption = None,
    known_hosts: KnownHostsOption = None,
) -> None:
    """Store a credential. Its secret comes from --file, or is asked for."""
    if (project is None) != everybody:
        raise usage("say whose it shall be", mend="either --project PROJECT or --global")
    owner = None if project is None else await names.project(session.client, project)
    parts = _Parts(
        file=file,
        username=username,
        registry=registry,
        passphrase_file=passphrase_file,
        known_hosts=known_hosts,
    )
    body = {
        "name": name,
        "type": kind.value,
        "scope": "global" if owner is None else "project",
        **given(description=description, project_id=None if owner is None else owner["id"]),
        "data": parts.data(kind),
    }
    made(session, await session.client.post(PATH, body), "credential")


@app.command("update")
@verb
async def update_credential(  # noqa: PLR0913 - a command line's options are its signature
    session: Session,
    name: NameArgument,
    project: OwnerOption = None,
    new_name: Annotated[str | None, typer.Option("--rename", metavar="NAME")] = None,
    description: DescriptionOption = None,
    file: FileOption = None,
    username: UsernameOption = None,
    registry: RegistryOption = None,
    passphrase_file: PassphraseOption = None,
    known_hosts: KnownHostsOption = None,
    value: Annotated[bool, typer.Option("--value", help="Ask for a new secret.")] = False,
) -> None:
    """Change a credential. User name and registry stay unless given; runs under way keep theirs."""
    found = await _named(session, project, name)
    parts = _Parts(
        file=file,
        username=username,
        registry=registry,
        passphrase_file=passphrase_file,
        known_hosts=known_hosts,
    )
    changes_value = value or parts.are_given
    data = parts.data(CredentialType(found["type"])) if changes_value else None
    body = given(name=new_name, description=description, data=data)
    if not body:
        raise usage("nothing to change", mend="see: boreas credentials update --help")
    after = await session.client.put(f"{PATH}/{found['id']}", body)
    words = f"credential {after['name']} ({after['id']}) is at revision {after['revision']}"
    session.out.result(after, words)


@app.command("remove")
@verb
async def remove_credential(
    session: Session,
    name: NameArgument,
    project: OwnerOption = None,
    force: Annotated[bool, typer.Option("--force", help="Although it is used.")] = False,
    yes: YesOption = False,
) -> None:
    """Remove a credential. Refused, with their names, while something uses it."""
    found = await _named(session, project, name)
    be_sure(f"Remove credential {found['name']}?", yes=yes)
    await session.client.delete(f"{PATH}/{found['id']}", **given(force="true" if force else None))
    removed(session, found, "credential")


@app.command("logs")
@verb
async def show_log(session: Session, name: NameArgument, project: OwnerOption = None) -> None:
    """Show who made, used and changed a credential; by id also after it was removed."""
    known = await _known(session, project)
    is_gone = name.startswith("cred_") and all(each["id"] != name for each in known)
    found = name if is_gone else names.pick(known, name, "credential")["id"]
    session.out.table(await session.client.listed(f"{PATH}/{found}/logs"), LOG_COLUMNS)


async def _known(session: Session, project: str | None) -> list[Json]:
    if project is None:
        return await session.client.listed(PATH)
    owner = await names.project(session.client, project)
    return await session.client.listed(PATH, project_id=owner["id"])


async def _named(session: Session, project: str | None, wanted: str) -> Json:
    """By name: a project's own before a global one of the same name."""
    known = await _known(session, project)
    if project is None:
        known.sort(key=lambda each: each["scope"] != "global")
    else:
        known.sort(key=lambda each: each["scope"] != "project")
    return names.pick(known, wanted, "credential")
