"""What came in since the last round: reports, acknowledgements, agents that came, went or beat.

The gateway drops news here and goes on; the loop takes all of it into one transaction. News is
given back when that transaction fails, so nothing is acknowledged that is not committed.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from boreas.domain.events import ExecutionReport
from boreas.domain.ids import AgentId
from boreas.kit.until import Hint

Settled = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """An agent proved itself to this server."""

    agent_id: AgentId
    address: str
    transport: str


@dataclass(slots=True)
class News:
    """One round's worth of news."""

    reports: list[tuple[ExecutionReport, Settled]] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    arrivals: list[tuple[Arrival, "asyncio.Future[None]"]] = field(default_factory=list)
    departures: list[AgentId] = field(default_factory=list)
    """Each later than any arrival of the same agent: they are written after the arrivals."""
    beats: dict[AgentId, Mapping[str, object] | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.reports or self.taken or self.arrivals or self.departures or self.beats)


class NewsDesk:
    """Collects news for the next round and hints that there is some."""

    def __init__(self, hint: Hint) -> None:
        self._hint = hint
        self._next = News()

    def report(self, report: ExecutionReport, settled: Settled) -> None:
        """An agent's report; `settled` is called once it is committed."""
        self._next.reports.append((report, settled))
        self._hint.raise_()

    def taken(self, outbox_id: int) -> None:
        """An agent has this order or cancel in its journal."""
        self._next.taken.append(outbox_id)
        self._hint.raise_()

    async def arrived(self, arrival: Arrival) -> None:
        """Returns when the agent's presence is committed."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.arrival(arrival, written)
        await written

    def arrival(self, arrival: Arrival, written: "asyncio.Future[None]") -> None:
        """The agent is here; an earlier departure that was not yet written never happened."""
        left = self._next.departures
        self._next.departures = [it for it in left if it != arrival.agent_id]
        self._next.arrivals.append((arrival, written))
        self._hint.raise_()

    def departed(self, agent_id: AgentId) -> None:
        """The agent's link to this server is gone."""
        self._next.departures.append(agent_id)
        self._hint.raise_()

    def beat(self, agent_id: AgentId, facts: Mapping[str, object] | None) -> None:
        """The agent lives. Not urgent: written with the next round, whenever that is."""
        self._next.beats[agent_id] = facts or self._next.beats.get(agent_id)
        if facts:
            self._hint.raise_()

    def take(self) -> News:
        """All news so far; the desk is empty afterwards."""
        taken, self._next = self._next, News()
        return taken

    def give_back(self, news: News) -> None:
        """The round failed: its news comes before whatever arrived meanwhile."""
        newer = self._next
        back = {arrival.agent_id for arrival, _ in newer.arrivals}
        left = [it for it in news.departures if it not in back]
        self._next = News(
            reports=news.reports + newer.reports,
            taken=news.taken + newer.taken,
            arrivals=news.arrivals + newer.arrivals,
            departures=left + newer.departures,
            beats={**news.beats, **newer.beats},
        )
