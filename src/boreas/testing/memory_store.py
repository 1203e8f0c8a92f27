"""The in-memory double of `boreas.store.SqlStore`: same face, same behaviour, same contract suite.

Transactions run one after the other on a copy that takes the tables' place at the commit. For the
simulator a hook is called before every write, before the commit and right after it; raising there
is a crash at that very point.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from boreas.domain.deployments import TERMINAL, Deployment
from boreas.domain.errors import Conflict, NotFound
from boreas.domain.events import Event
from boreas.domain.ids import DeploymentId, ReleaseId
from boreas.domain.orders import ReleaseBody
from boreas.engine.snapshot import Admission, ReleaseView
from boreas.kit.clock import Clock, SystemClock
from boreas.runtime.ports import Store
from boreas.store import SqlStore
from boreas.store.access import Attempts
from boreas.store.announcements import Crier
from boreas.store.history import Wanted, search_text
from boreas.store.idempotency import StoredAnswer, other_request
from boreas.store.paging import USUAL_PER_PAGE, Page, at_most, key_of, page_of
from boreas.testing.memory_links import MemoryLinks, MemoryOutbox, MemoryServers
from boreas.testing.memory_nouns import (
    MemoryAgents,
    MemoryApiTokens,
    MemoryApplications,
    MemoryEnrolTokens,
    MemoryEnvironments,
    MemoryProjects,
    MemorySessions,
    MemoryTargets,
    MemoryUsers,
    MemoryVersions,
)
from boreas.testing.memory_tables import (
    CrashHook,
    Draft,
    Moment,
    StoredDeployment,
    StoredRelease,
    Tables,
)
from boreas.testing.memory_work import MemoryWork, admission_in


class MemoryTransaction:
    """One all-or-nothing unit of work."""

    def __init__(self, draft: Draft, clock: Clock) -> None:
        self.announced: dict[tuple[str, str], None] = {}
        self.work = MemoryWork(draft, clock)
        self.outbox = MemoryOutbox(draft)
        self.servers = MemoryServers(draft, clock)
        self.links = MemoryLinks(draft)
        self.deployments = MemoryDeployments(draft)
        self.projects = MemoryProjects(draft)
        self.applications = MemoryApplications(draft)
        self.environments = MemoryEnvironments(draft)
        self.targets = MemoryTargets(draft)
        self.versions = MemoryVersions(draft)
        self.agents = MemoryAgents(draft, clock.now)
        self.enrol_tokens = MemoryEnrolTokens(draft)
        self.users = MemoryUsers(draft)
        self.sessions = MemorySessions(draft)
        self.api_tokens = MemoryApiTokens(draft)
        self.login_attempts = MemoryLoginAttempts(draft)
        self.idempotency = MemoryIdempotency(draft)
        self.meta = MemoryMeta(draft)

    async def announce(self, channel: str, payload: str) -> None:
        """Tell every listener after the commit."""
        self.announced[channel, payload] = None


def no_crash(_: Moment) -> None:
    """The hook of a store that never fails."""


class MemoryStore:
    """Implements `boreas.runtime.ports.Store`; `crash` may be replaced at any time."""

    is_sqlite = False

    def __init__(self, *, clock: Clock | None = None, crash: CrashHook = no_crash) -> None:
        self.clock: Clock = clock or SystemClock()
        self.crash = crash
        self._tables = Tables()
        self._turn = asyncio.Lock()
        self._crier = Crier()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[MemoryTransaction]:
        """Write; transactions take turns."""
        async with self._turn:
            draft = Draft(self._tables, self.crash)
            transaction = MemoryTransaction(draft, self.clock)
            yield transaction
            draft.commit()
        self._crier.cry(transaction.announced)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[MemoryTransaction]:
        """Read one moment."""
        moment = replace(self._tables)
        yield MemoryTransaction(Draft(moment, no_crash, read_only=True), self.clock)

    def listen(self, *channels: str) -> AsyncIterator[tuple[str, str]]:
        """(channel, payload) as they come, from the moment of this call."""
        return self._crier.listen(channels)


def both_fit(double: MemoryStore, real: SqlStore) -> tuple[Store, Store]:
    """Never called: the type checker proves here that both are what the runtime asks for."""
    return double, real


class MemoryDeployments:
    """See `boreas.store.history.SqlDeployments`."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    async def create(
        self,
        deployment: Deployment,
        releases: Sequence[ReleaseBody],
        views: Sequence[ReleaseView],
        *,
        wake_at: datetime | None,
    ) -> Deployment:
        version = self._draft.shelf("versions").get(deployment.version_id)
        if version is None:
            raise NotFound(f"There is no version `{deployment.version_id}`.")
        self._check_what_it_uses(deployment)
        if deployment.id in self._draft.deployments:
            raise Conflict("Somebody else saved the same thing a moment ago.")
        stored = replace(deployment, number=self._draft.count_up("deployment_number"))
        self._draft.write("deployments")[stored.id] = StoredDeployment(
            deployment=stored,
            due_at=wake_at,
            version_name=version.name,
            version_sequence=version.sequence,
            search=search_text(stored, version.name),
        )
        seen = {view.id: view for view in views}
        for body in releases:
            self._draft.write("releases")[body.release_id] = StoredRelease(
                deployment_id=stored.id, body=body, view=seen[body.release_id]
            )
        return stored

    def _check_what_it_uses(self, deployment: Deployment) -> None:
        used: dict[str, set[Any]] = {
            "projects": {deployment.project_id},
            "environments": {deployment.environment_id},
            "applications": set(deployment.application_ids),
            "targets": {execution.target_id for execution in deployment.executions},
            "agents": {execution.agent_id for execution in deployment.executions},
        }
        for table, ids in used.items():
            if missing := sorted(ids - self._draft.shelf(table).keys()):
                raise NotFound(f"There is no {table.removesuffix('s')} `{missing[0]}`.")

    async def get(self, deployment_id: DeploymentId) -> Deployment:
        row: StoredDeployment | None = self._draft.deployments.get(deployment_id)
        if row is None:
            raise NotFound(f"There is no deployment `{deployment_id}`.")
        return row.deployment

    async def page(
        self,
        wanted: Wanted,
        *,
        cursor: str | None = None,
        limit: int = USUAL_PER_PAGE,
        whole: bool = False,
    ) -> Page[Deployment]:
        before = key_of(cursor, (int,))
        rows = [row for row in self._draft.deployments.values() if _is_wanted(row, wanted)]
        found = sorted((row.deployment for row in rows), key=lambda d: -d.number)
        if before is not None:
            found = [deployment for deployment in found if deployment.number < before[0]]
        limit = at_most(limit)
        chosen = found[: limit + 1]
        page = page_of(chosen, [(deployment.number,) for deployment in chosen], limit)
        if whole:
            return page
        return replace(page, items=tuple(replace(d, tasks=(), executions=()) for d in page.items))

    async def admissions(
        self, deployments: Sequence[Deployment]
    ) -> Mapping[DeploymentId, Admission]:
        return {each.id: admission_in(self._draft, each) for each in deployments}

    async def release_views(self, ids: Sequence[ReleaseId]) -> Mapping[ReleaseId, ReleaseView]:
        releases = self._draft.releases
        return {id_: releases[id_].view for id_ in ids if id_ in releases}

    async def events(
        self, deployment_id: DeploymentId, *, after: int = 0, limit: int = 500
    ) -> Sequence[Event]:
        events: Sequence[Event] = self._draft.events.get(deployment_id, ())
        return [event for event in events if event.sequence > after][: at_most(limit)]


