"""The commits between two versions, and which version another one is compared with."""

from boreas.domain.errors import BoreasError
from boreas.domain.projects import Version
from boreas.server.auth.callers import Caller
from boreas.server.commit_log import Commits
from boreas.server.repository_access import credential_of_version, opened
from boreas.server.services import ServiceBundle
from boreas.store import SqlTransaction as Transaction


async def version_before(tx: Transaction, version: Version) -> Version | None:
    """The newest one before it that comes from the same repository."""
    if version.git is None:
        return None
    for each in await tx.versions.all(within=version.project_id):  # the newest first
        same = each.git is not None and each.git.repository == version.git.repository
        if same and each.sequence < version.sequence:
            return each
    return None


async def commits_between(
    services: ServiceBundle, caller: Caller, a: Version | None, b: Version
) -> Commits:
    """Commits that b has and a has not, and the other way round. Says why they are not known."""
    if b.git is None or b.git.commit is None or (a is not None and a.git is None):
        return Commits(unavailable="not both versions come from git")
    before = None if a is None or a.git is None else a.git
    if before is not None and before.repository != b.git.repository:
        return Commits(unavailable="they come from different repositories")
    if before is not None and before.commit == b.git.commit:
        return Commits()
    try:
        async with services.store.reading() as tx:
            use = await credential_of_version(tx, b)
        purpose = f"commits of version {b.name}"
        credential = await opened(services, caller, b.project_id, use, purpose)
    except BoreasError as error:
        return Commits(unavailable=error.message)
    commit = None if before is None else before.commit
    return await services.commits.between(b.git.repository, commit, b.git.commit, credential)
