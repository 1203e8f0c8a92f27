"""What differs in the variables of each level: one change, and one request, per level."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from boreas.cli.client import Json
from boreas.cli.manifests.differences import MISSING, Change, Deed, Need, short
from boreas.cli.manifests.documents import Item, WantedProject
from boreas.cli.manifests.nouns import APPLICATION, ENVIRONMENT
from boreas.cli.manifests.sight import RELEASE, Sight
from boreas.domain.manifests.sources import source_of

SECRET = "(secret)"


async def compare(
    sight: Sight, wanted: WantedProject, *, prune: bool, update_secrets: bool
) -> AsyncIterator[Change]:
    """Of the project, its applications and environments, where a file speaks of them."""
    levels: list[tuple[str, Item, Mapping[str, Any] | None]] = [
        ("project", wanted.item, wanted.variables)
    ]
    for noun in (APPLICATION, ENVIRONMENT):
        levels += [(noun.name, item, item.variables) for item in wanted.items(noun.key)]
    for kind, item, variables in levels:
        if variables is None:
            continue
        path = await path_of(sight, kind, item.name)
        present = [] if path is None else await sight.variables(path)
        level = _Level(present, variables, prune=prune, update_secrets=update_secrets)
        if details := level.details():
            yield Change(
                deed=Deed.UPDATE,
                noun="variables",
                name=f"of {kind} {item.name or wanted.name}",
                item=item,
                details=tuple(details),
                inside="",
                fields={"kind": kind, "items": level.items()},
                needs=level.needs(),
            )


async def path_of(sight: Sight, kind: str, name: str) -> str | None:
    """Where a level's list is; None when the level is not there yet."""
    if sight.project is None:
        return None
    if kind == "project":
        return f"{RELEASE}/projects/{sight.project_id}/variables"
    found = next((it for it in await sight.parts(f"{kind}s") if it["name"] == name), None)
    return None if found is None else f"{RELEASE}/{kind}s/{found['id']}/variables"


class _Level:
    """One level's list: what is there, and what the file says of it."""

    def __init__(
        self,
        present: Sequence[Json],
        wanted: Mapping[str, Any],
        *,
        prune: bool,
        update_secrets: bool,
    ) -> None:
        self._present = {str(it["name"]): it for it in present}
        self._wanted = wanted
        self._gone = [name for name in self._present if prune and name not in wanted]
        self._update_secrets = update_secrets

    def details(self) -> list[str]:
        """A line per variable that differs; no secret value ever stands in one."""
        lines = [
            f"{name}: {self._before(name)} -> {SECRET if _is_secret(value) else short(value)}"
            for name, value in self._wanted.items()
            if self._differs(name, value)
        ]
        return lines + [f"{name}: {self._before(name)} -> {MISSING}" for name in self._gone]

    def items(self) -> list[dict[str, Any]]:
        """The whole list; a secret without value keeps the one it has."""
        kept = [
            {"name": name, "secret": True}
            if it.get("secret")
            else {"name": name, "value": it["value"]}
            for name, it in self._present.items()
            if name not in self._gone and name not in self._wanted
        ]
        given = [
            {"name": name, "secret": True} if _is_secret(value) else {"name": name, "value": value}
            for name, value in self._wanted.items()
        ]
        return kept + given

    def needs(self) -> tuple[Need, ...]:
        """The secrets that the server lacks, or all with `--update-secrets`."""
        return tuple(
            Need(
                part=name,
                source=source_of(value["value_from"]) if value.get("value_from") else None,
                at=f"variables.{name}",
            )
            for name, value in self._wanted.items()
            if _is_secret(value) and self._differs(name, value)
        )

    def _differs(self, name: str, value: Any) -> bool:
        there = self._present.get(name)
        if _is_secret(value):
            is_kept = there is not None and bool(there.get("secret"))
            return not is_kept or (self._update_secrets and bool(value.get("value_from")))
        return there is None or bool(there.get("secret")) or there.get("value") != value

    def _before(self, name: str) -> str:
        there = self._present.get(name)
        if there is None:
            return MISSING
        return SECRET if there.get("secret") else short(there.get("value")) or "(empty)"


def _is_secret(value: Any) -> bool:
    return isinstance(value, Mapping)


def body(change: Change, values: Mapping[str, str]) -> dict[str, Any]:
    """The whole list of the level."""
    items = [
        {**it, "value": values[it["name"]]} if it["name"] in values else it
        for it in change.fields["items"]
    ]
    return {"items": items}
