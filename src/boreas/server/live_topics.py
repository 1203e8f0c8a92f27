"""What a live connection can subscribe to, and what each topic has to say at a moment.

Level-triggered: a topic holds no queue, only what its reader knows. Asked for news it compares that
with the present, so a slow reader gets fewer and larger messages, never a growing backlog.
"""

from typing import Any, Final, Protocol

from boreas.domain.errors import BoreasError, NotFound, invalid
from boreas.domain.events import Changed
from boreas.domain.fleet import Agent
from boreas.domain.ids import AgentId, DeploymentId
from boreas.domain.permissions import Permission
from boreas.runtime.ports import CHANNEL_AGENTS, CHANNEL_CHANGED
from boreas.server.api.agents import agent_view, is_shown, own_projects
from boreas.server.auth.callers import Caller
from boreas.server.auth.permits import check_thing
from boreas.server.live_pictures import Pictures
from boreas.server.services import ServiceBundle
from boreas.server.showing import shown_list
from boreas.store.history import Wanted

LISTED: Final = 100
# More changed things than this are told by a fresh snapshot: it is shorter.
MOST_DIRTY: Final = 100

Message = dict[str, Any]


class Topic(Protocol):
    """One subscription."""

    name: str

    def hear(self, channel: str, payload: str) -> bool:
        """An announcement came; True if this topic may have news now."""
        ...

    async def news(self) -> list[Message]:
        """What the reader does not know yet."""
        ...

    def start_over(self) -> None:
        """The reader fell behind: the next news is a snapshot."""
        ...

    async def check(self) -> None:
        """May its reader still read this? Asked every few seconds; `NotFound`, `Forbidden`."""
        ...


class DeploymentTopic:
    """One deployment; `v` is its revision."""

    def __init__(
        self,
        name: str,
        pictures: Pictures,
        services: ServiceBundle,
        caller: Caller,
        *,
        last_seen: int | None,
    ) -> None:
        self.name = name
        self._caller = caller
        self._checked = False
        self._id = DeploymentId(name.partition(":")[2])
        self._pictures = pictures
        self._services = services
        self._v = last_seen
        self._at_least = 0
        self._told = False

    def hear(self, channel: str, payload: str) -> bool:
        if channel != CHANNEL_CHANGED:
            return False
        changed = Changed.parse(payload)
        if changed.deployment_id != self._id:
            return False
        self._at_least = max(self._at_least, changed.revision)
        return True

    def start_over(self) -> None:
        self._v = None
        self._told = False

    async def check(self) -> None:
        async with self._services.store.reading() as tx:
            await check_thing(tx, self._caller, (Permission.SEE,), "deployment_id", self._id)
        self._checked = True

    async def news(self) -> list[Message]:
        if not self._checked:
            await self.check()
        picture = await self._pictures.of(self._id, at_least=self._at_least)
        known, self._v = self._v, picture.v
        # A greater `v` than ours was seen before the database went back to a backup.
        if known is None or known < picture.since or known > picture.v:
            self._told = True
            return [self._message("snapshot", picture.snapshot(self._services))]
        if known == picture.v and self._told:
            return []
        self._told = True
        return [self._message("change", picture.changes_after(known, self._services))]

    def _message(self, kind: str, told: Any) -> Message:
        return {"type": kind, "topic": self.name, "v": self._v, "data": told}


