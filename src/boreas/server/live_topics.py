"""What a live connection can subscribe to, and what each topic has to say at a moment.

Level-triggered: a topic holds no queue, only what its reader knows. Asked for news it compares that
with the present, so a slow reader gets fewer and larger messages, never a growing backlog.
"""

from typing import Any, Final, Protocol

from boreas.domain.errors import BoreasError, NotFound, invalid
from boreas.domain.events import Changed
from boreas.domain.ids import AgentId, DeploymentId
from boreas.runtime.ports import CHANNEL_AGENTS, CHANNEL_CHANGED
from boreas.server.api.agents import AgentView
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


class DeploymentTopic:
    """One deployment; `v` is its revision."""

    def __init__(
        self, name: str, pictures: Pictures, services: ServiceBundle, *, last_seen: int | None
    ) -> None:
        self.name = name
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

    async def news(self) -> list[Message]:
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

    def __init__(self, name: str, services: ServiceBundle) -> None:
        self.name = name
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

    async def news(self) -> list[Message]:
        dirty, self._dirty = list(self._dirty), {}
        if self._whole:
            self._whole = False
            return [self._message("snapshot", await self.everything())]
        return [self._message("change", await self.some(dirty))] if dirty else []

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
            page = await tx.deployments.page(Wanted(), limit=LISTED)
            views = await shown_list(tx, self._services, page.items)
        return {"deployments": [view.model_dump(mode="json", by_alias=True) for view in views]}

    async def some(self, ids: list[str]) -> Message:
        async with self._services.store.reading() as tx:
            wanted = [DeploymentId(each) for each in ids]
            found = await tx.work.load(wanted, self._services.clock.now())
            heads = [loaded.snapshot.deployment for loaded in found.values()]
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
        return {"agents": [_agent(agent) for agent in agents]}

    async def some(self, ids: list[str]) -> Message:
        async with self._services.store.reading() as tx:
            found = {each: await tx.agents.find(AgentId(each)) for each in ids}
        return {
            "agents": [_agent(agent) for agent in found.values() if agent is not None],
            "removed": [each for each, agent in found.items() if agent is None],
        }


def _agent(agent: Any) -> Message:
    return AgentView.model_validate(agent).model_dump(mode="json")


def topic_named(
    name: str, pictures: Pictures, services: ServiceBundle, *, last_seen: int | None
) -> Topic:
    """The topic with this name; `InvalidInput` if there is none of that kind."""
    if name == "deployments":
        return DeploymentsTopic(name, services)
    if name == "agents":
        return AgentsTopic(name, services)
    if name.startswith("deployment:") and len(name) < 200:
        return DeploymentTopic(name, pictures, services, last_seen=last_seen)
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
