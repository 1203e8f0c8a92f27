"""The nouns of the in-memory store, with the behaviour of their SQL twins in `boreas.store`."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Generic, TypeVar

from boreas.domain.access import ApiToken, Session, User
from boreas.domain.deployments import TERMINAL, TERMINAL_EXECUTIONS, Deployment
from boreas.domain.errors import Conflict, InvalidInput, NotFound, Unauthenticated
from boreas.domain.fleet import Agent, EnrolToken, LiveRecord, Target
from boreas.domain.ids import AgentId
from boreas.domain.projects import Application, Environment, Project, Version
from boreas.store import shelves
from boreas.store.failures import taken
from boreas.store.nouns import Shelf, not_found, sort_key
from boreas.store.paging import USUAL_PER_PAGE, Page, at_most, key_of, page_of
from boreas.store.registry import reaches
from boreas.store.usage import in_use
from boreas.testing.memory_tables import Draft

V = TypeVar("V")


class MemoryNoun(Generic[V]):
    """The values of one noun."""

    def __init__(self, draft: Draft, shelf: Shelf[V]) -> None:
        self._draft = draft
        self._shelf = shelf
        self._name = shelf.table.name

    def _values(self) -> list[V]:
        return [self._seen(value) for value in self._draft.shelf(self._name).values()]

    def _seen(self, value: V) -> V:
        """As it is read."""
        return value

    async def add(self, value: V) -> V:
        key = getattr(value, self._shelf.key)
        value = self._numbered(value)
        self._check_parents(value)
        self._check_label(value)
        self._draft.write_shelf(self._name)[key] = value
        return value

    def _numbered(self, value: V) -> V:
        return value

    def _check_parents(self, value: V) -> None:
        for field, table in (
            ("project_id", "projects"),
            ("environment_id", "environments"),
            ("agent_id", "agents"),
            ("user_id", "users"),
        ):
            parent = getattr(value, field, None)
            if parent is not None and parent not in self._draft.shelf(table):
                raise NotFound("What this belongs to is not there (any more).")

    def _check_label(self, value: V) -> None:
        shelf = self._shelf
        for other in self._draft.shelf(self._name).values():
            same_parent = shelf.parent is None or shelf.label.endswith("sha256")
            if not same_parent:
                same_parent = getattr(other, shelf.parent or "") == getattr(
                    value, shelf.parent or ""
                )
            label = getattr(value, shelf.label)
            itself = getattr(other, shelf.key) == getattr(value, shelf.key)
            if same_parent and not itself and getattr(other, shelf.label) == label:
                raise taken(shelf.noun, shelf.label, str(label))

    async def get(self, key: str) -> V:
        found = await self.find(key)
        if found is None:
            raise not_found(self._shelf, key)
        return found

    async def find(self, key: str) -> V | None:
        found = self._draft.shelf(self._name).get(key)
        return None if found is None else self._seen(found)

    async def among(self, keys: Collection[str]) -> Mapping[str, V]:
        found = {key: await self.find(key) for key in keys}
        return {key: value for key, value in found.items() if value is not None}

    async def named(self, label: str, *, within: str | None = None) -> V | None:
        inside = self._inside(within)
        return next((v for v in inside if getattr(v, self._shelf.label) == label), None)

    def _inside(self, parent: str | None) -> list[V]:
        values = self._values()
        if parent is None or self._shelf.parent is None:
            return values
        return [v for v in values if getattr(v, self._shelf.parent) == parent]

    async def all(self, *, within: str | None = None) -> Sequence[V]:
        values = self._inside(within)
        values.sort(key=lambda v: sort_key(self._shelf, v), reverse=self._shelf.newest_first)
        return values

    async def page(
        self,
        *,
        within: str | None = None,
        cursor: str | None = None,
        limit: int = USUAL_PER_PAGE,
    ) -> Page[V]:
        after = key_of(cursor, tuple(kind for _, kind in self._shelf.order))
        values = list(await self.all(within=within))
        if after is not None:
            keys = [(v, sort_key(self._shelf, v)) for v in values]
            values = [v for v, k in keys if (k < after if self._shelf.newest_first else k > after)]
        limit = at_most(limit)
        values = values[: limit + 1]
        return page_of(values, [sort_key(self._shelf, value) for value in values], limit)

    async def change(self, value: V) -> None:
        key = getattr(value, self._shelf.key)
        before = await self.get(key)
        self._check_label(value)
        kept: dict[str, Any] = {name: getattr(before, name) for name in self._kept()}
        # Every noun is a dataclass; a type variable cannot be bound to "some dataclass".
        self._draft.write_shelf(self._name)[key] = replace(value, **kept)  # type: ignore[type-var]

    def _kept(self) -> Sequence[str]:
        """Fields that change by their own methods only."""
        return self._shelf.overlay

    async def remove(self, key: str) -> None:
        await self.get(key)
        del self._draft.write_shelf(self._name)[key]

    def _update(self, key: str, **changes: Any) -> None:
        values = self._draft.write_shelf(self._name)
        if key in values:
            values[key] = replace(values[key], **changes)

    def _remove_where(self, table: str, gone: Callable[[Any], bool]) -> list[str]:
        values = self._draft.write_shelf(table)
        keys = [key for key, value in values.items() if gone(value)]
        for key in keys:
            del values[key]
        return keys

    def _next_position(self, parent: str) -> int:
        positions = [getattr(v, "position", 0) for v in self._inside(parent)]
        return max(positions, default=-1) + 1

    def _refuse_if_active(self, what: str, uses: Callable[[Deployment], bool]) -> None:
        stored = [row.deployment for row in self._draft.deployments.values()]
        for deployment in sorted(stored, key=lambda d: d.number):
            if deployment.state not in TERMINAL and uses(deployment):
                raise in_use(what, deployment.id, deployment.number)

    def _forget_live(self, gone: Callable[[LiveRecord], bool]) -> None:
        live = self._draft.write("live")
        for place in [place for place, record in live.items() if gone(record)]:
            del live[place]

    def _forget_deployments(self, gone: Callable[[Deployment], bool]) -> None:
        stored = self._draft.write("deployments")
        ids = {id_ for id_, row in stored.items() if gone(row.deployment)}
        for table in ("deployments", "wakes", "events"):
            rows = self._draft.write(table)
            for id_ in ids & rows.keys():
                del rows[id_]
        for table in ("releases", "outbox"):
            rows = self._draft.write(table)
            for key in [key for key, row in rows.items() if row.deployment_id in ids]:
                del rows[key]


class MemoryProjects(MemoryNoun[Project]):
    def __init__(self, draft: Draft) -> None:
        super().__init__(draft, shelves.PROJECTS)

    async def remove(self, key: str) -> None:
        self._refuse_if_active("project", lambda d: d.project_id == key)
        await super().remove(key)
        self._remove_where("applications", lambda v: v.project_id == key)
        self._remove_where("versions", lambda v: v.project_id == key)
        gone = self._remove_where("environments", lambda v: v.project_id == key)
        targets = self._remove_where("targets", lambda v: v.environment_id in gone)
        self._forget_live(lambda record: record.target_id in targets)
        self._forget_deployments(lambda d: d.project_id == key)


class MemoryApplications(MemoryNoun[Application]):
    def __init__(self, draft: Draft) -> None:
        super().__init__(draft, shelves.APPLICATIONS)

    def _numbered(self, value: Application) -> Application:
        return replace(value, position=self._next_position(value.project_id))

    async def remove(self, key: str) -> None:
        self._refuse_if_active("application", lambda d: key in d.application_ids)
        await super().remove(key)
        self._forget_live(lambda record: record.application_id == key)


class MemoryEnvironments(MemoryNoun[Environment]):
    def __init__(self, draft: Draft) -> None:
        super().__init__(draft, shelves.ENVIRONMENTS)

    async def remove(self, key: str) -> None:
        self._refuse_if_active("environment", lambda d: d.environment_id == key)
        await super().remove(key)
        targets = self._remove_where("targets", lambda v: v.environment_id == key)
        self._forget_live(lambda record: record.target_id in targets)
        self._forget_deployments(lambda d: d.environment_id == key)

    async def live(self, environment_id: str) -> Sequence[LiveRecord]:
        targets = self._draft.shelf("targets")
        here = {t.id for t in targets.values() if t.environment_id == environment_id}
        found = [record for record in self._draft.live.values() if record.target_id in here]
        return sorted(found, key=lambda record: (record.application_id, record.target_id))


class MemoryTargets(MemoryNoun[Target]):
    def __init__(self, draft: Draft) -> None:
        super().__init__(draft, shelves.TARGETS)

    def _numbered(self, value: Target) -> Target:
        return replace(value, position=self._next_position(value.environment_id))

    async def in_order(self, environment_id: str, ids: Sequence[str]) -> None:
        present = [target.id for target in self._inside(environment_id)]
        if sorted(ids) != sorted(present):
            raise InvalidInput("The order must name every target of the environment once.")
        for position, target_id in enumerate(ids):
            self._update(target_id, position=position)

    async def remove(self, key: str) -> None:
        self._refuse_if_active("target", lambda d: any(e.target_id == key for e in d.executions))
        await super().remove(key)
        self._forget_live(lambda record: record.target_id == key)


class MemoryVersions(MemoryNoun[Version]):
    def __init__(self, draft: Draft) -> None:
        super().__init__(draft, shelves.VERSIONS)

    def _numbered(self, value: Version) -> Version:
        return replace(value, sequence=self._draft.count_up("version_sequence"))

    async def change(self, value: Version) -> None:
        raise Conflict("A version cannot be changed; create a new one.")

    async def remove(self, key: str) -> None:
        raise Conflict("A version cannot be removed; it goes with its project.")


class MemoryAgents(MemoryNoun[Agent]):
    def __init__(self, draft: Draft, now: Callable[[], datetime]) -> None:
        super().__init__(draft, shelves.AGENTS)
        self._now = now

    def _seen(self, value: Agent) -> Agent:
        online = is_alive(self._draft, value.server_id, self._now())
        return replace(value, online=online, server_id=value.server_id if online else None)

    def _kept(self) -> Sequence[str]:
        return ("connected_at", "last_seen_at", "address", "transport", "facts")

    def _check_label(self, value: Agent) -> None:
        super()._check_label(value)
        for other in self._draft.shelf(self._name).values():
            if other.id != value.id and other.key_sha256 == value.key_sha256:
                raise taken("agent", "key_sha256", "")

    async def change(self, value: Agent) -> None:
        stored = self._draft.shelf(self._name).get(value.id)
        await super().change(value)
        if stored is not None:
            self._update(value.id, server_id=stored.server_id)

    async def with_key(self, key_sha256: str) -> Agent | None:
        return next((a for a in self._values() if a.key_sha256 == key_sha256), None)

    async def called(self, name_or_id: str) -> Agent | None:
        return await self.find(name_or_id) or await self.named(name_or_id)

    async def revoke(self, agent_id: AgentId, now: datetime) -> None:
        agent = await self.get(agent_id)
        self._update(agent_id, revoked_at=agent.revoked_at or now)

    async def remove(self, key: str) -> None:
        await self.get(key)
        self._refuse_if_active("agent", lambda d: has_unfinished_on(d, {key}))
        names = [t.name for t in self._draft.shelf("targets").values() if t.agent_id == key]
        if names:
            raise reaches(min(names))
        outbox = self._draft.write("outbox")
        for id_ in [id_ for id_, row in outbox.items() if row.agent_id == key]:
            del outbox[id_]
        await super().remove(key)


class MemoryEnrolTokens(MemoryNoun[EnrolToken]):
    def __init__(self, draft: Draft) -> None:
        super().__init__(draft, shelves.ENROL_TOKENS)

    async def use(self, secret_sha256: str, now: datetime) -> EnrolToken:
        token = await self.named(secret_sha256)
        if token is None or token.uses_left <= 0 or token.expires_at <= now:
            raise Unauthenticated("This enrol token is unknown, used up or too old.")
        self._update(token.id, uses_left=token.uses_left - 1)
        return await self.get(token.id)


class MemoryUsers(MemoryNoun[User]):
    def __init__(self, draft: Draft) -> None:
        super().__init__(draft, shelves.USERS)

    async def count(self) -> int:
        return len(self._draft.shelf(self._name))

    async def remove(self, key: str) -> None:
        await super().remove(key)
        self._remove_where("sessions", lambda v: v.user_id == key)
        self._remove_where("api_tokens", lambda v: v.user_id == key)


class MemorySessions(MemoryNoun[Session]):
    def __init__(self, draft: Draft) -> None:
        super().__init__(draft, shelves.SESSIONS)

    async def touch(self, id_sha256: str, *, seen_at: datetime, expires_at: datetime) -> None:
        self._update(id_sha256, last_seen_at=seen_at, expires_at=expires_at)

    async def remove_of(self, user_id: str, *, but: str | None = None) -> None:
        self._remove_where(self._name, lambda v: v.user_id == user_id and v.id_sha256 != but)

    async def remove_expired(self, now: datetime) -> None:
        self._remove_where(self._name, lambda v: v.expires_at <= now)


class MemoryApiTokens(MemoryNoun[ApiToken]):
    def __init__(self, draft: Draft) -> None:
        super().__init__(draft, shelves.API_TOKENS)

    async def touch(self, token_id: str, now: datetime) -> None:
        self._update(token_id, last_used_at=now)


def is_alive(draft: Draft, server_id: str | None, now: datetime) -> bool:
    """Does this server's lease still run?"""
    life = draft.servers.get(server_id)
    return life is not None and life.lease_until > now


def has_unfinished_on(deployment: Deployment, agents: set[str]) -> bool:
    """Has it executions on these agents that are not final?"""
    return any(
        execution.agent_id in agents and execution.state not in TERMINAL_EXECUTIONS
        for execution in deployment.executions
    )
