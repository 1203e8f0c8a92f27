"""One life of a server: the real loop and membership, and a gateway that obeys the same rules.

The gateway does what boreas.server.gateway does, without a network: an agent counts as here once
its arrival is committed; promises are sent on commit and, on arrival, from the outbox; reports are
acknowledged only after the commit that holds them; what an agent no longer holds is `unknown`.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from boreas.domain.events import ExecutionReport
from boreas.domain.ids import AgentId, OrderId, ServerId
from boreas.domain.outbox import OutboxRow
from boreas.runtime.loop import Loop
from boreas.runtime.membership import AMONG_MANY, Membership
from boreas.runtime.news import Arrival
from boreas.runtime.ports import Store
from boreas.testing.simulate.agents import FromAgent, Inventory, ReportTaken, Taken, ToAgent
from boreas.testing.simulate.drive import SimClock, run_now
from boreas.testing.simulate.ledger import Ledger


@dataclass(slots=True)
class Wire:
    """One link between an agent and this server; each direction keeps its order."""

    agent_id: AgentId
    to_agent: deque[ToAgent] = field(default_factory=deque)
    to_server: deque[FromAgent] = field(default_factory=deque)
    is_here: bool = False
    """The arrival is committed."""
    sent: set[int] = field(default_factory=set)


class _Written:
    """Stands for the future that the gateway waits on until an arrival is committed."""

    def __init__(self, wire: Wire, server: "ServerLife") -> None:
        self._wire = wire
        self._server = server

    def done(self) -> bool:
        return self._wire.is_here

    def set_result(self, _: None) -> None:
        self._wire.is_here = True
        self._server.send_promises(self._wire)


class ServerLife:
    """From start to kill."""

    def __init__(self, server_id: ServerId, ledger: Ledger, clock: SimClock) -> None:
        self.id = server_id
        self.wires: dict[AgentId, Wire] = {}
        self.departures: dict[AgentId, None] = {}
        """Links that broke and nobody has noticed yet."""
        self.has_news = False
        self._ledger = ledger
        store = cast(Store, ledger)
        self.membership = Membership(
            store=store, server_id=server_id, address=server_id, clock=clock, times=AMONG_MANY
        )
        self.loop = Loop(store=store, membership=self.membership, clock=clock)
        run_now(self.membership.join())

    # --- rounds --------------------------------------------------------------------------------

    def round(self) -> None:
        """One real round: news in, decisions, commit, then acknowledge and send."""
        self.has_news = False
        run_now(self.loop._round_or_rest(self))

    def bury(self) -> None:
        """The real membership looks for servers whose lease ended."""
        run_now(self.membership._renew_and_bury())

    def deliver(self, rows: Sequence[OutboxRow]) -> None:
        """Committed promises go to those who are here."""
        for row in rows:
            if (wire := self.wires.get(row.agent_id)) is not None:
                _send(wire, row)

    def send_promises(self, wire: Wire) -> None:
        """Everything that the agent has not acknowledged."""
        self._ledger.maybe_die()
        for row in self._ledger.promises_to(wire.agent_id):
            _send(wire, row)

    # --- links ---------------------------------------------------------------------------------

    def connect(self, agent_id: AgentId, greeting: list[FromAgent]) -> Wire:
        """An agent dials and proves itself."""
        wire = Wire(agent_id=agent_id)
        wire.to_server.extend(greeting)
        self.wires[agent_id] = wire
        self.departures.pop(agent_id, None)
        arrival = Arrival(agent_id=agent_id, address="simulated", transport="quic")
        written = cast(Any, _Written(wire, self))
        self.loop.news.arrival(arrival, written)
        self.has_news = True
        return wire

    def cut(self, agent_id: AgentId) -> None:
        """The link breaks; what was under way on it is gone, and the server notices later."""
        if self.wires.pop(agent_id, None) is not None:
            self.departures[agent_id] = None

    def notice_departure(self, agent_id: AgentId) -> None:
        """The silence is noticed; an agent that came back meanwhile was never away."""
        del self.departures[agent_id]
        if agent_id not in self.wires:
            self.loop.news.departed(agent_id)
            self.has_news = True

    def receive(self, wire: Wire) -> str:
        """Take the oldest message of a link; what it was, for the trace."""
        message = wire.to_server.popleft()
        match message:
            case Taken():
                self.loop.news.taken(message.outbox_id)
            case Inventory():
                self._settle_inventory(wire, message)
            case ExecutionReport():
                self.loop.news.report(message, lambda: self._acknowledge(wire, message))
        self.has_news = True
        return _words(message)

    def _settle_inventory(self, wire: Wire, inventory: Inventory) -> None:
        for order_id in run_now(self._unfinished_orders(wire.agent_id)):
            if order_id not in inventory.order_ids:
                report = ExecutionReport(
                    order_id=order_id, kind="unknown", at=self._ledger.clock.now()
                )
                self.loop.news.report(report, lambda: None)

    async def _unfinished_orders(self, agent_id: AgentId) -> Sequence[OrderId]:
        async with self._ledger.transaction() as tx:
            return await tx.links.unfinished_orders(agent_id)

    def _acknowledge(self, wire: Wire, report: ExecutionReport) -> None:
        self._ledger.maybe_die()
        if self.wires.get(wire.agent_id) is wire:
            wire.to_agent.append(ReportTaken(order_id=report.order_id, sequence=report.sequence))


def _send(wire: Wire, row: OutboxRow) -> None:
    if row.id not in wire.sent:
        wire.sent.add(row.id)
        wire.to_agent.append(row)


def _words(message: FromAgent) -> str:
    match message:
        case Taken():
            return f"taken {message.outbox_id}"
        case Inventory():
            return f"holds {', '.join(message.order_ids) or 'nothing'}"
        case ExecutionReport():
            return f"{message.order_id} {message.kind} {message.verb or message.outcome or ''}"
