"""What the agent must never forget: orders taken, reports not yet acknowledged, fences, cancels.

Everything is written here *before* the agent acts on it or speaks of it. Entries that are written
in the same turn of the loop share one sync. The state in memory is the fold of the entries; it
shows an entry only once that is durable.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import structlog

from boreas.agent.records import RecordFile
from boreas.domain.ids import OrderId
from boreas.domain.orders import Outcome
from boreas.transport.frames import Report

logger = structlog.get_logger(__name__)

# Acknowledgements may be lost: the report is sent again and acknowledged again. They wait this long
# for a write that must be durable, and share its sync.
NOTE_SECONDS = 1.0
COMPACT_AT_BYTES = 4 * 1024 * 1024
NO_ROOM_RETRY_SECONDS = 1.0


class _Entry(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """One line of the journal; fields may be added at the end with a default."""


class Taken(_Entry, frozen=True, array_like=True, kw_only=True, tag=1):
    """An order stands here; from now on its id is known for as long as its fence could return."""

    order_id: str
    scope: str
    fence: int
    body: bytes


class Reported(_Entry, frozen=True, array_like=True, kw_only=True, tag=2):
    """News that the server must get."""

    report: Report


class ReportSettled(_Entry, frozen=True, array_like=True, kw_only=True, tag=3):
    """The server has committed this report."""

    order_id: str
    sequence: int


class VerbDone(_Entry, frozen=True, array_like=True, kw_only=True, tag=4):
    """A verb came to a good end; it is not entered again after a restart."""

    order_id: str
    verb: str
    exit_code: int | None
    result: dict[str, Any]


class CancelAsked(_Entry, frozen=True, array_like=True, kw_only=True, tag=5):
    """The server wants this order stopped; it may not even have come yet."""

    order_id: str
    grace_seconds: float
    reason: str


class LogSettled(_Entry, frozen=True, array_like=True, kw_only=True, tag=6):
    """The server has the whole log of this finished order."""

    order_id: str


class FenceSeen(_Entry, frozen=True, array_like=True, kw_only=True, tag=7):
    """The highest fence of a scope, kept when its orders are forgotten."""

    scope: str
    fence: int


Entry = Taken | Reported | ReportSettled | VerbDone | CancelAsked | LogSettled | FenceSeen

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[Entry, ...]).decode


@dataclass(slots=True, kw_only=True)
class OrderState:
    """All that is known of one order; changed only by the journal's fold."""

    order_id: OrderId
    scope: str
    fence: int
    body: bytes
    reports: list[Report] = field(default_factory=list)
    settled: set[int] = field(default_factory=set)
    verbs_done: list[VerbDone] = field(default_factory=list)
    log_settled: bool = False

    @property
    def finished(self) -> Report | None:
        """The last word, if it was said."""
        if self.reports and self.reports[-1].kind == "finished":
            return self.reports[-1]
        return None

    @property
    def open_reports(self) -> tuple[Report, ...]:
        """Reports that the server has not acknowledged, in order."""
        return tuple(report for report in self.reports if report.sequence not in self.settled)

    @property
    def is_settled(self) -> bool:
        """Nothing of it is left to do, to tell or to upload."""
        return self.finished is not None and not self.open_reports and self.log_settled

    @property
    def next_sequence(self) -> int:
        return self.reports[-1].sequence + 1 if self.reports else 1


class Ending(NamedTuple):
    """How an order ends."""

    outcome: Outcome
    reason: str | None = None
    exit_code: int | None = None
    result: dict[str, Any] | None = None


