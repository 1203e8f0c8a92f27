"""With which credential the server itself reads a repository: to resolve a ref, to read commits.

Whoever may make versions could name a repository of their own; so a credential goes only where an
application of the project already uses it, or where somebody who may configure it names it.
"""

from boreas.credentials.contents import unpacked
from boreas.domain.credentials import CredentialAction, CredentialEvent
from boreas.domain.delivery import GIT, CredentialUse, OpenedCredential
from boreas.domain.errors import NotFound
from boreas.domain.ids import ProjectId
from boreas.domain.orders import GitRef
from boreas.domain.permissions import Permission
from boreas.domain.projects import Version
from boreas.server.auth.callers import Caller
from boreas.server.named_credentials import git_credential_for, usable
from boreas.server.services import ServiceBundle
from boreas.store import SqlTransaction as Transaction

FIELD = "git_credential_id"


async def chosen_credential(
    tx: Transaction, caller: Caller, project_id: ProjectId, git: GitRef, named: str | None
) -> CredentialUse | None:
    """The named one (for who may configure), or the one that an application uses there."""
    if named is None:
        return await git_credential_for(tx, project_id, git.repository)
    await caller.must(tx, Permission.CONFIGURE, project_id)
    found = await usable(tx, project_id, GIT, named, FIELD)
    return CredentialUse(credential_id=found.id, type=found.type.value, ref=found.secret)


async def opened(
    services: ServiceBundle,
    caller: Caller,
    project_id: ProjectId,
    use: CredentialUse | None,
    purpose: str,
) -> OpenedCredential | None:
    """Its value for one command of this server; the use is noted in its log."""
    if use is None:
        return None
    event = CredentialEvent(
        credential_id=use.credential_id,
        at=services.clock.now(),
        action=CredentialAction.USE,
        revision=use.ref.revision,
        user_id=caller.user.id,
        user=caller.name,
        address=caller.address,
        purpose=purpose,
        project_id=project_id,
    )
    async with services.store.transaction() as tx:
        plaintext = await services.vault.open(tx, use.ref)
        await tx.credential_uses.note(event)
    return OpenedCredential(type=use.type, fields=unpacked(plaintext))


async def credential_of_version(tx: Transaction, version: Version) -> CredentialUse | None:
    """What a version was made through, as it is now; None when it needs none, or it is gone."""
    if version.git is None:
        return None
    if version.git_credential_id is None:
        return await git_credential_for(tx, version.project_id, version.git.repository)
    found = await tx.credentials.find(version.git_credential_id)
    if found is None or not found.is_usable_in(version.project_id):
        raise NotFound("The credential that this version was made through is gone.")
    return CredentialUse(credential_id=found.id, type=found.type.value, ref=found.secret)
