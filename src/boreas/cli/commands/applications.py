"""`boreas applications`: list, show and remove; `boreas apply` makes and changes them."""

from boreas.cli import names
from boreas.cli.arguments import ProjectArgument
from boreas.cli.nouns import NameArgument, YesOption, be_sure, removed, show
from boreas.cli.verbs import Session, new_app, verb

app = new_app("Applications of a project. Make and change them with: boreas apply.")
COLUMNS = (("NAME", "name"), ("DRIVER", "driver"), ("UPDATED", "updated_at"), ("ID", "id"))


@app.command("list")
@verb
async def list_applications(session: Session, project: ProjectArgument) -> None:
    """List the applications of a project."""
    found = await names.project(session.client, project)
    session.out.table(await names.parts(session.client, found["id"], "applications"), COLUMNS)


@app.command("show")
@verb
async def show_application(session: Session, project: ProjectArgument, name: NameArgument) -> None:
    """Show one application."""
    found = await names.project(session.client, project)
    show(session, await names.application(session.client, found["id"], name))


@app.command("delete")
@verb
async def delete_application(
    session: Session, project: ProjectArgument, name: NameArgument, yes: YesOption = False
) -> None:
    """Remove an application. What runs of it stays where it is."""
    owner = await names.project(session.client, project)
    found = await names.application(session.client, owner["id"], name)
    be_sure(f"Remove application {found['name']} of {owner['name']}?", yes=yes)
    await session.client.delete(f"{names.RELEASE}/applications/{found['id']}")
    removed(session, found, "application")
