"""What differs in credentials. Values cannot be compared: they are sent once, or on demand."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from boreas.cli.client import Json
from boreas.cli.manifests.differences import Change, Deed, Need, differing, is_nothing
from boreas.cli.manifests.documents import Item, WantedProject
from boreas.cli.manifests.nouns import CREDENTIAL, Known
from boreas.domain.credentials import CredentialType
from boreas.domain.manifests import sources

ANEW = "value: is sent anew"


def compare(
    wanted: WantedProject,
    present: Sequence[Json],
    still_named: Mapping[str, str],
    *,
    prune: bool,
    update_secrets: bool,
) -> Iterator[Change]:
    """Own and global ones; of these, none is ever deleted: other projects use them."""
    scopes = {
        scope: {str(it["name"]): it for it in present if _scope(it) == scope}
        for scope in ("project", "global")
    }
    for item in wanted.items(CREDENTIAL.key):
        existing = scopes[_scope(item.fields)].pop(item.name, None)
        if existing is None:
            yield _created(item)
        else:
            yield from _updated(item, existing, update_secrets=update_secrets)
    if prune and CREDENTIAL.key in wanted.lists:
        for name, existing in scopes["project"].items():
            yield _deleted(name, existing, still_named.get(name))


def _scope(found: Mapping[str, Any]) -> str:
    return str(found.get("scope") or "project")


def _created(item: Item) -> Change:
    return Change(
        deed=Deed.CREATE,
        noun="credential",
        name=item.name,
        item=item,
        fields=_shown(item.fields),
        needs=_needs(item),
    )


def _updated(item: Item, existing: Json, *, update_secrets: bool) -> Iterator[Change]:
    written = CREDENTIAL.written(existing, Known())
    changed = differing(_shown(item.fields), written)
    anew = update_secrets and "value_from" in item.fields
    fixed = [key for key in ("type", "registry") if key in changed and not (anew and key != "type")]
    if fixed:
        yield Change(
            deed=Deed.CLASH,
            noun="credential",
            name=item.name,
            item=item,
            details=tuple(changed[key] for key in fixed),
            mend="a type is for life: give it a new name"
            if "type" in fixed
            else "the registry changes with the value only: --update-secrets and `value_from`",
        )
    elif changed or anew:
        yield Change(
            deed=Deed.UPDATE,
            noun="credential",
            name=item.name,
            item=item,
            existing=existing,
            details=(*changed.values(), *([ANEW] if anew else [])),
            fields={key: item.fields[key] for key in changed if key == "description"},
            needs=_needs(item) if anew else (),
        )


def _shown(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What a server shows again."""
    shown = ("type", "scope", "description", "registry")
    return {key: fields[key] for key in shown if key in fields}


def _needs(item: Item) -> tuple[Need, ...]:
    """Every part of the value; plain ones come from the file itself."""
    kind = CredentialType(str(item.fields["type"]))
    secret = sources.SECRET_PART[kind]
    found = [_need(item, secret, "value_from")]
    for part in sources.OTHER_PARTS[kind]:
        if part + sources.FROM in item.fields or (
            part in sources.NEEDED[kind] and is_nothing(item.fields.get(part))
        ):
            found.append(_need(item, part, part + sources.FROM))
    return tuple(found)


def _need(item: Item, part: str, key: str) -> Need:
    given = item.fields.get(key)
    source = sources.source_of(given) if given else None
    return Need(part=part, source=source, at=key, has_lines=part in sources.WITH_LINES)


def _deleted(name: str, existing: Json, user: str | None) -> Change:
    if user is not None:
        why = f"stays: {user} uses it"
        return Change(deed=Deed.KEEP, noun="credential", name=name, details=(why,))
    return Change(deed=Deed.DELETE, noun="credential", name=name, existing=existing)


def body(change: Change, values: Mapping[str, str], project_id: str) -> dict[str, Any]:
    """The request that makes or changes it."""
    fields = CREDENTIAL.sent(change.fields)
    found = {key: fields[key] for key in ("description",) if key in fields}
    if change.deed is Deed.CREATE and change.item is not None:
        is_global = fields.get("scope") == "global"
        found |= {
            "name": change.name,
            "type": fields["type"],
            "scope": "global" if is_global else "project",
        }
        if not is_global:
            found["project_id"] = project_id
    if change.needs and change.item is not None:
        given = change.item.fields
        plain = {
            part: given[part]
            for part in sources.OTHER_PARTS[CredentialType(str(given["type"]))]
            if not is_nothing(given.get(part))
        }
        found["data"] = {**plain, **values}
    return found
