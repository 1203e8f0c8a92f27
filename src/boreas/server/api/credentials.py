"""Credentials: write-only values by which agents get in elsewhere, and who used them when."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from boreas.domain.credentials import EVERYBODY, Credential
from boreas.domain.errors import NotFound
from boreas.domain.permissions import Permission
from boreas.server.auth.callers import AnyUser, Caller, checks_itself
from boreas.server.auth.permits import Configurer, Seer
from boreas.server.bodies import Page
from boreas.server.creation import Creating
from boreas.server.credential_bodies import (
    CredentialBody,
    CredentialLogView,
    CredentialPatch,
    CredentialView,
    credential_view,
    log_view,
)
from boreas.server.credential_changes import (
    CredentialChanges,
    must_configure,
    owner_of,
    read_contents,
    read_new_contents,
    refuse_if_changed,
    refuse_other_kind,
)
from boreas.server.paging import USUAL, Cursor, Limit
from boreas.server.services import Services
from boreas.store import SqlTransaction as Transaction

router = APIRouter(prefix="/api/release/credentials", tags=["credentials"])

Force = Annotated[
    bool, Query(description="Delete it although it is used; for the project's owner, or an admin.")
]


@router.post("", status_code=201, response_model=CredentialView)
@checks_itself(Permission.CONFIGURE)
async def create_credential(
    body: CredentialBody, caller: AnyUser, services: Services, creating: Creating
) -> Response:
    """Store a credential, sealed. Its value is never shown again."""
    owner = owner_of(body)
    async with services.store.reading() as tx:
        # Before the value is looked at: who may not store it learns nothing of keys or formats.
        await must_configure(caller, tx, owner)
    services.vault.refuse_if_locked()
    contents = await read_contents(body.type, body.data)

    async def make(tx: Transaction) -> CredentialView:
        made = await CredentialChanges(services, caller, tx).create(body, contents)
        return credential_view(made, None)

    return await creating.run(make)


@router.get("")
@checks_itself(Permission.SEE)
async def list_credentials(
    caller: AnyUser,
    services: Services,
    project_id: str | None = None,
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Page[CredentialView]:
    """Credentials by name: those of the caller's projects; of one project with `project_id`.

    The global ones are listed to admins, and, beside a project's own, to who may configure it.
    """
    async with services.store.reading() as tx:
        if project_id is None:
            page = await tx.credentials.seen(caller.sight, cursor=cursor, limit=limit)
        else:
            owners = await _owners_beside(caller, tx, project_id)
            page = await tx.credentials.of_owners(owners, cursor=cursor, limit=limit)
        used = await tx.credential_uses.last_used([it.id for it in page.items])
    items = [credential_view(it, used.get(it.id)) for it in page.items]
    return Page(items=items, next_cursor=page.next_cursor)


async def _owners_beside(caller: Caller, tx: Transaction, project_id: str) -> list[str]:
    await caller.must(tx, Permission.SEE, project_id)
    may_name_global = await caller.may(tx, Permission.CONFIGURE, project_id)
    return [project_id, EVERYBODY] if may_name_global else [project_id]


@router.get("/{credential_id}")
async def show_credential(credential_id: str, caller: Seer, services: Services) -> CredentialView:
    """One credential, without its value."""
    async with services.store.reading() as tx:
        return await _shown(tx, await tx.credentials.get(credential_id))


async def _shown(tx: Transaction, credential: Credential) -> CredentialView:
    used = await tx.credential_uses.last_used([credential.id])
    return credential_view(credential, used.get(credential.id))


@router.put("/{credential_id}")
async def update_credential(
    credential_id: str, body: CredentialPatch, caller: Configurer, services: Services
) -> CredentialView:
    """Change what is given. A deployment under way keeps the value it started with."""
    contents = None
    async with services.store.reading() as tx:
        seen = await tx.credentials.get(credential_id)
        if body.data is not None:
            services.vault.refuse_if_locked()
            contents = await read_new_contents(services, tx, seen, body.data)
    async with services.store.transaction() as tx:
        before = await tx.credentials.lock(credential_id)
        refuse_other_kind(before, body)
        refuse_if_changed(seen, before)
        after = await CredentialChanges(services, caller, tx).update(before, body, contents)
        return await _shown(tx, after)


@router.delete("/{credential_id}", status_code=204)
async def delete_credential(
    credential_id: str, caller: Configurer, services: Services, force: Force = False
) -> None:
    """Remove it, not its log. 409 says who uses it; `force` is the project owner's."""
    async with services.store.transaction() as tx:
        credential = await tx.credentials.lock(credential_id)
        await CredentialChanges(services, caller, tx).delete(credential, force=force)


@router.get("/{credential_id}/logs")
@checks_itself(Permission.SEE_AUDIT)
async def show_credential_log(
    credential_id: str,
    caller: AnyUser,
    services: Services,
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Page[CredentialLogView]:
    """Who made, used, changed and removed it, the newest first; also after it was removed."""
    async with services.store.reading() as tx:
        page = await tx.credential_uses.page(credential_id, cursor=cursor, limit=limit)
        owner = await tx.credential_uses.owner_of(credential_id)
        if owner is None or not await _may_read_log(caller, tx, owner):
            raise NotFound(
                f"There is no credential `{credential_id}`.", parameters={"id": credential_id}
            )
        if owner != EVERYBODY:
            await caller.must(tx, Permission.SEE_AUDIT, owner)
    return Page(items=[log_view(it) for it in page.items], next_cursor=page.next_cursor)


async def _may_read_log(caller: Caller, tx: Transaction, owner: str) -> bool:
    """Is there such a credential at all, to this caller?"""
    if owner == EVERYBODY:
        return caller.is_admin
    return await caller.may(tx, Permission.SEE, owner)
