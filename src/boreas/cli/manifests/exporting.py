"""Write a project down as the file that `boreas apply` would make it from.

Secrets stand there without values: each names a variable of the environment that `apply` reads
where the secret does not exist yet.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import yaml

from boreas.cli.client import Client, Json
from boreas.cli.manifests.comparing import known_of
from boreas.cli.manifests.differences import is_nothing
from boreas.cli.manifests.nouns import (
    APPLICATION,
    CREDENTIAL,
    ENVIRONMENT,
    MEMBER,
    VERSION,
    WORKFLOW,
    Known,
    Noun,
    name_in,
)
from boreas.cli.manifests.sight import (
    RELEASE,
    Sight,
    credential_name,
)
from boreas.domain.credentials import CredentialType
from boreas.domain.manifests import sources
from boreas.domain.manifests.references import names_in
from boreas.domain.manifests.schema import PATH

_UNFIT: Final = re.compile(r"[^A-Z0-9]+")


async def project_document(
    client: Client, project: Json, *, with_versions: bool = True
) -> dict[str, Any]:
    """Everything a project holds, in the words of the files."""
    export = _Export(Sight(client, project), await known_of(Sight(client, project)))
    return await export.document(with_versions=with_versions)


def as_text(documents: Iterable[Mapping[str, Any]], *, server: str) -> str:
    """The file, with the schema for editors named at its top."""
    body = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return f"# yaml-language-server: $schema={server}{PATH}\n{body}"


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks; no anchors, which nobody wrote."""

    def ignore_aliases(self, data: Any) -> bool:
        """Always: the same value twice is two values to people."""
        return True


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text_node)


class _Export:
    """Writes one project down."""

    def __init__(self, sight: Sight, known: Known) -> None:
        self._sight = sight
        self._known = known
        self._project: Json = sight.project or {}

    async def document(self, *, with_versions: bool) -> dict[str, Any]:
        """In the order in which people read it. Lists stand there although they are empty."""
        applications = [await self._application(it) for it in await self._parts(APPLICATION)]
        environments = [await self._environment(it) for it in await self._parts(ENVIRONMENT)]
        versions = [_version(self._entry(VERSION, it)) for it in await self._oldest_first()]
        document: dict[str, Any] = {"project": self._project["name"]}
        for key in ("description", "config"):
            if not is_nothing(self._project.get(key)):
                document[key] = self._project[key]
        document["variables"] = await self._variables(
            f"{RELEASE}/projects/{self._sight.project_id}", ()
        )
        named = [*applications, *(versions if with_versions else [])]
        document["credentials"] = self._credentials(named)
        document["applications"] = applications
        document["environments"] = environments
        if order := await self._promotion_order():
            document["promotion_order"] = order
        document["workflows"] = [await self._workflow(it) for it in await self._parts(WORKFLOW)]
        if with_versions:
            document["versions"] = versions
        document["members"] = [
            {"user": name_in(it), "role": it["role"]} for it in await self._parts(MEMBER)
        ]
        return document

    async def _parts(self, noun: Noun) -> list[Json]:
        return await self._sight.parts(noun.key)

    async def _oldest_first(self) -> list[Json]:
        return sorted(await self._parts(VERSION), key=lambda each: str(each.get("created_at")))

    def _entry(self, noun: Noun, found: Json) -> dict[str, Any]:
        """Name and fields, without those that are empty."""
        written = noun.written(found, self._known)
        kept = {key: value for key, value in written.items() if not is_nothing(value)}
        return {"name": found["name"], **kept}

    async def _application(self, found: Json) -> dict[str, Any]:
        path = f"{RELEASE}/applications/{found['id']}"
        variables = await self._variables(path, (found["name"],))
        return {**self._entry(APPLICATION, found), "variables": variables}

    async def _environment(self, found: Json) -> dict[str, Any]:
        path = f"{RELEASE}/environments/{found['id']}"
        variables = await self._variables(path, (found["name"],))
        targets = [
            {"name": each["name"], "agent": each["agent"]}
            for each in await self._sight.targets(found)
        ]
        return {**self._entry(ENVIRONMENT, found), "variables": variables, "targets": targets}

    async def _workflow(self, found: Json) -> dict[str, Any]:
        path = WORKFLOW.own_path(self._sight.project_id, found)
        return self._entry(WORKFLOW, await self._sight.client.get(path))

    async def _variables(self, path: str, words: tuple[str, ...]) -> dict[str, Any]:
        found = await self._sight.variables(f"{path}/variables")
        return {
            str(it["name"]): {"value_from": self._env(*words, str(it["name"]))}
            if it.get("secret")
            else it["value"]
            for it in found
        }

    async def _promotion_order(self) -> list[str]:
        known = {each["id"]: str(each["name"]) for each in await self._parts(ENVIRONMENT)}
        return [known.get(it, str(it)) for it in self._project.get("promotion_order") or ()]

    def _credentials(self, named: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The project's own, and the global ones that it names."""
        wanted = {name for each in named for name in _names_in_all(each)}
        return [
            self._credential(each)
            for each in self._known.credentials
            if each.get("scope") != "global"
            or credential_name(self._known.credentials, str(each["id"])) in wanted
        ]

    def _credential(self, found: Json) -> dict[str, Any]:
        entry = self._entry(CREDENTIAL, found)
        kind, name = CredentialType(str(found["type"])), str(found["name"])
        if entry.get("scope") == "project":
            del entry["scope"]
        for part in sources.NEEDED[kind]:
            if part not in entry:
                entry[part + sources.FROM] = self._env(name, part)
        return {**entry, "value_from": self._env(name)}

    def _env(self, *words: str) -> dict[str, str]:
        """The variable that a secret would be read from, if it were not there."""
        whole = " ".join((str(self._project["name"]), *words)).upper()
        name = _UNFIT.sub("_", whole).strip("_") or "SECRET"
        return {"env": f"_{name}" if name[0].isdigit() else name}


def _names_in_all(entry: Mapping[str, Any]) -> set[str]:
    parts = (entry, entry.get("spec"), entry.get("build"))
    return {name for part in parts for name in names_in(part).values()}


def _version(version: dict[str, Any]) -> dict[str, Any]:
    """Pinned to its commit: a branch may have moved on since."""
    if version.get("git", {}).get("commit"):
        version["git"].pop("ref", None)
    return version