class _ListTopic:
    """A list that is told whole first, then by the things in it that changed."""

    channel = ""

    def __init__(self, name: str, services: ServiceBundle, caller: Caller) -> None:
        self.name = name
        self._caller = caller
        self._services = services
        self._dirty: dict[str, None] = {}
        self._whole = True
        self._v = 0

    def hear(self, channel: str, payload: str) -> bool:
        if channel != self.channel:
            return False
        self._dirty[payload.partition(" ")[0]] = None
        if len(self._dirty) > MOST_DIRTY:
            self.start_over()
        return True

    def start_over(self) -> None:
        self._whole = True
        self._dirty.clear()

    async def check(self) -> None:
        """What is shown follows what the reader may see."""

    async def news(self) -> list[Message]:
        dirty, self._dirty = list(self._dirty), {}
        if self._whole:
            self._whole = False
            return [self._message("snapshot", await self.everything())]
        told = await self.some(dirty) if dirty else {}
        # What happens where the reader sees nothing is not even told as an empty change.
        return [self._message("change", told)] if any(told.values()) else []

    def _message(self, kind: str, told: Any) -> Message:
        # By the clock, so that it also grows over reconnects and from server to server.
        moment = int(self._services.clock.now().timestamp() * 1000)
        self._v = max(self._v + 1, moment)
        return {"type": kind, "topic": self.name, "v": self._v, "data": told}

    async def everything(self) -> Message:
        """The list as it is."""
        raise NotImplementedError

    async def some(self, ids: list[str]) -> Message:
        """These things as they are, and which of them are no more."""
        raise NotImplementedError


class DeploymentsTopic(_ListTopic):
    """The newest deployments, without their tasks."""

    channel = CHANNEL_CHANGED

    async def everything(self) -> Message:
        async with self._services.store.reading() as tx:
            sight = await self._caller.sight_now(tx)
            page = await tx.deployments.page(Wanted(sight=sight), limit=LISTED)
            views = await shown_list(tx, self._services, page.items)
        return {"deployments": [view.model_dump(mode="json", by_alias=True) for view in views]}

    async def some(self, ids: list[str]) -> Message:
        async with self._services.store.reading() as tx:
            wanted = [DeploymentId(each) for each in ids]
            found = await tx.work.load(wanted, self._services.clock.now())
            seen = await tx.members.seen_by(await self._caller.sight_now(tx))
            heads = [
                loaded.snapshot.deployment
                for loaded in found.values()
                if seen is None or loaded.snapshot.deployment.project_id in seen
            ]
            views = await shown_list(tx, self._services, heads)
        return {
            "deployments": [view.model_dump(mode="json", by_alias=True) for view in views],
            "removed": [each for each in ids if each not in found],
        }


class AgentsTopic(_ListTopic):
    """All agents, snake_case as under /api/release."""

    channel = CHANNEL_AGENTS

    async def everything(self) -> Message:
        async with self._services.store.reading() as tx:
            agents = await tx.agents.all()
            names = await own_projects(tx, self._caller)
        agents = [agent for agent in agents if is_shown(agent, names)]
        return {"agents": [self._agent(agent) for agent in agents]}

    async def some(self, ids: list[str]) -> Message:
        async with self._services.store.reading() as tx:
            found = {each: await tx.agents.find(AgentId(each)) for each in ids}
            names = await own_projects(tx, self._caller)
        return {
            "agents": [
                self._agent(agent)
                for agent in found.values()
                if agent is not None and is_shown(agent, names)
            ],
            "removed": [each for each, agent in found.items() if agent is None],
        }

    def _agent(self, agent: Agent) -> Message:
        return agent_view(agent, self._caller).model_dump(mode="json")


def topic_named(
    name: str,
    pictures: Pictures,
    services: ServiceBundle,
    caller: Caller,
    *,
    last_seen: int | None,
) -> Topic:
    """The topic with this name; `InvalidInput` if there is none of that kind."""
    if name == "deployments":
        return DeploymentsTopic(name, services, caller)
    if name == "agents":
        return AgentsTopic(name, services, caller)
    if name.startswith("deployment:") and len(name) < 200:
        return DeploymentTopic(name, pictures, services, caller, last_seen=last_seen)
    mend = "subscribe to deployment:ID, deployments or agents"
    raise invalid("topic", f"there is no topic {name[:200]!r}", mend)


def refusal(topic: str, error: BoreasError) -> Message:
    """What a reader is told when a topic cannot be read."""
    gone = isinstance(error, NotFound)
    return {
        "type": "error",
        "topic": topic[:200],
        "code": error.code.value,
        "detail": error.message,
        "gone": gone,
    }