def _is_wanted(row: StoredDeployment, wanted: Wanted) -> bool:
    deployment = row.deployment
    return all(
        (
            wanted.project_id in (None, deployment.project_id),
            wanted.environment_id in (None, deployment.environment_id),
            wanted.version_id in (None, deployment.version_id),
            wanted.application_id in (None, *deployment.application_ids),
            not wanted.states or deployment.state in wanted.states,
            wanted.active in (None, deployment.state not in TERMINAL),
            wanted.text.lower() in row.search,
        )
    )


class MemoryLoginAttempts:
    """See `boreas.store.access.SqlLoginAttempts`."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    async def of(self, key: str) -> Attempts | None:
        found: Attempts | None = self._draft.attempts.get(key)
        return found

    async def failed(self, key: str, now: datetime, *, forget_after: timedelta) -> Attempts:
        known = await self.of(key)
        recent = known is not None and known.last_failed_at > now - forget_after
        failures = known.failures + 1 if known is not None and recent else 1
        counted = Attempts(failures=failures, last_failed_at=now)
        self._draft.write("attempts")[key] = counted
        return counted

    async def clear(self, key: str) -> None:
        self._draft.write("attempts").pop(key, None)

    async def remove_older(self, than: datetime) -> None:
        attempts = self._draft.write("attempts")
        for key in [key for key, known in attempts.items() if known.last_failed_at < than]:
            del attempts[key]


class MemoryIdempotency:
    """See `boreas.store.idempotency.SqlIdempotency`."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    async def recall(self, caller: str, key: str, fingerprint: str) -> StoredAnswer | None:
        known = self._draft.answers.get((caller, key))
        if known is None:
            return None
        if known[0] != fingerprint:
            raise other_request(key)
        answer: StoredAnswer = known[1]
        return answer

    async def keep(
        self, caller: str, key: str, fingerprint: str, answer: StoredAnswer, now: datetime
    ) -> None:
        self._draft.write("answers")[caller, key] = (fingerprint, answer, now)

    async def remove_older(self, than: datetime) -> None:
        answers = self._draft.write("answers")
        for key in [key for key, (_, _, at) in answers.items() if at < than]:
            del answers[key]


class MemoryMeta:
    """See `boreas.store.idempotency.SqlMeta`."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    async def get(self, name: str) -> str | None:
        found: str | None = self._draft.meta.get(name)
        return found

    async def put(self, name: str, value: str) -> None:
        self._draft.write("meta")[name] = value

    async def remove(self, name: str) -> None:
        self._draft.write("meta").pop(name, None)
