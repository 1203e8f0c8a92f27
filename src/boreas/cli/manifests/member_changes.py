"""What differs in members: owners are made before owners go, and who applies comes last."""

from collections.abc import Sequence

from boreas.cli.client import Json
from boreas.cli.manifests.differences import Change, Deed, differing
from boreas.cli.manifests.documents import Item
from boreas.cli.manifests.nouns import MEMBER, Known, name_in
from boreas.cli.manifests.sight import Sight

OWNER = "owner"


async def compare(
    sight: Sight, wanted: Sequence[Item], present: Sequence[Json], *, prune: bool
) -> list[Change]:
    """In an order in which the project always has an owner, and the caller their rights."""
    by_name = {name_in(each): each for each in present}
    found = [change for item in wanted if (change := _change(item, by_name.get(item.name)))]
    if prune:
        found += _pruned(wanted, by_name)
    if any(change.deed in (Deed.UPDATE, Deed.DELETE) for change in found):
        me = await sight.me()
        found.sort(key=lambda change: (_rank(change), change.name == me))
    return found


def _rank(change: Change) -> int:
    gives = change.deed is Deed.CREATE or change.fields.get("role") == OWNER
    return 0 if gives else 1


def _change(item: Item, existing: Json | None) -> Change | None:
    if existing is None:
        return Change(
            deed=Deed.CREATE, noun="member", name=item.name, item=item, fields=item.fields
        )
    changed = differing(item.fields, MEMBER.written(existing, Known()))
    if not changed:
        return None
    return Change(
        deed=Deed.UPDATE,
        noun="member",
        name=item.name,
        item=item,
        existing=existing,
        details=tuple(changed.values()),
        fields=item.fields,
    )


def _pruned(wanted: Sequence[Item], by_name: dict[str, Json]) -> list[Change]:
    """Who no file names goes; but owners stay while the files name none."""
    named = {item.name for item in wanted}
    owners_named = any(item.fields.get("role") == OWNER for item in wanted)
    return [
        Change(deed=Deed.DELETE, noun="member", name=name, existing=existing)
        if owners_named or existing.get("role") != OWNER
        else Change(
            deed=Deed.KEEP,
            noun="member",
            name=name,
            details=("stays: the files name no owner, and the last one cannot go",),
        )
        for name, existing in by_name.items()
        if name not in named
    ]
