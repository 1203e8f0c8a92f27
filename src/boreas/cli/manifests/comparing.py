"""Find what differs between the files and the server; nothing is changed here.

In the order in which it is to be done: what is named before what names it, deletions after all
that is made, members last of all, because who applies may take the right away from themselves.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, Final

from boreas.cli.client import Json
from boreas.cli.manifests import credential_changes, member_changes, variable_changes
from boreas.cli.manifests.differences import Change, Deed, differing, is_same
from boreas.cli.manifests.documents import Item, WantedProject, refused
from boreas.cli.manifests.nouns import (
    APPLICATION,
    CREDENTIAL,
    ENVIRONMENT,
    MEMBER,
    VERSION,
    WORKFLOW,
    Fields,
    Known,
    Noun,
    name_in,
)
from boreas.cli.manifests.sight import OWN_GLOBAL, Sight, credential_named
from boreas.domain.errors import FieldError
from boreas.domain.manifests.references import names_in

_DELETED_IN: Final = ("workflow", "target", "environment", "application", "credential")
"""What names others goes before what is named."""


class Comparison:
    """Compares one project with what the server has."""

    def __init__(
        self, sight: Sight, wanted: WantedProject, *, prune: bool, update_secrets: bool
    ) -> None:
        self._sight = sight
        self._wanted = wanted
        self._prune = prune
        self._update_secrets = update_secrets
        self._known = Known()

    async def changes(self) -> list[Change]:
        """All of them, in a safe order; `Failure` when a file names what nobody has."""
        self._known = await known_of(self._sight, credentials=self._names_credentials())
        self._refuse_unknown_credentials()
        found = [each async for each in self._found()]
        deletions = [each for each in found if each.deed is Deed.DELETE]
        deletions.sort(key=lambda each: _DELETED_IN.index(each.noun))
        return [
            *(each for each in found if each.deed is not Deed.DELETE),
            *deletions,
            *await self._members(),
        ]

    async def _found(self) -> AsyncIterator[Change]:
        for change in self._project():
            yield change
        for change in credential_changes.compare(
            self._wanted,
            list(self._known.credentials),
            await self._still_named(),
            prune=self._prune,
            update_secrets=self._update_secrets,
        ):
            yield change
        for noun in (APPLICATION, ENVIRONMENT):
            for change in self._owned(noun, await self._sight.parts(noun.key)):
                yield change
        async for change in self._targets():
            yield change
        async for change in self._promotion_order():
            yield change
        async for change in variable_changes.compare(
            self._sight, self._wanted, prune=self._prune, update_secrets=self._update_secrets
        ):
            yield change
        for noun, present in ((WORKFLOW, self._workflows), (VERSION, self._versions)):
            for change in self._owned(noun, await present()):
                yield change

    def _project(self) -> Iterator[Change]:
        project, fields = self._sight.project, self._wanted.fields
        if project is None:
            yield Change(
                deed=Deed.CREATE,
                noun="project",
                name=self._wanted.name,
                item=self._wanted.item,
                fields=fields,
            )
        elif changed := differing(fields, project):
            yield Change(
                deed=Deed.UPDATE,
                noun="project",
                name=self._wanted.name,
                item=self._wanted.item,
                existing=project,
                details=tuple(changed.values()),
                fields={name: fields[name] for name in changed},
            )

    async def _promotion_order(self) -> AsyncIterator[Change]:
        wanted = self._wanted.promotion_order
        if wanted is None:
            return
        known = {each["id"]: each["name"] for each in await self._sight.parts(ENVIRONMENT.key)}
        ids = [] if self._sight.project is None else self._sight.project.get("promotion_order")
        written = [known.get(each, each) for each in ids or ()]
        if changed := differing({"promotion_order": wanted}, {"promotion_order": written}):
            yield Change(
                deed=Deed.UPDATE,
                noun="project",
                name=self._wanted.name,
                item=self._wanted.item,
                existing=self._sight.project,
                details=tuple(changed.values()),
                fields={"promotion_order": wanted},
            )

    def _owned(self, noun: Noun, present: Iterable[Json]) -> Iterator[Change]:
        by_name = {name_in(each): each for each in present}
        for item in self._wanted.items(noun.key):
            existing = by_name.pop(item.name, None)
            if existing is None:
                yield Change(
                    deed=Deed.CREATE, noun=noun.name, name=item.name, item=item, fields=item.fields
                )
            else:
                yield from _updated(noun, item, existing, self._known)
        if self._prune and noun.is_pruned and noun.key in self._wanted.lists:
            for name, existing in by_name.items():
                yield Change(deed=Deed.DELETE, noun=noun.name, name=name, existing=existing)

    async def _workflows(self) -> list[Json]:
        """With the text of those that the files name: lists do not show it."""
        named = {item.name for item in self._wanted.items(WORKFLOW.key)}
        return [
            await self._sight.client.get(WORKFLOW.own_path(self._sight.project_id, each))
            if each["name"] in named
            else each
            for each in await self._spoken_of(WORKFLOW)
        ]

    async def _versions(self) -> list[Json]:
        return await self._spoken_of(VERSION)

    async def _spoken_of(self, noun: Noun) -> list[Json]:
        if noun.key not in self._wanted.lists:
            return []
        return await self._sight.parts(noun.key)

    async def _targets(self) -> AsyncIterator[Change]:
        known = {each["name"]: each for each in await self._sight.parts(ENVIRONMENT.key)}
        for environment in self._wanted.items(ENVIRONMENT.key):
            if environment.targets is None:
                continue
            there = known.get(environment.name)
            present = [] if there is None else await self._sight.targets(there)
            for change in _target_changes(environment, present, prune=self._prune):
                yield change

    async def _members(self) -> list[Change]:
        if MEMBER.key not in self._wanted.lists:
            return []
        present = await self._sight.parts(MEMBER.key)
        if self._sight.project is None:
            # Who makes a project is its first owner; the id comes with it.
            present = [{"id": None, "user": await self._sight.me(), "role": member_changes.OWNER}]
        return await member_changes.compare(
            self._sight, self._wanted.items(MEMBER.key), present, prune=self._prune
        )

    # --- credentials that files name -------------------------------------------------------------

    def _names_credentials(self) -> bool:
        return CREDENTIAL.key in self._wanted.lists or any(
            _named_credentials(item) for item in self._items_that_name()
        )

    def _items_that_name(self) -> list[Item]:
        return [*self._wanted.items(APPLICATION.key), *self._wanted.items(VERSION.key)]

    def _refuse_unknown_credentials(self) -> None:
        """Only where the project is there: who has none yet may not see the global ones."""
        if self._sight.project is None:
            return
        wanted = {item.name for item in self._wanted.items(CREDENTIAL.key)}
        wrong = [
            unknown_credential(item, field, name, [str(it["name"]) for it in known])
            for known in [self._known.credentials]
            for item in self._items_that_name()
            for field, name in _named_credentials(item).items()
            if name.removeprefix(OWN_GLOBAL) not in wanted and credential_named(known, name) is None
        ]
        if wrong:
            raise refused(wrong)

    async def _still_named(self) -> dict[str, str]:
        """Credentials that an application will go on to name: by name, who names them."""
        found: dict[str, str] = {}
        wanted = {item.name: item.fields for item in self._wanted.items(APPLICATION.key)}
        present = await self._sight.parts(APPLICATION.key)
        for each in present:
            name = str(each["name"])
            is_pruned = self._prune and APPLICATION.key in self._wanted.lists
            if is_pruned and name not in wanted:
                continue
            fields = {**APPLICATION.written(each, self._known), **wanted.get(name, {})}
            for part in ("spec", "build"):
                for credential in names_in(fields.get(part)).values():
                    found.setdefault(credential, f"application {name}")
        return found


async def known_of(sight: Sight, *, credentials: bool = True) -> Known:
    """What may be named in this project."""
    applications = await sight.parts(APPLICATION.key)
    needed = credentials or any(_refers(each) for each in applications)
    return Known(
        credentials=await sight.credentials() if needed else (),
        applications={str(each["id"]): str(each["name"]) for each in applications},
    )


def _refers(application: Json) -> bool:
    parts = (application.get("spec") or {}, application.get("build") or {})
    return any(part.get("git_credential_id") or part.get("registry_id") for part in parts)


def _named_credentials(item: Item) -> dict[str, str]:
    """By field of the item."""
    found = names_in(item.fields)
    for part in ("spec", "build"):
        inner = names_in(item.fields.get(part)).items()
        found |= {f"{part}.{key}": name for key, name in inner}
    return found


def unknown_credential(item: Item, field: str, name: str, known: list[str]) -> FieldError:
    """Nobody has it."""
    there = f"known: {', '.join(known[:10])}" if known else "there is none yet"
    mend = f"name it under `credentials`, or write one that is there; {there}"
    return item.complaint(
        FieldError(field=field, problem=f"there is no credential {name!r}", mend=mend)
    )


def _updated(noun: Noun, item: Item, existing: Json, known: Known) -> Iterator[Change]:
    written = noun.written(existing, known)
    changed = _changed(noun, item.fields, written)
    if changed:
        is_fixed = noun is VERSION
        yield Change(
            deed=Deed.CLASH if is_fixed else Deed.UPDATE,
            noun=noun.name,
            name=item.name,
            item=item,
            existing=existing,
            details=tuple(changed.values()),
            fields={name: item.fields[name] for name in changed},
            mend="versions never change; give the new version a new name" if is_fixed else "",
        )


def _changed(noun: Noun, wanted: Fields, written: Fields) -> dict[str, str]:
    before = noun.as_usual(written)
    if noun is VERSION and isinstance(wanted.get("git"), Mapping):
        # The server knows more of it: the commit that a branch was at.
        git: Mapping[str, Any] = before.get("git") or {}
        before["git"] = {key: git[key] for key in wanted["git"] if key in git}
    return differing(noun.as_usual(wanted), before)


def _target_changes(environment: Item, present: list[Json], *, prune: bool) -> Iterator[Change]:
    by_name = {str(each["name"]): each for each in present}
    wanted = environment.targets or ()
    inside = environment.name
    for item in wanted:
        existing = by_name.get(item.name)
        if existing is None:
            yield Change(
                deed=Deed.CREATE,
                noun="target",
                name=item.name,
                item=item,
                inside=inside,
                fields=item.fields,
            )
        elif changed := differing(item.fields, existing):
            yield Change(
                deed=Deed.UPDATE,
                noun="target",
                name=item.name,
                item=item,
                existing=existing,
                details=tuple(changed.values()),
                inside=inside,
                fields=item.fields,
            )
    names = [item.name for item in wanted]
    order = [*(name for name in by_name if name in names), *(n for n in names if n not in by_name)]
    if not is_same(names, order):
        yield Change(
            deed=Deed.UPDATE,
            noun="order",
            name="of targets",
            item=environment,
            inside=inside,
            details=(f"targets: {', '.join(order)} -> {', '.join(names)}",),
            fields={"targets": names},
        )
    for name, there in by_name.items():
        if prune and name not in names:
            yield Change(deed=Deed.DELETE, noun="target", name=name, existing=there, inside=inside)
