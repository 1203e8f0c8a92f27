"""What can happen next: rounds, messages, work on nodes, troubles, people, and time.

`Happenings` knows what is possible and does it; `simulation` chooses and asks the laws.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from boreas.domain.events import ExecutionReport
from boreas.domain.ids import AgentId, ServerId
from boreas.domain.outbox import OutboxRow
from boreas.testing.simulate.agents import FakeAgent, FromAgent, Held
from boreas.testing.simulate.dice import Dice
from boreas.testing.simulate.drive import Killed
from boreas.testing.simulate.ledger import Ledger
from boreas.testing.simulate.server import ServerLife, Wire
from boreas.testing.simulate.truth import Truth
from boreas.testing.simulate.weather import Weather
from boreas.testing.simulate.wishes import Crowd
from boreas.testing.simulate.world import World

Act = Callable[[], str]


class Happenings:
    """Everybody and everything that acts in a run."""

    def __init__(
        self, *, dice: Dice, weather: Weather, world: World, ledger: Ledger, truth: Truth
    ) -> None:
        self.dice = dice
        self.weather = weather
        self.world = world
        self.ledger = ledger
        self.clock = ledger.clock
        self.crowd = Crowd(dice=dice, ledger=ledger, world=world)
        self.agents = {it: FakeAgent(it, truth, dice, self.clock) for it in world.agents}
        self.committed = False
        """The last thing that happened was a round, and it was committed whole."""
        self._lives = 0
        self.server = self.start_server()

    def start_server(self) -> ServerLife:
        """A new process under a new name."""
        self._lives += 1
        return ServerLife(ServerId(f"s{self._lives}"), self.ledger, self.clock)

    def who_is_here(self) -> list[AgentId]:
        """Agents whose arrival is committed; nobody while news is still to be written."""
        wires = [] if self.server.has_news else self.server.wires.values()
        return [it.agent_id for it in wires if it.is_here]

    def still_lying_about(self) -> list[str]:
        """At the end: promises nobody took, and reports nobody acknowledged."""
        here = [it for it in self.agents.values() if not it.is_gone]
        left = [
            f"{row.kind} {row.order_id}" for it in here for row in self.ledger.promises_to(it.id)
        ]
        for agent in here:
            for held in agent.journal.orders.values():
                left += [f"report {it.order_id} {it.kind}" for it in held.open_reports()]
        return left

    # --- what may happen -----------------------------------------------------------------------

    def everything_possible(self) -> list[tuple[float, Act]]:
        """Each with its weight."""
        weather = self.weather
        acts: list[tuple[float, Act]] = [(1.0, self._tick)]
        if self._is_work_for_the_server():
            acts.append((5.0, self._round))
            acts.append((weather.kills, self._round_of_death))
        acts += [(4.0, act) for act in self._messages()]
        acts += [(3.0, act) for act in self._work()]
        acts += [(2.0, act) for act in self._links()]
        acts += self._troubles()
        acts += self._people()
        acts.append((0.3, self._jump))
        return acts

    def _is_work_for_the_server(self) -> bool:
        wake = self.ledger.next_wake()
        return self.server.has_news or (wake is not None and wake <= self.clock.now())

    def _messages(self) -> list[Act]:
        acts: list[Act] = []
        for wire in self.server.wires.values():
            if wire.to_agent:
                acts.append(partial(self._to_agent, wire))
            if wire.to_server and wire.is_here:
                acts.append(partial(self._to_server, wire))
        return acts

    def _work(self) -> list[Act]:
        return [
            partial(self._work_on, agent, held)
            for agent in self.agents.values()
            if agent.is_alive
            for held in agent.runnable()
        ]

    def _links(self) -> list[Act]:
        acts: list[Act] = []
        for agent in self.agents.values():
            if agent.is_alive and not agent.is_gone and agent.id not in self.server.wires:
                acts.append(partial(self._connect, agent))
            elif not agent.is_alive:
                acts.append(partial(self._come_back, agent))
        for agent_id in self.server.departures:
            acts.append(partial(self._notice, agent_id))
        if any(lease and lease <= self.clock.now() for lease in self.ledger.servers.values()):
            acts.append(self._bury)
        return acts

    def _troubles(self) -> list[tuple[float, Act]]:
        weather = self.weather
        acts: list[tuple[float, Act]] = []
        for agent in self.agents.values():
            if agent.id in self.server.wires:
                acts.append((weather.cuts, partial(self._cut, agent)))
            if agent.is_alive:
                acts += [
                    (weather.crashes, partial(self._crash, agent)),
                    (weather.reboots, partial(self._reboot, agent)),
                    (weather.wipes, partial(self._wipe, agent)),
                ]
                acts.append((weather.revocations, partial(self._revoke, agent)))
        return [it for it in acts if it[0]]

    def _people(self) -> list[tuple[float, Act]]:
        acts: list[tuple[float, Act]] = []
        if self.ledger.counters.get("deployments", 0) < self.world.deployments_wanted:
            acts.append((1.5, lambda: f"somebody {self.crowd.ask_for_one()}"))
        if self.ledger.open_deployments():
            acts.append((self.weather.people, lambda: self.crowd.act(self.weather)))
        elif self.ledger.deployments and self.ledger.counters["deployments"] < 8:
            acts.append((0.5, lambda: f"somebody {self.crowd.ask_for_successor()}"))
        return acts

    # --- the deeds -----------------------------------------------------------------------------

    def _tick(self) -> str:
        seconds = self.dice.between(0.0, 4.0)
        self.clock.advance(seconds)
        return f"{seconds:g} s pass"

    def _jump(self) -> str:
        """Nothing more happens until the next timer."""
        times = [it for it in self._timers() if it > self.clock.now()]
        if not times:
            return "nothing to wait for"
        self.clock.advance_to(min(times))
        return "time passes until the next timer"

    def _timers(self) -> list[datetime]:
        times = [it for agent in self.agents.values() if agent.is_alive for it in agent.deadlines()]
        times += [lease for lease in self.ledger.servers.values() if lease is not None]
        wake = self.ledger.next_wake()
        return [*times, wake] if wake is not None else times

    def _round(self) -> str:
        self.server.round()
        self.committed = True
        return "a round"

    def _round_of_death(self) -> str:
        """The server is killed at some write of a round, at its commit, or just after it."""
        self.ledger.die_after = self.dice.whole(0, self.dice.pick((3, 12, 40)))
        try:
            self.server.round()
            words = "a round, then the server is killed"
        except Killed:
            words = "the server is killed in a round"
        self.ledger.die_after = None
        lease_left = timedelta(seconds=self.dice.between(0.0, 6.0))
        self.ledger.end_lease(self.server.id, self.clock.now() + lease_left)
        self.server = self.start_server()
        return words

    def _bury(self) -> str:
        self.server.bury()
        return "a dead server is buried"

    def _to_agent(self, wire: Wire) -> str:
        agent = self.agents[wire.agent_id]
        message = wire.to_agent.popleft()
        self._say(wire, agent.receive(message))
        kind = f"{message.kind} " if isinstance(message, OutboxRow) else "heard "
        return f"{agent.id} gets {kind}{message.order_id}"

    def _to_server(self, wire: Wire) -> str:
        return f"{wire.agent_id} says {self.server.receive(wire)}"

    def _work_on(self, agent: FakeAgent, held: Held) -> str:
        news = agent.work(held, self.weather)
        wire = self.server.wires.get(agent.id)
        if wire is not None:
            self._say(wire, news)
        verb = held.verbs[min(held.at, len(held.verbs) - 1)]
        state = "finished" if held.is_finished else "hangs" if held.stuck else verb
        return f"{agent.id} works on {held.order_id}: {state}"

    def _say(self, wire: Wire, messages: Sequence[FromAgent]) -> None:
        """Onto the wire; reports of a disorderly agent come twice, or before older ones."""
        for message in messages:
            wire.to_server.append(message)
            if not self.weather.disorder or not _is_report(message):
                continue
            if self.dice.chance(self.weather.disorder / 2):
                wire.to_server.append(message)
            queue = wire.to_server
            older = len(queue) > 1 and _is_report(queue[-2])
            if self.dice.chance(self.weather.disorder) and older:
                queue[-2], queue[-1] = queue[-1], queue[-2]

    def _connect(self, agent: FakeAgent) -> str:
        greeting = agent.greeting()
        if self.dice.chance(self.weather.disorder):
            greeting = [greeting[0], *self.dice.shuffled(greeting[1:])]
        self.server.connect(agent.id, greeting)
        return f"{agent.id} connects"

    def _notice(self, agent_id: AgentId) -> str:
        self.server.notice_departure(agent_id)
        return f"{agent_id} is missed"

    def _come_back(self, agent: FakeAgent) -> str:
        agent.come_back()
        return f"{agent.id} starts again"

    def _cut(self, agent: FakeAgent) -> str:
        self.server.cut(agent.id)
        return f"the link of {agent.id} breaks"

    def _crash(self, agent: FakeAgent) -> str:
        agent.crash()
        self.server.cut(agent.id)
        return f"{agent.id} is killed"

    def _reboot(self, agent: FakeAgent) -> str:
        agent.reboot()
        self.server.cut(agent.id)
        return f"the node of {agent.id} restarts"

    def _wipe(self, agent: FakeAgent) -> str:
        too = self.dice.chance(0.5)
        agent.lose_disk(self.world.targets_of(agent.id), applications_too=too)
        self.server.cut(agent.id)
        return f"the disk of {agent.id} is replaced"

    def _revoke(self, agent: FakeAgent) -> str:
        if agent.is_gone:
            return f"{agent.id} is revoked already"
        agent.is_gone = True
        self.ledger.revoke(agent.id)
        self.server.cut(agent.id)
        return f"{agent.id} is revoked"

    # --- when everybody behaves ----------------------------------------------------------------

    def next_good_deed(self) -> Act | None:
        """Whatever is to be done first; None when nothing is left to be done or waited for."""
        for choose in (self._links, self._messages, self._work):
            if acts := choose():
                return acts[0]
        if self._is_work_for_the_server():
            return self._round
        for deployment in self.ledger.open_deployments():
            if (words := self.crowd.agree(deployment)) is not None:
                return lambda: words
        if self.ledger.open_deployments() and any(t > self.clock.now() for t in self._timers()):
            return self._jump
        return None


def _is_report(message: FromAgent) -> bool:
    return isinstance(message, ExecutionReport)
