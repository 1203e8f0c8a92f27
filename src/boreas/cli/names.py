"""Find what a person named: by name or id; deployments also as `#12`, `12` or `latest`."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Final

from boreas.cli.client import Client, Json
from boreas.cli.exits import ExitCode
from boreas.cli.failures import Failure, not_found

RELEASE: Final = "/api/release"
DEPLOYMENTS: Final = "/api/v1/deployments"


def pick(items: Iterable[Json], wanted: str, noun: str) -> Json:
    """The item with this id or name; `Failure` (not found) names what is near."""
    known = list(items)
    for key in ("id", "name"):
        for item in known:
            if item.get(key) == wanted:
                return item
    names = [str(item.get("name")) for item in known]
    near = get_close_matches(wanted, names, n=1)
    mend = f"did you mean {near[0]}?" if near else _known(names)
    raise not_found(f"there is no {noun} called {wanted}", mend=mend)


def _known(names: list[str]) -> str:
    return f"known: {', '.join(names[:10])}" if names else "there is none at all yet"


async def project(client: Client, wanted: str) -> Json:
    """A project by name or id."""
    return pick(await client.listed(f"{RELEASE}/projects"), wanted, "project")


async def parts(client: Client, project_id: object, noun: str) -> list[Json]:
    """What a project owns: `applications`, `environments` or `versions`."""
    return await client.listed(f"{RELEASE}/projects/{project_id}/{noun}")


async def environment(client: Client, project_id: object, wanted: str) -> Json:
    """An environment of a project by name or id."""
    return pick(await parts(client, project_id, "environments"), wanted, "environment")


async def application(client: Client, project_id: object, wanted: str) -> Json:
    """An application of a project by name or id."""
    return pick(await parts(client, project_id, "applications"), wanted, "application")


async def version(client: Client, project_id: object, wanted: str) -> Json:
    """A version of a project by name or id."""
    return pick(await parts(client, project_id, "versions"), wanted, "version")


async def targets(client: Client, environment_id: object) -> list[Json]:
    """The targets of an environment in their stored order."""
    return await client.listed(f"{RELEASE}/environments/{environment_id}/targets")


async def agents(client: Client) -> list[Json]:
    """Every agent that was ever enrolled."""
    return await client.listed(f"{RELEASE}/agents")


async def agent(client: Client, wanted: str) -> Json:
    """An agent by name or id."""
    return pick(await agents(client), wanted, "agent")


async def deployment(client: Client, wanted: str) -> Json:
    """A deployment, whole, by id, by number (`#12` or `12`), or the `latest` one."""
    number = wanted.removeprefix("#")
    if wanted == "latest":
        return await _whole(client, await _newest(client))
    if number.isdigit():
        return await _whole(client, await _numbered(client, int(number)))
    return await _whole(client, wanted)


async def _whole(client: Client, deployment_id: object) -> Json:
    try:
        found: Json = await client.get(f"{DEPLOYMENTS}/{deployment_id}")
    except Failure as failure:
        if failure.exit_code is not ExitCode.NOT_FOUND:
            raise
        mend = "see them with: boreas list"
        raise not_found(f"there is no deployment {deployment_id}", mend=mend) from failure
    return found


async def _newest(client: Client) -> object:
    async for each in client.every(DEPLOYMENTS, limit=1):
        return each["id"]
    raise not_found("there is no deployment yet", mend="make one with: boreas deploy")


async def _numbered(client: Client, number: int) -> object:
    async for each in client.every(DEPLOYMENTS):
        if each.get("number") == number:
            return each["id"]
        if isinstance(each.get("number"), int) and each["number"] < number:
            break  # newest first: it cannot come any more
    raise not_found(f"there is no deployment #{number}", mend="see them with: boreas list")


def task(found: Json, wanted: str) -> Json:
    """A task of a deployment by id or name."""
    tasks: list[Mapping[str, object]] = list(found.get("tasks") or ())
    return pick(tasks, wanted, "task")


def title(found: Json) -> str:
    """How a deployment is called in sentences."""
    return f"#{found['number']}" if found.get("number") is not None else str(found.get("id"))
