"""Bring a server to what project files say: look, compare, do what differs, in a safe order."""

from typing import Any, Final

from boreas.cli.client import Client, Json
from boreas.cli.exits import ExitCode
from boreas.cli.failures import Failure
from boreas.cli.manifests import credential_changes, variable_changes
from boreas.cli.manifests.comparing import Comparison, unknown_credential
from boreas.cli.manifests.differences import Change, Deed
from boreas.cli.manifests.documents import Item, Refused, WantedProject, refused
from boreas.cli.manifests.nouns import BY_NAME, CREDENTIAL, ENVIRONMENT, name_in
from boreas.cli.manifests.sight import RELEASE, Sight, credential_named, targets_path
from boreas.cli.manifests.values import Values, read_values, refuse_without_source
from boreas.domain.errors import FieldError
from boreas.domain.manifests.references import in_words_of_files, with_ids

IN_USE: Final = "credential_in_use"


class Applier:
    """Compares and changes one project."""

    def __init__(
        self,
        client: Client,
        wanted: WantedProject,
        *,
        prune: bool = False,
        update_secrets: bool = False,
    ) -> None:
        self._client = client
        self._wanted = wanted
        self._prune = prune
        self._update_secrets = update_secrets
        self._sight = Sight(client, None)
        self.kept: list[str] = []
        """What the server would not let go, in words."""

    async def changes(self) -> list[Change]:
        """What would be done now; nothing is done."""
        self._sight = await Sight.of(self._client, self._wanted.name)
        comparison = Comparison(
            self._sight, self._wanted, prune=self._prune, update_secrets=self._update_secrets
        )
        changes = await comparison.changes()
        refuse_without_source(changes)
        return changes

    async def apply(self, changes: list[Change]) -> None:
        """Do them. Stops at the first that the server refuses, with the file and the line of it."""
        for change in changes:
            if change.deed is Deed.CLASH:
                raise _clash(change)
        values = read_values(changes)
        for change, secrets in zip(changes, values, strict=True):
            try:
                await self._do(change, secrets)
            except Failure as failure:
                if not self._stays(change, failure):
                    raise _placed(failure, change) from failure

    def _stays(self, change: Change, failure: Failure) -> bool:
        """A credential in use is left alone: what uses it may be no matter of the files."""
        if change.deed is Deed.DELETE and failure.code == IN_USE:
            self.kept.append(f"= credential {change.name} stays: {failure.message}")
            return True
        return False

    async def _do(self, change: Change, secrets: Values) -> None:
        if change.deed is Deed.KEEP:
            return
        if change.noun == "project":
            await self._project(change)
        elif change.noun == "variables":
            await self._variables(change, secrets)
        elif change.noun in ("target", "order"):
            await self._targets(change)
        else:
            await self._owned(change, secrets)

    async def _project(self, change: Change) -> None:
        base = f"{RELEASE}/projects"
        fields = {
            name: {"description": "", "config": {}}.get(name) if value is None else value
            for name, value in change.fields.items()
        }
        if change.deed is Deed.CREATE:
            body = {"name": change.name, **fields}
            await self._sight.made(await self._client.post(base, body))
        else:
            await self._client.patch(f"{base}/{self._sight.project_id}", fields)

    async def _owned(self, change: Change, secrets: Values) -> None:
        noun = BY_NAME[change.noun]
        project_id = self._sight.project_id
        path = f"{RELEASE}/credentials" if noun is CREDENTIAL else noun.list_path(project_id)
        if change.existing is not None:
            existing = (
                change.existing if change.existing["id"] else await self._made_by_itself(change)
            )
            own = noun.own_path(project_id, existing)
            if change.deed is Deed.DELETE:
                await self._client.delete(own)
            elif noun.replaced_by == "put":
                await self._client.put(own, await self._body(change, secrets))
            else:
                await self._client.patch(own, await self._body(change, secrets))
        else:
            await self._client.post(path, await self._body(change, secrets))
        self._sight.forget(path)

    async def _made_by_itself(self, change: Change) -> Json:
        """What was not there when all was compared, and came with the project: its first owner."""
        present = await self._sight.parts(BY_NAME[change.noun].key)
        return next(each for each in present if name_in(each) == change.name)

    async def _body(self, change: Change, secrets: Values) -> dict[str, Any]:
        noun = BY_NAME[change.noun]
        if noun is CREDENTIAL:
            return credential_changes.body(change, secrets, self._sight.project_id)
        fields = noun.sent(change.fields)
        if change.deed is Deed.CREATE:
            fields["user" if change.noun == "member" else "name"] = change.name
            # A new thing has none of what a file takes away: null and nothing are the same.
            fields = {name: value for name, value in fields.items() if value is not None}
        return await self._with_ids(change, fields)

    async def _with_ids(self, change: Change, fields: dict[str, Any]) -> dict[str, Any]:
        item = change.item
        if change.noun not in ("application", "version") or item is None:
            return fields
        needed = any(
            "credential" in key for part in (fields, *fields.values()) for key in _keys(part)
        )
        known = await self._sight.credentials() if needed else []
        if change.noun == "version":
            return dict(with_ids(fields, lambda key, name: _id(item, key, name, known)))
        return {
            part: _inner_ids(item, part, value, known) if part in ("spec", "build") else value
            for part, value in fields.items()
        }

    async def _variables(self, change: Change, secrets: Values) -> None:
        assert change.item is not None
        kind = str(change.fields["kind"])
        path = await variable_changes.path_of(self._sight, kind, change.item.name)
        if path is not None:
            await self._client.put(path, variable_changes.body(change, secrets))

    async def _targets(self, change: Change) -> None:
        environment = await self._sight.part(ENVIRONMENT.key, change.inside)
        path = targets_path(environment)
        if change.noun == "order":
            await self._order(environment, list(change.fields["targets"]))
        elif change.deed is Deed.CREATE:
            await self._client.post(path, {"name": change.name, **change.fields})
        elif change.existing is not None:
            own = f"{RELEASE}/targets/{change.existing['id']}"
            if change.deed is Deed.DELETE:
                await self._client.delete(own)
            else:
                await self._client.patch(own, dict(change.fields))
        self._sight.forget(path)

    async def _order(self, environment: Json, wanted: list[str]) -> None:
        """The files' targets in their order, then the others in theirs."""
        present = await self._sight.targets(environment)
        places = {name: place for place, name in enumerate(wanted)}
        present.sort(key=lambda each: places.get(each["name"], len(places)))
        body = {"target_ids": [each["id"] for each in present]}
        await self._client.put(f"{targets_path(environment)}/order", body)


