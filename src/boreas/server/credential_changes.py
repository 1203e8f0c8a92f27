"""Making, changing and removing credentials: in one transaction with their log and the trail."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from boreas.credentials.contents import Contents, checked, unpacked, with_what_stays
from boreas.domain.credentials import (
    EVERYBODY,
    Credential,
    CredentialAction,
    CredentialEvent,
    CredentialScope,
    CredentialType,
)
from boreas.domain.errors import Conflict, NotFound, invalid
from boreas.domain.ids import ProjectId
from boreas.domain.permissions import Permission
from boreas.domain.secrets import SecretDamaged, SecretKind
from boreas.server.auth.callers import Caller
from boreas.server.credential_bodies import CredentialBody, CredentialPatch
from boreas.server.services import ServiceBundle
from boreas.store import SqlTransaction as Transaction
from boreas.store.credentials import CredentialUser

_SHOWN_USERS: Final = 20


async def read_contents(kind: CredentialType, data: Mapping[str, Any]) -> Contents:
    """The value, checked; in a thread, because a well protected key takes its time to open."""
    return await asyncio.to_thread(checked, kind, data)


async def read_new_contents(
    services: ServiceBundle, tx: Transaction, credential: Credential, data: Mapping[str, Any]
) -> Contents:
    """A new value: the secret part anew; user name and registry stay if they are not given."""
    try:
        before = unpacked(await services.vault.open(tx, credential.secret))
    except (SecretDamaged, NotFound):
        # This is how a damaged or lost value is mended: it is given anew, whole.
        before = {}
    return await read_contents(credential.type, with_what_stays(data, before))


def owner_of(body: CredentialBody) -> str:
    """The project's id or `global`; `InvalidInput` if scope and project do not fit together."""
    if body.scope is CredentialScope.GLOBAL:
        if body.project_id is not None:
            raise invalid("project_id", "is given for a global credential", "leave it out")
        return EVERYBODY
    if body.project_id is None:
        mend = "write the project's id, or scope `global`"
        raise invalid("project_id", "is missing for a credential of a project", mend)
    return body.project_id


async def must_configure(caller: Caller, tx: Transaction, owner: str) -> None:
    """Maintainers keep their project's credentials, admins the global ones."""
    if owner == EVERYBODY:
        await caller.must_be_admin(tx)
    else:
        await caller.must(tx, Permission.CONFIGURE, owner)


