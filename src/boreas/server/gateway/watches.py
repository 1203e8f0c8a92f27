"""What one agent was told to look at on this link, and what it saw.

Told on connect, after each order that ended and whenever what was seen is about another release;
only differences go out. Agents that cannot look are told nothing.
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from boreas.domain.errors import Unavailable
from boreas.domain.ids import AgentId
from boreas.kit.clock import Clock
from boreas.kit.ids import jittered
from boreas.transport.frames import Frame, Seen, Watch

# After a restart of the server thousands come at once, and their orders go first.
_AFTER_CONNECT_SECONDS = 0.5
_OUTAGE_REST_SECONDS = 2.0

Start = Callable[[Callable[[], Coroutine[Any, Any, None]], str], bool]


class Observing(Protocol):
    """What there is to look at, and where what was seen goes."""

    every_seconds: float

    async def watches(self, agent_id: AgentId) -> Mapping[str, bytes]:
        """By scope: an `OrderBody` of the live release in msgpack."""
        ...

    def seen(self, agent_id: AgentId, seen: Seen, again: Callable[[], None]) -> None:
        """The agent looked; `again` is called when it looked at what is no longer live."""
        ...


class NotObserving:
    """Nobody looks."""

    every_seconds = 0.0

    async def watches(self, agent_id: AgentId) -> Mapping[str, bytes]:
        """Nothing."""
        return {}

    def seen(self, agent_id: AgentId, seen: Seen, again: Callable[[], None]) -> None:
        """Passed over."""


class Watches:
    """The watches of one session."""

    __slots__ = (
        "_agent_id",
        "_clock",
        "_is_telling",
        "_must_tell",
        "_observing",
        "_say",
        "_start",
        "_told",
    )

    def __init__(
        self,
        agent_id: AgentId,
        observing: Observing,
        clock: Clock,
        *,
        start: Start,
        say: Callable[[Frame], None],
    ) -> None:
        self._agent_id = agent_id
        self._observing = observing
        self._clock = clock
        self._start = start
        self._say = say
        self._told: dict[str, int] = {}
        self._must_tell = self._is_telling = False

    def look(self) -> None:
        """What is live on the agent's targets may have changed."""
        self._must_tell = True
        if not self._is_telling and self._observing.every_seconds:
            self._is_telling = self._start(self._tell, "watches")

    def seen(self, frame: Seen) -> None:
        """Only of what it was told to look at."""
        if frame.scope in self._told:
            self._observing.seen(self._agent_id, frame, self.look)

    async def _tell(self) -> None:
        try:
            if not self._told:
                await self._clock.sleep(jittered(_AFTER_CONNECT_SECONDS, by=0.9))
            while self._must_tell:
                self._must_tell = False
                try:
                    wanted = await self._observing.watches(self._agent_id)
                except Unavailable:
                    await self._clock.sleep(_OUTAGE_REST_SECONDS)
                    self._must_tell = True
                    continue
                self._tell_differences(wanted)
        finally:
            self._is_telling = False

    def _tell_differences(self, wanted: Mapping[str, bytes]) -> None:
        for scope in self._told.keys() - wanted.keys():
            del self._told[scope]
            self._say(Watch(scope=scope))
        for scope, body in wanted.items():
            if self._told.get(scope) != hash(body):
                self._told[scope] = hash(body)
                every = self._observing.every_seconds
                self._say(Watch(scope=scope, body=body, every_seconds=every))
