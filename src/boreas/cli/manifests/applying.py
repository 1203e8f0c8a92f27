"""Bring a server to what project files say: look, compare, then do what differs, in a safe order.

Created top down, deleted last, so that nothing is ever named before it is there.
"""

from collections.abc import AsyncIterator
from typing import Any, Final

from boreas.cli import names
from boreas.cli.client import Client, Json
from boreas.cli.exits import ExitCode
from boreas.cli.failures import Failure
from boreas.cli.manifests.differences import Change, Deed, changed_fields, compare
from boreas.cli.manifests.documents import WantedProject, refused

RELEASE: Final = names.RELEASE
LISTS: Final = {"application": "applications", "environment": "environments", "version": "versions"}


class Applier:
    """Compares and changes one project."""

    def __init__(self, client: Client, wanted: WantedProject, *, prune: bool) -> None:
        self._client = client
        self._wanted = wanted
        self._prune = prune
        self._agents: list[Json] = []

    async def changes(self) -> list[Change]:
        """What would be done now; nothing is done."""
        project = await self._present_project()
        self._agents = await names.agents(self._client)
        found = [each async for each in self._changes(project)]
        return sorted(found, key=lambda change: change.deed is Deed.DELETE)

    async def apply(self, changes: list[Change]) -> None:
        """Do them. Stops at the first that the server refuses, with the file and the line of it."""
        for change in changes:
            if change.deed is Deed.CLASH:
                raise _clash(change)
        for change in changes:
            try:
                await self._do(change)
            except Failure as failure:
                raise _placed(failure, change) from failure

    async def _present_project(self) -> Json | None:
        known = await self._client.listed(f"{RELEASE}/projects")
        return next((each for each in known if each.get("name") == self._wanted.name), None)

    async def _changes(self, project: Json | None) -> AsyncIterator[Change]:
        if project is None:
            yield Change(
                deed=Deed.CREATE, noun="project", name=self._wanted.name, fields=self._wanted.fields
            )
        elif changed := changed_fields(self._wanted.fields, project):
            yield Change(
                deed=Deed.UPDATE,
                noun="project",
                name=self._wanted.name,
                existing=project,
                details=tuple(changed.values()),
                fields=self._wanted.fields,
            )
        for change in await self._owned(project, "application", prune=self._prune):
            yield change
        for change in await self._owned(project, "environment", prune=self._prune):
            yield change
        async for change in self._targets(project):
            yield change
        # Versions are immutable and history points at them: they are never pruned.
        for change in await self._owned(project, "version", prune=False):
            yield _as_clash(change) if change.deed is Deed.UPDATE else change

    async def _owned(self, project: Json | None, noun: str, *, prune: bool) -> list[Change]:
        wanted = getattr(self._wanted, LISTS[noun])
        present = await names.parts(self._client, project["id"], LISTS[noun]) if project else []
        return list(compare(noun, wanted, present, prune=prune))

    async def _targets(self, project: Json | None) -> AsyncIterator[Change]:
        present = await names.parts(self._client, project["id"], "environments") if project else []
        by_name = {each["name"]: each for each in present}
        for environment in self._wanted.environments:
            known = by_name.get(environment.name)
            targets = await names.targets(self._client, known["id"]) if known else []
            for change in compare(
                "target",
                environment.children,
                [self._with_agent_name(each) for each in targets],
                prune=self._prune,
                inside=environment.name,
            ):
                yield change

    def _with_agent_name(self, target: Json) -> Json:
        """A target as files write it: its agent by name."""
        agent_id = target.get("agent_id") or target.get("agent")
        named = next((each for each in self._agents if each.get("id") == agent_id), None)
        return {**target, "agent": named["name"] if named else target.get("agent", agent_id)}

    async def _do(self, change: Change) -> None:
        body = {"name": change.name, **change.fields}
        if change.deed is Deed.CREATE:
            await self._client.post(await self._list_path(change), body)
        elif change.existing is not None and change.deed is Deed.UPDATE:
            await self._client.patch(_own_path(change, change.existing), dict(change.fields))
        elif change.existing is not None:
            await self._client.delete(_own_path(change, change.existing))

    async def _list_path(self, change: Change) -> str:
        if change.noun == "project":
            return f"{RELEASE}/projects"
        project = await names.project(self._client, self._wanted.name)
        if change.noun == "target":
            owner = await names.environment(self._client, project["id"], change.inside)
            return f"{RELEASE}/environments/{owner['id']}/targets"
        return f"{RELEASE}/projects/{project['id']}/{LISTS[change.noun]}"


def _own_path(change: Change, existing: Json) -> str:
    return f"{RELEASE}/{change.noun}s/{existing['id']}"


def _as_clash(change: Change) -> Change:
    return Change(
        deed=Deed.CLASH,
        noun=change.noun,
        name=change.name,
        item=change.item,
        existing=change.existing,
        details=change.details,
    )


def _clash(change: Change) -> Failure:
    fields: Any = ()
    if change.item is not None:
        text = "; ".join(change.details)
        at = f"{change.item.at}.name"
        fields = (change.item.document.complaint(at, f"differs from the server: {text}"),)
    return Failure(
        f"version {change.name} is there and is not the same; versions never change",
        exit_code=ExitCode.CONFLICT,
        mend="give the new version a new name",
        fields=fields,
    )


def _placed(failure: Failure, change: Change) -> Failure:
    """The server's refusal, pointing into the file that asked for it."""
    if change.item is None or not failure.fields:
        return Failure(
            f"{change.noun} {change.name}: {failure.message}",
            exit_code=failure.exit_code,
            mend=failure.mend,
            code=failure.code,
            fields=failure.fields,
        )
    return refused([change.item.complaint(each) for each in failure.fields])
