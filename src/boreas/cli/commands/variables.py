"""`boreas variables`: get, set and explain the variables of a project, application, environment.

A secret's value is never an argument, where others could see it: it is asked for, or read from
stdin.
"""

import sys
from typing import Annotated, Any

import typer

from boreas.cli import names
from boreas.cli.arguments import ProjectArgument
from boreas.cli.client import Json
from boreas.cli.failures import usage
from boreas.cli.nouns import given
from boreas.cli.verbs import Session, new_app, verb

app = new_app("Variables that commands find in their environment.")

EnvironmentOption = Annotated[
    str | None, typer.Option("--env", "-e", metavar="ENVIRONMENT", help="Those of an environment.")
]
ApplicationOption = Annotated[
    str | None, typer.Option("--app", "-a", metavar="APP", help="Those of an application.")
]


def _value(row: Any) -> str:
    return "***" if row.get("secret") else str(row.get("value"))


def _from(row: Any) -> str:
    return f"{row['origin']['kind']} {row['origin']['name']}"


def _overrode(row: Any) -> list[str]:
    return [f"{_value(it)} of {_from(it)}" for it in row.get("overrode") or ()]


COLUMNS = (("NAME", "name"), ("VALUE", _value), ("BY", "updated_by"), ("CHANGED", "updated_at"))
EXPLAINED = (("NAME", "name"), ("VALUE", _value), ("FROM", _from), ("OVERRIDES", _overrode))


@app.command("get")
@verb
async def get_variables(
    session: Session,
    project: ProjectArgument,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Only this one.")] = None,
    env: EnvironmentOption = None,
    app: ApplicationOption = None,
) -> None:
    """List what one level gives; secrets without their values."""
    path = await _path(session, project, env, app)
    items = list((await session.client.get(path))["items"])
    if name is not None:
        session.out.result(found := names.pick(items, name, "variable"), _value(found))
        return
    session.out.table(items, COLUMNS)


@app.command("set")
@verb
async def set_variables(  # noqa: PLR0913 - a command line's options are its signature
    session: Session,
    project: ProjectArgument,
    pairs: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="Plain values.")
    ] = None,
    secret: Annotated[
        str | None,
        typer.Option("--secret", metavar="NAME", help="A secret; its value is read from stdin."),
    ] = None,
    unset: Annotated[
        list[str] | None, typer.Option("--unset", metavar="NAME", help="Take it away.")
    ] = None,
    env: EnvironmentOption = None,
    app: ApplicationOption = None,
) -> None:
    """Set, change or take away some variables of one level; the others stay as they are."""
    changes = [_plain(pair) for pair in pairs or ()]
    if secret is not None:
        changes.append({"name": secret, "value": _read_secret(secret), "secret": True})
    if not changes and not unset:
        raise usage("there is nothing to set", mend="write NAME=VALUE, --secret or --unset")
    path = await _path(session, project, env, app)
    present = {str(it["name"]): it for it in (await session.client.get(path))["items"]}
    gone = set(unset or ())
    for each in gone - present.keys():
        raise usage(f"there is no variable {each} here", mend="see them with: boreas variables get")
    kept = [_as_sent(it) for name, it in present.items() if name not in gone]
    wanted = {str(it["name"]): it for it in [*kept, *changes]}
    answer = await session.client.put(path, {"items": list(wanted.values())})
    for warning in answer.get("warnings") or ():
        session.out.say(f"warning: {warning}")
    session.out.result(answer, f"{len(answer['items'])} variables")


@app.command("explain")
@verb
async def explain_variables(
    session: Session,
    project: ProjectArgument,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Only this one.")] = None,
    env: EnvironmentOption = None,
    app: ApplicationOption = None,
    task: Annotated[
        str | None, typer.Option("--task", metavar="TASK", help="Also its own variables.")
    ] = None,
) -> None:
    """Say what a new deployment would get: each value, where it comes from, what it overrides."""
    found = await names.project(session.client, project)
    path = f"{names.RELEASE}/projects/{found['id']}/variables/resolved"
    query = given(environment=env, application=app, task=task)
    resolved = await session.client.get(path, **query)
    if name is None and session.out.is_json:
        session.out.result(resolved)
        return
    if name is None:
        session.out.table(resolved["items"], EXPLAINED)
        return
    only = names.pick(resolved["items"], name, "variable")
    session.out.result(only, str(only["text"]))


async def _path(session: Session, project: str, env: str | None, app: str | None) -> str:
    """Of the one level that is meant."""
    if env and app:
        raise usage("--env and --app name two levels", mend="set them one after the other")
    owner = await names.project(session.client, project)
    if env:
        found = await names.environment(session.client, owner["id"], env)
        return f"{names.RELEASE}/environments/{found['id']}/variables"
    if app:
        found = await names.application(session.client, owner["id"], app)
        return f"{names.RELEASE}/applications/{found['id']}/variables"
    return f"{names.RELEASE}/projects/{owner['id']}/variables"


def _plain(pair: str) -> Json:
    name, equals, value = pair.partition("=")
    if not name or not equals:
        raise usage(f"{pair!r} has no value", mend="write NAME=VALUE, or --secret NAME")
    return {"name": name, "value": value}


def _as_sent(item: Json) -> Json:
    """A secret without its value keeps it."""
    if item.get("secret"):
        return {"name": item["name"], "secret": True}
    return {"name": item["name"], "value": item["value"]}


def _read_secret(name: str) -> str:
    if sys.stdin.isatty():
        return str(typer.prompt(f"value of {name}", hide_input=True, err=True))
    return sys.stdin.read().removesuffix("\n")
