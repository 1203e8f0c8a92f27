"""Opening the database and its transactions: the only commit in the code base.

`async with SqlStore.open(url, data_dir) as store`, then `async with store.transaction() as tx`.
Leaving a transaction without an error commits; an error rolls everything back. Announcements go
out after the commit, and only then.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Self

from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from boreas.domain.errors import Unavailable
from boreas.kit.clock import Clock, SystemClock
from boreas.kit.tasks import TaskGroup
from boreas.store.access import SqlApiTokens, SqlIdentities, SqlLoginAttempts, SqlSessions, SqlUsers
from boreas.store.agents import SqlAgentLinks
from boreas.store.announcements import Crier
from boreas.store.audit import SqlAudit, write_notes
from boreas.store.builds import SqlBuilds
from boreas.store.credentials import SqlCredentials, SqlCredentialUses
from boreas.store.deployments import SqlDeploymentWork
from boreas.store.engines import (
    LONGEST_WAIT_SECONDS,
    PATIENCE,
    READING,
    database_url,
    make_engine,
)
from boreas.store.failures import BUSY, translated
from boreas.store.file_lock import FileLock
from boreas.store.history import SqlDeployments
from boreas.store.idempotency import SqlIdempotency, SqlMeta
from boreas.store.images import SqlImages
from boreas.store.looks import Looks
from boreas.store.members import SqlMembers
from boreas.store.migrate import bring_up_to_date
from boreas.store.observations import SqlObservations
from boreas.store.outbox import SqlOutbox
from boreas.store.places import SqlPlaces
from boreas.store.projects import (
    SqlApplications,
    SqlEnvironments,
    SqlProjects,
    SqlTargets,
    SqlVersions,
)
from boreas.store.recall import Recall
from boreas.store.registry import SqlAgents, SqlEnrolTokens
from boreas.store.releases import SqlReleases
from boreas.store.saving import PendingWrites
from boreas.store.secrets import SqlSecrets
from boreas.store.servers import SqlServers
from boreas.store.unit import Unit
from boreas.store.variables import SqlVariables
from boreas.store.workflows import SqlWorkflows, SqlWorkflowVersions


class SqlTransaction:
    """One all-or-nothing unit of work; see `boreas.runtime.ports.Transaction`."""

    def __init__(self, unit: Unit, file_lock: FileLock | None, clock: Clock) -> None:
        self._unit = unit
        self.work = SqlDeploymentWork(unit)
        self.outbox = SqlOutbox(unit)
        self.servers = SqlServers(unit, file_lock)
        self.links = SqlAgentLinks(unit)
        self.deployments = SqlDeployments(unit)
        self.projects = SqlProjects(unit)
        self.applications = SqlApplications(unit)
        self.environments = SqlEnvironments(unit)
        self.targets = SqlTargets(unit)
        self.versions = SqlVersions(unit)
        self.agents = SqlAgents(unit)
        self.enrol_tokens = SqlEnrolTokens(unit)
        self.users = SqlUsers(unit)
        self.identities = SqlIdentities(unit)
        self.sessions = SqlSessions(unit)
        self.api_tokens = SqlApiTokens(unit)
        self.login_attempts = SqlLoginAttempts(unit)
        self.images = SqlImages(unit)
        self.builds = SqlBuilds(unit)
        self.idempotency = SqlIdempotency(unit)
        self.meta = SqlMeta(unit)
        self.secrets = SqlSecrets(unit)
        self.credentials = SqlCredentials(unit)
        self.credential_uses = SqlCredentialUses(unit)
        self.members = SqlMembers(unit)
        self.places = SqlPlaces(unit)
        self.audit = SqlAudit(unit, clock)
        self.variables = SqlVariables(unit)
        self.releases = SqlReleases(unit)
        self.observations = SqlObservations(unit)
        self.workflows = SqlWorkflows(unit)
        self.workflow_versions = SqlWorkflowVersions(unit)

    async def announce(self, channel: str, payload: str) -> None:
        """Tell every server, this one too, after the commit."""
        self._unit.announced[channel, payload] = None


class SqlStore:
    """Implements `boreas.runtime.ports.Store` on SQLite or PostgreSQL."""

    def __init__(self, engine: AsyncEngine, url: URL, clock: Clock) -> None:
        self.url = url
        self.clock = clock
        self._engine = engine
        self._reader = _reading_engine(engine)
        self._recall = Recall()
        self._looks = Looks(clock)
        self._crier = Crier()
        self._turn = WritersTurn(clock) if self.is_sqlite else None
        self._file_lock = FileLock(Path(f"{url.database}.lock")) if self.is_sqlite else None

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str | None, data_dir: Path, *, clock: Clock | None = None
    ) -> AsyncIterator[Self]:
        """Connect, bring the schema up to date, and close everything at the end.

        Without a url the data is in `<data_dir>/boreas.db`. `Unavailable` if the database cannot
        be reached, `Conflict` if it was written by a newer Boreas.
        """
        where = database_url(url, data_dir)
        with translated():
            engine = make_engine(where)
        store = cls(engine, where, clock or SystemClock())
        try:
            with translated():
                await bring_up_to_date(engine)
            async with store._hearing_others():
                yield store
        finally:
            await engine.dispose()
            if store._file_lock is not None:
                store._file_lock.release()

    @asynccontextmanager
    async def _hearing_others(self) -> AsyncIterator[None]:
        if self.is_sqlite:
            yield
            return
        tasks = await TaskGroup("store").__aenter__()
        tasks.start(self._hear_others, name="hear other servers")
        try:
            yield
        finally:
            # Not by `async with`: an error of the block must come out as itself, not in a group.
            await tasks.__aexit__(None, None, None)

    @property
    def is_sqlite(self) -> bool:
        """One file and one server, or a PostgreSQL that many may share."""
        return self.url.get_backend_name() == "sqlite"

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqlTransaction]:
        """Write. On SQLite writers take turns, so that none of them starves."""
        with translated():
            async with self._my_turn() as patience, self._engine.connect() as connection:
                if patience is not None:
                    await connection.execution_options(**{PATIENCE: patience})
                await connection.begin()
                unit = Unit(
                    connection=connection,
                    recall=self._recall,
                    pending=PendingWrites(connection),
                )
                async with _undone_on_error(unit):
                    yield SqlTransaction(unit, self._file_lock, self.clock)
                    await _to_its_end(lambda: self._commit(unit))

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[SqlTransaction]:
        """Read one moment of the database; never waits for a writer, and cannot write."""
        # Before the moment that is read: what changed since may not be remembered as it was.
        looks_from = self._looks.generation
        with translated():
            async with self._reader.connect() as connection:
                await connection.begin()
                unit = Unit(
                    connection=connection,
                    recall=self._recall,
                    pending=PendingWrites(connection),
                    looks=self._looks,
                    looks_from=looks_from,
                )
                yield SqlTransaction(unit, None, self.clock)

    def listen(self, *channels: str) -> AsyncIterator[tuple[str, str]]:
        """(channel, payload) as they come, from the moment of this call; ends never."""
        return self._crier.listen(channels)

    @asynccontextmanager
    async def _my_turn(self) -> AsyncIterator[float | None]:
        if self._turn is None:
            yield None
            return
        async with self._turn.taken() as patience:
            yield patience

    async def _commit(self, unit: Unit) -> None:
        await unit.pending.flush()
        await write_notes(unit)
        await self._crier.notify(unit.connection, unit.announced)
        async with AsyncExitStack() as on_error:
            # It may stand all the same, so whoever was to hear of it looks. SQLite would keep the
            # transaction open, and its lock with it, for as long as the connection lives.
            on_error.push_async_callback(unit.connection.invalidate)
            on_error.callback(self._crier.cry, unit.announced)
            if unit.people_changed:
                on_error.callback(self._looks.forget)
            await unit.connection.commit()
            on_error.pop_all()
        for deployment in unit.saved.values():
            self._recall.committed(deployment)
        if unit.people_changed:
            self._looks.forget()
        for follow_up in unit.after_commit:
            follow_up()
        self._crier.cry(unit.announced)

    async def _hear_others(self) -> None:
        from boreas.store.listening import hear_other_servers  # needs psycopg, SQLite does not

        await hear_other_servers(self._engine, self.url, self._crier, self.clock)


class WritersTurn:
    """SQLite has one writer at a time; a queue in the process is fairer than its busy handler."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[float]:
        """Wait for the turn; the answer is how long the database's own lock may be waited for."""
        asked = self._clock.monotonic()
        try:
            async with asyncio.timeout(LONGEST_WAIT_SECONDS):
                await self._lock.acquire()
        except TimeoutError:
            raise Unavailable(BUSY) from None
        try:
            waited = self._clock.monotonic() - asked
            # Rounded, so that the pragma that sets it is sent seldom.
            yield max(1.0, LONGEST_WAIT_SECONDS - round(waited))
        finally:
            self._lock.release()


def _reading_engine(engine: AsyncEngine) -> AsyncEngine:
    if engine.dialect.name == "sqlite":
        return engine.execution_options(**{READING: True})
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


@asynccontextmanager
async def _undone_on_error(unit: Unit) -> AsyncIterator[None]:
    with ExitStack() as on_error:
        on_error.callback(unit.undo)
        yield
        on_error.pop_all()


async def _to_its_end(work: Callable[[], Awaitable[None]]) -> None:
    """A commit that began is finished even if its caller is cancelled, then the caller is."""
    running = asyncio.ensure_future(work())
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
