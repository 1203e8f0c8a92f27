"""Fake agents: the journal, the fence and the answers of a real one; verbs are drawn lots.

Like the real agent (boreas.agent.desk, .runner, .order_run): an order is journalled before anything
else, a known one is answered with what was reported of it, a lower fence is refused, orders of one
scope run one after another, a cancel may come before its order, reports are kept and repeated until
acknowledged. What survives a crash is what stands in `Journal` and in `Truth`.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from boreas.domain.events import ExecutionReport
from boreas.domain.ids import AgentId, ApplicationId, DeploymentId, ReleaseId, TargetId
from boreas.domain.orders import CHANGING_VERBS, Outcome, Verb
from boreas.domain.outbox import OutboxKind, OutboxRow
from boreas.testing.simulate.dice import Dice
from boreas.testing.simulate.drive import SimClock
from boreas.testing.simulate.truth import Place, Truth
from boreas.testing.simulate.weather import Weather

_CHANGING = frozenset(it.value for it in CHANGING_VERBS)


@dataclass(slots=True, kw_only=True)
class Held:
    """One order in the journal, and where its run stands."""

    order_id: str
    scope: str
    fence: int
    deployment_id: DeploymentId
    target_id: TargetId
    application_id: ApplicationId | None
    release_id: ReleaseId | None
    verbs: tuple[str, ...]
    timeout: float
    reports: list[ExecutionReport] = field(default_factory=list)
    settled: set[int] = field(default_factory=set)
    at: int = 0
    """Index of the verb that is under way."""
    begun_at: datetime | None = None
    stuck: bool = False
    """The verb under way never ends by itself."""
    deaf: bool = False
    """Not even a stop request ends it."""

    @property
    def is_finished(self) -> bool:
        """Its last word was said."""
        return bool(self.reports) and self.reports[-1].kind == "finished"

    @property
    def place(self) -> Place | None:
        """What it may change."""
        return (self.application_id, self.target_id) if self.application_id else None

    def open_reports(self) -> list[ExecutionReport]:
        """What the server has not acknowledged."""
        return [it for it in self.reports if it.sequence not in self.settled]


@dataclass(slots=True)
class Journal:
    """What the agent never forgets, unless its disk is replaced."""

    orders: dict[str, Held] = field(default_factory=dict)
    cancels: dict[str, None] = field(default_factory=dict)
    fences: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The order or cancel with this outbox id stands in the journal."""

    outbox_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What the agent holds; sent first on every link."""

    order_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTaken:
    """The server has committed this report."""

    order_id: str
    sequence: int


FromAgent = Taken | Inventory | ExecutionReport
ToAgent = OutboxRow | ReportTaken


class FakeAgent:
    """One node."""

    def __init__(self, agent_id: AgentId, truth: Truth, dice: Dice, clock: SimClock) -> None:
        self.id = agent_id
        self.is_alive = True
        self.is_gone = False
        """Somebody revoked it: it will never be let in again."""
        self.journal = Journal()
        self._truth = truth
        self._dice = dice
        self._clock = clock

    # --- what it says --------------------------------------------------------------------------

    def greeting(self) -> list[FromAgent]:
        """First words on a new link: what it holds, then what was never acknowledged."""
        unsettled = [it for it in self.journal.orders.values() if not _is_settled(it)]
        inventory = Inventory(order_ids=tuple(it.order_id for it in unsettled))
        return [inventory, *(report for held in unsettled for report in held.open_reports())]

    def receive(self, message: ToAgent) -> list[FromAgent]:
        """Journal first, then answer."""
        match message:
            case ReportTaken():
                held = self.journal.orders.get(message.order_id)
                if held is not None:
                    held.settled.add(message.sequence)
                return []
            case OutboxRow(kind=OutboxKind.ORDER):
                return [*self._take_order(message), Taken(outbox_id=message.id)]
            case OutboxRow():
                return [*self._take_cancel(message), Taken(outbox_id=message.id)]

    def _take_order(self, row: OutboxRow) -> list[FromAgent]:
        known = self.journal.orders.get(row.order_id)
        if known is not None:
            return list(known.reports)
        held = _held(row)
        self.journal.orders[row.order_id] = held
        self._truth.taken.add(row.order_id)
        highest = self.journal.fences.get(row.scope, 0)
        self.journal.fences[row.scope] = max(highest, row.fence)
        if row.fence < highest:
            return self._finish(held, Outcome.REFUSED, f"fence {row.fence} is below {highest}")
        if row.order_id in self.journal.cancels:
            return self._finish(held, Outcome.CANCELLED, "cancelled before it came")
        return []

    def _take_cancel(self, row: OutboxRow) -> list[FromAgent]:
        held = self.journal.orders.get(row.order_id)
        if held is not None and held.is_finished:
            return [held.reports[-1]]
        self.journal.cancels[row.order_id] = None
        if held is not None and held.begun_at is None:
            return self._finish(held, Outcome.CANCELLED, "cancelled before it began")
        return []

    # --- what it does --------------------------------------------------------------------------

    def runnable(self) -> list[Held]:
        """The first unfinished order of each scope, unless it hangs and nothing can end it now."""
        first: dict[str, Held] = {}
        for held in self.journal.orders.values():
            if not held.is_finished:
                first.setdefault(held.scope, held)
        return [it for it in first.values() if not it.stuck or self._can_end(it)]

    def _can_end(self, held: Held) -> bool:
        if held.deaf:
            return False
        return held.order_id in self.journal.cancels or self._is_out_of_time(held)

    def _is_out_of_time(self, held: Held) -> bool:
        return held.begun_at is not None and self._clock.now() >= self.deadline(held)

    def deadline(self, held: Held) -> datetime:
        """When it stops this order by itself."""
        assert held.begun_at is not None
        return held.begun_at + timedelta(seconds=held.timeout)

    def deadlines(self) -> list[datetime]:
        """When hanging orders end by themselves: the simulation's clock must stop there."""
        return [
            self.deadline(it)
            for it in self.journal.orders.values()
            if it.stuck and not it.deaf and not it.is_finished
        ]

    def work(self, held: Held, weather: Weather) -> list[FromAgent]:
        """One step of one order."""
        if held.order_id in self.journal.cancels and not held.deaf:
            return self._break_off(held, Outcome.CANCELLED, "stopped")
        if held.begun_at is None:
            return self._begin(held)
        if self._is_out_of_time(held) and not held.deaf:
            return self._break_off(held, Outcome.FAILED, f"took longer than {held.timeout:g} s")
        if held.stuck:
            return []
        return self._go_on(held, weather)

    def _begin(self, held: Held) -> list[FromAgent]:
        held.begun_at = self._clock.now()
        self._truth.deed(held.order_id).begun += 1
        return [self._report(held, "started"), self._report(held, "verb", verb=held.verbs[0])]

    def _go_on(self, held: Held, weather: Weather) -> list[FromAgent]:
        verb = held.verbs[held.at]
        if self._dice.chance(weather.hanging):
            held.stuck = True
            held.deaf = self._dice.chance(weather.deafness)
            return []
        if self._dice.chance(weather.failing):
            return self._break_off(held, Outcome.FAILED, f"{verb} failed")
        self._take_effect(held, verb)
        held.at += 1
        if held.at == len(held.verbs):
            return self._finish(held, Outcome.SUCCESS, None)
        return [self._report(held, "verb", verb=held.verbs[held.at])]

    def _take_effect(self, held: Held, verb: str) -> None:
        if verb in _CHANGING and held.place is not None:
            self._truth.becomes(held.place, held.release_id, held.deployment_id)

    def _break_off(self, held: Held, outcome: Outcome, reason: str) -> list[FromAgent]:
        """It ends in the middle of a verb: a change may be nowhere, half done, or complete."""
        verb = held.verbs[held.at]
        if held.begun_at is not None and verb in _CHANGING and held.place is not None:
            fate = self._dice.whole(0, 2)
            if fate:
                release = held.release_id if fate == 2 else f"half {held.release_id}"
                self._truth.becomes(held.place, release, held.deployment_id)
        return self._finish(held, outcome, reason)

    def _finish(self, held: Held, outcome: Outcome, reason: str | None) -> list[FromAgent]:
        self._truth.deed(held.order_id).finished = outcome.value
        code = {Outcome.SUCCESS: 0, Outcome.FAILED: 1}.get(outcome)
        last = self._report(held, "finished", outcome=outcome.value, reason=reason, exit_code=code)
        return [last]

    def _report(self, held: Held, kind: str, **about: Any) -> ExecutionReport:
        sequence = held.reports[-1].sequence + 1 if held.reports else 1
        report = ExecutionReport(
            order_id=held.order_id, kind=kind, at=self._clock.now(), sequence=sequence, **about
        )
        held.reports.append(report)
        return report

    # --- what happens to it --------------------------------------------------------------------

    def crash(self) -> None:
        """The process is killed; commands live on and are adopted."""
        self.is_alive = False

    def come_back(self) -> None:
        """The process starts again; a hung command that the old one did not hear of is adopted."""
        self.is_alive = True
        for held in self.journal.orders.values():
            held.deaf = False

    def reboot(self) -> None:
        """The node restarts: what ran is gone, and what it came to cannot be known."""
        self.is_alive = False
        for held in self.journal.orders.values():
            if held.begun_at is not None and not held.is_finished:
                self._break_off(held, Outcome.LOST, "the node restarted")

    def lose_disk(self, targets: list[TargetId], *, applications_too: bool) -> None:
        """The journal is gone; what it deployed may be gone as well."""
        self.is_alive = False
        running = [it for it in self.journal.orders.values() if not it.is_finished]
        self.journal = Journal()
        for target_id in targets:
            self._truth.forgetful[target_id] = None
            for place in self._truth.live:
                if place[1] == target_id and (
                    applications_too or any(it.place == place for it in running)
                ):
                    self._truth.unsure[place] = None


def _is_settled(held: Held) -> bool:
    return held.is_finished and not held.open_reports()


def _held(row: OutboxRow) -> Held:
    body = msgspec.msgpack.decode(row.body)
    release = body["release"]
    application_id = row.scope.rpartition("/")[2]
    return Held(
        order_id=row.order_id,
        scope=row.scope,
        fence=row.fence,
        deployment_id=row.deployment_id,
        target_id=TargetId(body["target_id"]),
        application_id=None if application_id.startswith("-") else ApplicationId(application_id),
        release_id=ReleaseId(release["release_id"]) if release else None,
        verbs=tuple(Verb(it).value for it in body["verbs"]),
        timeout=body["timeout_seconds"],
    )