@dataclass(frozen=True, slots=True)
class CredentialChanges:
    """What one caller does to credentials in one transaction."""

    services: ServiceBundle
    caller: Caller
    tx: Transaction

    async def create(self, body: CredentialBody, contents: Contents) -> Credential:
        """A new one; `Conflict` if the name is taken, `SecretsUnavailable` without a key."""
        owner, now = owner_of(body), self.services.clock.now()
        await must_configure(self.caller, self.tx, owner)
        project_id = None if owner == EVERYBODY else ProjectId(owner)
        id_, vault = self.services.ids("cred"), self.services.vault
        packed = contents.packed()
        secret = await vault.put(self.tx, SecretKind.CREDENTIAL, id_, project_id, packed)
        credential = Credential(
            id=id_,
            owner=owner,
            project_id=project_id,
            name=body.name,
            type=body.type,
            description=body.description,
            secret=secret,
            fingerprint=vault.fingerprint(packed),
            details=contents.details,
            created_by=self.caller.name,
            created_at=now,
            updated_at=now,
        )
        await self.tx.credentials.add(credential)
        await self._note(CredentialAction.CREATE, credential, after=credential)
        return credential

    async def update(
        self, before: Credential, patch: CredentialPatch, contents: Contents | None
    ) -> Credential:
        """Change what is given. Deployments under way keep the value they started with."""
        await must_configure(self.caller, self.tx, before.owner)
        after = replace(
            before,
            name=before.name if patch.name is None else patch.name,
            description=before.description if patch.description is None else patch.description,
        )
        if contents is not None:
            after = await self._with_value(after, contents)
        if after != before:
            after = replace(after, updated_at=self.services.clock.now())
            await self.tx.credentials.change(after)
            await self._note(CredentialAction.UPDATE, after, before=before, after=after)
        return after

    async def _with_value(self, credential: Credential, contents: Contents) -> Credential:
        packed, vault = contents.packed(), self.services.vault
        fingerprint = vault.fingerprint(packed)
        if fingerprint == credential.fingerprint:
            return credential
        secret = await vault.put(
            self.tx, SecretKind.CREDENTIAL, credential.id, credential.project_id, packed
        )
        return replace(credential, secret=secret, fingerprint=fingerprint, details=contents.details)

    async def delete(self, credential: Credential, *, force: bool) -> None:
        """Remove it; `Conflict` names who uses it. `force` is the owner's to say.

        A deployment under way keeps the value it was planned with until it ends; what names the
        credential afterwards is told that it is gone.
        """
        await must_configure(self.caller, self.tx, credential.owner)
        if force and credential.project_id is not None:
            await self.caller.must(self.tx, Permission.MANAGE_MEMBERS, credential.owner)
        users = await self.tx.credentials.users_of(credential.id)
        if users and not force:
            raise _in_use(credential, users)
        await self.tx.credentials.remove(credential.id)
        if not any(user.kind == "deployment" for user in users):
            await self.tx.secrets.remove_of(credential.id)
        purpose = "" if not users else f"by force, although used by {_named(users)}"
        await self._note(CredentialAction.DELETE, credential, before=credential, purpose=purpose)

    async def _note(
        self,
        action: CredentialAction,
        credential: Credential,
        *,
        before: Credential | None = None,
        after: Credential | None = None,
        purpose: str = "",
    ) -> None:
        author = self.caller.author
        await self.tx.credential_uses.note(
            CredentialEvent(
                credential_id=credential.id,
                at=self.services.clock.now(),
                action=action,
                revision=credential.secret.revision,
                owner=credential.owner,
                user_id=author.user_id,
                user=author.name,
                address=author.address,
                purpose=purpose,
                project_id=credential.project_id or "",
            )
        )
        await self.tx.audit.note(
            self.caller,
            f"credential.{action.value}",
            "credential",
            credential.id,
            project_id=credential.project_id,
            before=None if before is None else _noted(before),
            after=None if after is None else _noted(after),
            why=purpose,
        )


def _noted(credential: Credential) -> Mapping[str, Any]:
    """For the trail: the value as its fingerprint and revision."""
    return {
        "name": credential.name,
        "type": credential.type.value,
        "description": credential.description,
        "scope": credential.scope.value,
        "value": f"fingerprint {credential.fingerprint}, revision {credential.secret.revision}",
        "details": dict(credential.details),
    }


def _in_use(credential: Credential, users: Sequence[CredentialUser]) -> Conflict:
    return Conflict(
        f"The credential `{credential.name}` is used by {_named(users)}. Take it out there first, "
        "or delete it with force=true.",
        parameters={
            "code": "credential_in_use",
            "users": [
                {
                    "kind": user.kind,
                    "id": user.id,
                    "name": user.name,
                    "project_id": user.project_id,
                }
                for user in users[:_SHOWN_USERS]
            ],
            "count": len(users),
        },
    )


def _named(users: Sequence[CredentialUser]) -> str:
    shown = ", ".join(f"{user.kind} {user.name}" for user in users[:_SHOWN_USERS])
    rest = len(users) - _SHOWN_USERS
    return f"{shown} and {rest} more" if rest > 0 else shown


def refuse_if_changed(seen: Credential, now: Credential) -> None:
    """What was read before the transaction must still be true in it."""
    if seen.secret != now.secret:
        raise Conflict("somebody else changed this credential's value at the same time; try again")


def refuse_other_kind(credential: Credential, patch: CredentialPatch) -> None:
    """Type, scope and project are for life."""
    for name in ("type", "scope", "project_id"):
        given = getattr(patch, name)
        if given is not None and given != getattr(credential, name):
            raise invalid(name, "cannot be changed", "create another credential")