class Journal:
    """The fold of the record file, and the only way to add to it."""

    def __init__(self, records: RecordFile) -> None:
        self._records = records
        self.orders: dict[OrderId, OrderState] = {}
        self.cancels: dict[OrderId, CancelAsked] = {}
        self.fences: dict[str, int] = {}
        self._waiting: list[tuple[tuple[Entry, ...], asyncio.Future[None]]] = []
        self._notes: list[Entry] = []
        self._flush_is_due = False
        self._is_closed = False
        for record in records.read():
            for entry in _decode(record):
                self._fold(entry)
        if records.cut_bytes:
            logger.warning("journal tail cut", action="journal_cut", bytes=records.cut_bytes)
        self._compact_at = records.size + COMPACT_AT_BYTES
        self._compact()

    async def write(self, *entries: Entry) -> None:
        """All or none of them durable and visible when it returns; waits while the disk is full."""
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()
        self._waiting.append((entries, written))
        if not self._flush_is_due:
            self._flush_is_due = True
            loop.call_soon(self._flush)
        await written

    def note(self, entry: Entry) -> None:
        """Visible at once, durable a little later; for what may be lost without harm."""
        self._fold(entry)
        self._notes.append(entry)
        if len(self._notes) == 1:
            asyncio.get_running_loop().call_later(NOTE_SECONDS, self._flush_notes)

    def unfinished(self) -> tuple[OrderState, ...]:
        """Orders to go on with, in the order in which they were taken."""
        return tuple(order for order in self.orders.values() if order.finished is None)

    def unsettled(self) -> tuple[OrderState, ...]:
        """Orders that the server has not heard the last of."""
        return tuple(order for order in self.orders.values() if not order.is_settled)

    def close(self) -> None:
        """Nothing is written any more."""
        self._is_closed = True
        self._records.close()

    def _flush_notes(self) -> None:
        if self._notes and not self._flush_is_due:
            self._flush()

    def _flush(self) -> None:
        """One sync for all that waits. Runs in the loop: the disk's answer is worth the wait."""
        if self._is_closed:
            return
        groups = [group for group, _ in self._waiting]
        notes = [(note,) for note in self._notes]
        try:
            self._records.append(_encode(group) for group in (*notes, *groups))
        except OSError as error:
            logger.error("journal cannot be written", action="journal_blocked", error=str(error))  # noqa: TRY400 - the reason is in the error, a trace says no more
            asyncio.get_running_loop().call_later(NO_ROOM_RETRY_SECONDS, self._flush)
            return
        waiting, self._waiting = self._waiting, []
        self._notes = []
        self._flush_is_due = False
        for group, written in waiting:
            for entry in group:
                self._fold(entry)
            if not written.done():
                written.set_result(None)
        if self._records.size > self._compact_at:
            self._compact()

    def _fold(self, entry: Entry) -> None:
        match entry:
            case Taken():
                order_id = OrderId(entry.order_id)
                self.orders[order_id] = OrderState(
                    order_id=order_id, scope=entry.scope, fence=entry.fence, body=entry.body
                )
                self._raise_fence(entry.scope, entry.fence)
            case FenceSeen():
                self._raise_fence(entry.scope, entry.fence)
            case CancelAsked():
                self.cancels[OrderId(entry.order_id)] = entry
            case Reported():
                self._fold_report(entry.report)
            case ReportSettled() | VerbDone() | LogSettled():
                self._fold_progress(entry)

    def _fold_report(self, report: Report) -> None:
        order = self.orders.get(OrderId(report.order_id))
        if order is not None:
            order.reports.append(report)
            if report.kind == "finished":
                order.body = b""

    def _fold_progress(self, entry: ReportSettled | VerbDone | LogSettled) -> None:
        order = self.orders.get(OrderId(entry.order_id))
        if order is None:
            return
        match entry:
            case ReportSettled():
                order.settled.add(entry.sequence)
            case VerbDone():
                order.verbs_done.append(entry)
            case LogSettled():
                order.log_settled = True

    def _raise_fence(self, scope: str, fence: int) -> None:
        self.fences[scope] = max(fence, self.fences.get(scope, 0))

    def _compact(self) -> None:
        """Forget what can never be asked for again: settled, and fenced off if it came back."""
        for order in list(self.orders.values()):
            if order.is_settled and order.fence < self.fences[order.scope]:
                del self.orders[order.order_id]
                self.cancels.pop(order.order_id, None)
        try:
            self._records.rewrite(_encode((entry,)) for entry in self._snapshot())
        except OSError as error:
            logger.warning("journal not compacted", action="journal_compact", error=str(error))
        self._compact_at = self._records.size * 2 + COMPACT_AT_BYTES

    def _snapshot(self) -> Iterable[Entry]:
        for scope, fence in self.fences.items():
            yield FenceSeen(scope=scope, fence=fence)
        for order in self.orders.values():
            yield Taken(
                order_id=order.order_id, scope=order.scope, fence=order.fence, body=order.body
            )
            yield from order.verbs_done
            yield from (Reported(report=report) for report in order.reports)
            for sequence in sorted(order.settled):
                yield ReportSettled(order_id=order.order_id, sequence=sequence)
            if order.log_settled:
                yield LogSettled(order_id=order.order_id)
        yield from self.cancels.values()


def last_word(order: OrderState, ending: Ending, *, at: float, log_bytes: int = 0) -> Report:
    """The report that ends an order."""
    return Report(
        order_id=order.order_id,
        sequence=order.next_sequence,
        kind="finished",
        at=at,
        outcome=ending.outcome.value,
        exit_code=ending.exit_code,
        reason=ending.reason,
        log_bytes=log_bytes,
        result=ending.result or {},
    )
