"""Write a project down as the file that `boreas apply` would make it from."""

from collections.abc import Mapping
from typing import Any

from boreas.cli import names
from boreas.cli.client import Client, Json
from boreas.cli.manifests.documents import APPLICATION_KEYS, ENVIRONMENT_KEYS, VERSION_KEYS


async def project_document(
    client: Client, project: Json, *, with_versions: bool = True
) -> dict[str, Any]:
    """Everything a project holds, in the words of the files."""
    agents = {each["id"]: each["name"] for each in await names.agents(client)}
    applications = await names.parts(client, project["id"], "applications")
    environments = await names.parts(client, project["id"], "environments")
    document: dict[str, Any] = {"project": project["name"]}
    if project.get("description"):
        document["description"] = project["description"]
    document["applications"] = [_picked(each, APPLICATION_KEYS) for each in applications]
    document["environments"] = [
        {**_picked(each, ENVIRONMENT_KEYS), "targets": await _targets(client, each, agents)}
        for each in environments
    ]
    if with_versions:
        versions = await names.parts(client, project["id"], "versions")
        oldest_first = sorted(versions, key=lambda each: str(each.get("created_at")))
        document["versions"] = [_version(each) for each in oldest_first]
    return document


async def _targets(
    client: Client, environment: Json, agents: Mapping[object, object]
) -> list[dict[str, Any]]:
    return [
        {"name": each["name"], "agent": agents.get(each.get("agent_id"), each.get("agent"))}
        for each in await names.targets(client, environment["id"])
    ]


def _version(found: Json) -> dict[str, Any]:
    """A version pinned to its commit: a branch may have moved on since."""
    version = _picked(found, VERSION_KEYS)
    if version.get("git", {}).get("commit"):
        version["git"].pop("ref", None)
    return version


def _picked(found: Json, keys: tuple[str, ...]) -> dict[str, Any]:
    """Name and the given fields, without those that are empty."""
    kept = {key: _dense(found[key]) for key in keys if found.get(key) not in (None, "", {}, [])}
    return {"name": found["name"], **kept}


def _dense(value: Any) -> Any:
    """Without nulls inside: a file says only what is set."""
    if isinstance(value, Mapping):
        return {key: _dense(each) for key, each in value.items() if each is not None}
    return value
