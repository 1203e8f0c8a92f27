"""What a server has of one project, and the names of what it knows by id."""

from collections.abc import Iterable
from typing import Any, Final

from boreas.cli import names
from boreas.cli.client import Client, Json
from boreas.cli.failures import not_found

RELEASE: Final = names.RELEASE
OWN_GLOBAL: Final = "global:"
"""Before the name of a global credential that a project's own of the same name hides."""


class Sight:
    """One project as the server shows it; lists are asked for once, when they are needed."""

    def __init__(self, client: Client, project: Json | None) -> None:
        self.client = client
        self.project = project
        self._lists: dict[str, list[Any]] = {}

    @classmethod
    async def of(cls, client: Client, name: str) -> "Sight":
        """The project of this name, if there is one."""
        known = await client.listed(f"{RELEASE}/projects")
        return cls(client, next((each for each in known if each.get("name") == name), None))

    @property
    def project_id(self) -> str:
        """Its id; the project must be there."""
        if self.project is None:
            raise not_found("the project is not there")
        return str(self.project["id"])

    async def made(self, project: Json) -> None:
        """The project is there from now on."""
        self.project = project
        self._lists.clear()

    async def me(self) -> str:
        """Who asks."""
        return str((await self.client.get(f"{RELEASE}/me")).get("username"))

    async def listed(self, path: str, **query: Any) -> list[Json]:
        """A list of the server, asked for once."""
        if path not in self._lists:
            self._lists[path] = await self.client.listed(path, **query)
        return self._lists[path]

    def forget(self, path: str) -> None:
        """Somebody changed this list: ask again."""
        self._lists.pop(path, None)

    async def parts(self, key: str) -> list[Json]:
        """`applications`, `environments`, `workflows`, `versions`, `members`; none yet: empty."""
        if self.project is None:
            return []
        return await self.listed(f"{RELEASE}/projects/{self.project_id}/{key}")

    async def part(self, key: str, name: str) -> Json:
        """One of them by name."""
        return names.pick(await self.parts(key), name, key.removesuffix("s"))

    async def targets(self, environment: Json) -> list[Json]:
        """The targets of an environment in their order, each with its agent's name."""
        found = await self.listed(targets_path(environment))
        return [{**each, "agent": await self._agent_name(each)} for each in found]

    async def _agent_name(self, target: Json) -> Any:
        if target.get("agent") and not str(target["agent"]).startswith("agt_"):
            return target["agent"]
        agent_id = target.get("agent_id") or target.get("agent")
        known = await self.listed(f"{RELEASE}/agents")
        return next((each["name"] for each in known if each["id"] == agent_id), agent_id)

    async def credentials(self) -> list[Json]:
        """The project's own and the global ones that the caller may name."""
        owner = None if self.project is None else self.project_id
        found = await self.listed(f"{RELEASE}/credentials", project_id=owner)
        return [
            each
            for each in found
            if each.get("scope") == "global"
            or (self.project is not None and each.get("project_id") == owner)
        ]

    async def variables(self, path: str) -> list[Json]:
        """What one level gives."""
        if path not in self._lists:
            self._lists[path] = list((await self.client.get(path))["items"])
        return self._lists[path]


def targets_path(environment: Json) -> str:
    """Where an environment's targets are listed."""
    return f"{RELEASE}/environments/{environment['id']}/targets"


def credential_name(known: Iterable[Json], id_: str) -> str:
    """How files call the credential with this id; the id itself if nobody shows its name."""
    found = next((each for each in known if each["id"] == id_), None)
    if found is None:
        return id_
    if found.get("scope") != "global":
        return str(found["name"])
    hidden = any(each["name"] == found["name"] and each["id"] != id_ for each in known)
    return f"{OWN_GLOBAL if hidden else ''}{found['name']}"


def credential_named(known: Iterable[Json], name: str) -> Json | None:
    """The credential that a file means: the project's own before a global one."""
    everything = sorted(known, key=lambda each: each.get("scope") == "global")
    for each in everything:
        if each["name"] == name:
            return each
    wanted = name.removeprefix(OWN_GLOBAL)
    for each in everything:
        if wanted != name and each.get("scope") == "global" and each["name"] == wanted:
            return each
    return None
