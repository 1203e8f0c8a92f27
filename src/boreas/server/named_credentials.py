"""The credentials that an application names: are they there, do they fit, may it use them?

Asked when an application is saved, and again when a deployment freezes it: a credential may have
gone meanwhile. What is frozen is the revision of that moment, and a run keeps it to its end.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from boreas.domain.credentials import Credential, CredentialType
from boreas.domain.delivery import GIT, REGISTRY, CredentialUse
from boreas.domain.errors import invalid
from boreas.domain.git_names import place_of
from boreas.domain.ids import ProjectId
from boreas.domain.orders import DriverKind
from boreas.domain.projects import Application, Version
from boreas.domain.specs import CREDENTIAL_FIELDS, credential_ids
from boreas.store import SqlTransaction

FITTING: Final[Mapping[str, frozenset[CredentialType]]] = {
    GIT: frozenset(
        {CredentialType.USERNAME_TOKEN, CredentialType.ACCESS_TOKEN, CredentialType.SSH}
    ),
    REGISTRY: frozenset(
        {CredentialType.REGISTRY, CredentialType.USERNAME_TOKEN, CredentialType.ACCESS_TOKEN}
    ),
}


async def credentials_of(tx: SqlTransaction, application: Application) -> dict[str, CredentialUse]:
    """By use. `InvalidInput` names the field of the application and the mend."""
    named = credential_ids(application.driver, application.spec)
    uses = {
        use: _used(await usable(tx, application.project_id, use, id_, CREDENTIAL_FIELDS[use]))
        for use, id_ in named.items()
    }
    if GIT in uses:
        place = place_of(str(application.spec["repository"])).origin
        uses[GIT] = replace(uses[GIT], place=place)
    return uses


async def credentials_for(
    tx: SqlTransaction, application: Application, version: Version
) -> dict[str, CredentialUse]:
    """By use, for a deployment of this version: its own git credential stands before the usual one.

    Whoever made the version was asked whether they may send it to the version's repository.
    """
    uses = await credentials_of(tx, application)
    named, git = version.git_credential_id, version.git
    if application.driver is DriverKind.GIT_PULL and named is not None and git is not None:
        found = await usable(tx, application.project_id, GIT, named, "git_credential_id")
        uses[GIT] = replace(_used(found), place=place_of(git.repository).origin)
    return uses


async def usable(
    tx: SqlTransaction, project_id: ProjectId, use: str, credential_id: str, at: str
) -> Credential:
    """This credential, if the project may use it so; another project's is as if it were not."""
    found = await tx.credentials.find(credential_id)
    if found is None or not found.is_usable_in(project_id):
        mend = "write the id of a credential of this project, or of a global one"
        raise invalid(at, f"there is no credential {credential_id!r}", mend)
    if found.type not in FITTING[use]:
        fitting = ", ".join(sorted(FITTING[use]))
        raise invalid(
            at, f"the credential {found.name!r} is of type {found.type}", f"use {fitting}"
        )
    return found


async def git_credential_for(
    tx: SqlTransaction, project_id: ProjectId, repository: str
) -> CredentialUse | None:
    """The credential of an application of the project whose repository is at the same place.

    Not one that the asker names: who may make versions could send it to a place of their own.
    """
    place = place_of(repository)
    for application in await tx.applications.all(within=project_id):
        usual = str(application.spec.get("repository") or "")
        if usual and place_of(usual).is_that_of(place):
            use = (await credentials_of(tx, application)).get(GIT)
            if use is not None:
                return use
    return None


def _used(credential: Credential) -> CredentialUse:
    return CredentialUse(
        credential_id=credential.id, type=credential.type.value, ref=credential.secret
    )