def _keys(part: object) -> list[str]:
    return [str(key) for key in part] if isinstance(part, dict) else []


def _inner_ids(item: Item, part: str, value: Any, known: list[Json]) -> Any:
    return with_ids(value, lambda key, name: _id(item, f"{part}.{key}", name, known))


def _id(item: Item, field: str, name: str, known: list[Json]) -> str:
    found = credential_named(known, name)
    if found is None:
        raise refused([unknown_credential(item, field, name, [str(it["name"]) for it in known])])
    return str(found["id"])


def _clash(change: Change) -> Failure:
    fields: Any = ()
    if change.item is not None:
        problem = f"differs from the server: {'; '.join(change.details)}"
        fields = (change.item.complaint(FieldError(field="name", problem=problem, mend="")),)
    return Failure(
        f"{change.noun} {change.name} is there and is not the same",
        exit_code=ExitCode.CONFLICT,
        mend=change.mend,
        fields=fields,
    )


def _placed(failure: Failure, change: Change) -> Failure:
    """The server's refusal, pointing into the file that asked for it."""
    if isinstance(failure, Refused):
        return failure
    if change.item is None or not failure.fields:
        return Failure(
            f"{change.noun} {change.name}: {failure.message}",
            exit_code=failure.exit_code,
            mend=failure.mend,
            code=failure.code,
            fields=failure.fields,
        )
    return refused([change.item.complaint(_in_words_of_files(each)) for each in failure.fields])


def _in_words_of_files(wrong: FieldError) -> FieldError:
    return FieldError(
        field=in_words_of_files(wrong.field),
        problem=in_words_of_files(wrong.problem),
        mend=in_words_of_files(wrong.mend),
    )
