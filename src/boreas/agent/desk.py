"""Where orders and cancels come in: journal first, then act, then acknowledge.

Called by link.py with each frame of the control stream; answers with the frames to send back. Knows
no connection, so a repeated order after a cut link is the same as any other.
"""

import shutil
from pathlib import Path

import msgspec
import structlog

from boreas.agent.journal import (
    CancelAsked,
    Ending,
    Journal,
    LogSettled,
    OrderState,
    Reported,
    ReportSettled,
    Taken,
    last_word,
)
from boreas.agent.layout import Layout
from boreas.agent.runner import Runner, decode_body
from boreas.agent.secret_files import SecretFiles
from boreas.domain.ids import OrderId
from boreas.domain.orders import Outcome
from boreas.kit.clock import Clock
from boreas.transport.frames import Cancel, Frame, Inventory, Order, OrderTaken, ReportTaken

logger = structlog.get_logger(__name__)

# A server that has taken the last report but never asked for the log has forgotten the order.
UNWANTED_LOG_SECONDS = 7 * 24 * 3600.0
# The next batch or the way back usually follows the last order within this time.
LATELY_SECONDS = 60.0


class Desk:
    """Takes what the server asks for and knows what it must be told again."""

    def __init__(self, journal: Journal, runner: Runner, layout: Layout, clock: Clock) -> None:
        self._secrets = SecretFiles(layout)
        self._journal = journal
        self._runner = runner
        self._layout = layout
        self._clock = clock
        self._awaited_at = -LATELY_SECONDS

    @property
    def is_awaited(self) -> bool:
        """The server waits for something from here: for work under way, or for how it ended."""
        return self._runner.is_busy or any(
            order.open_reports for order in self._journal.orders.values()
        )

    @property
    def was_awaited_lately(self) -> bool:
        """Now, or a moment ago: between two orders of a deployment nobody should wait for us."""
        now = self._clock.monotonic()
        if self.is_awaited:
            self._awaited_at = now
        return now - self._awaited_at < LATELY_SECONDS

    def knows(self, order_id: str) -> bool:
        """It stands in the journal."""
        return OrderId(order_id) in self._journal.orders

    def inventory(self) -> Inventory:
        """The orders that the server has not settled."""
        ids = tuple(order.order_id for order in self._journal.unsettled())
        return Inventory(order_ids=ids, busy=self.is_awaited)

    def open_reports(self) -> tuple[Frame, ...]:
        """Reports without an acknowledgement, to be sent again on a new link."""
        return tuple(
            report for order in self._journal.orders.values() for report in order.open_reports
        )

    async def take_order(self, frame: Order) -> tuple[Frame, ...]:
        """Durable before it returns; a known order is answered with what was reported of it."""
        taken = OrderTaken(outbox_id=frame.outbox_id)
        self._awaited_at = self._clock.monotonic()
        known = self._journal.orders.get(OrderId(frame.order_id))
        if known is not None:
            return (taken, *known.reports)
        if ending := self._early_ending(frame):
            return (taken, await self._take_and_end(frame, ending))
        if ending := self._keep_secrets(frame):
            return (taken, await self._take_and_end(frame, ending))
        await self._journal.write(_entry(frame))
        self._runner.enqueue(self._journal.orders[OrderId(frame.order_id)])
        return (taken,)

    async def take_cancel(self, frame: Cancel) -> tuple[Frame, ...]:
        """Durable before it returns; the answer proper is the order's last report."""
        order_id = OrderId(frame.order_id)
        taken = OrderTaken(outbox_id=frame.outbox_id)
        known = self._journal.orders.get(order_id)
        if known is not None and known.finished is not None:
            return (taken, known.finished)
        await self._journal.write(
            CancelAsked(order_id=order_id, grace_seconds=frame.grace_seconds, reason=frame.reason)
        )
        await self._runner.cancel(order_id)
        return (taken,)

    def settle_report(self, frame: ReportTaken) -> None:
        """The server has it; never sent again."""
        order = self._journal.orders.get(OrderId(frame.order_id))
        if order is not None and frame.sequence not in order.settled:
            self._journal.note(ReportSettled(order_id=frame.order_id, sequence=frame.sequence))
            self._clear_if_settled(order)

    def settle_log(self, order_id: OrderId) -> None:
        """The server has the whole log of a finished order."""
        order = self._journal.orders[order_id]
        if not order.log_settled:
            self._journal.note(LogSettled(order_id=order_id))
            self._clear_if_settled(order)

    def files_sent(self, order_id: OrderId) -> None:
        """Nothing of its output is left to send."""
        self._clear_if_settled(self._journal.orders[order_id])

    def give_up_old_logs(self) -> None:
        """Called at start: a server that deleted the deployment never asks for its log."""
        oldest = self._clock.now().timestamp() - UNWANTED_LOG_SECONDS
        for order in self._journal.unsettled():
            ended = order.finished
            if ended is not None and not order.open_reports and ended.at < oldest:
                logger.info("log given up", action="log_given_up", order=order.order_id)
                self.settle_log(order.order_id)

    def _clear_if_settled(self, order: OrderState) -> None:
        """Its log and its steps are of no use to anybody any more."""
        if order.is_settled and not _has_files(self._layout.output_dir(order.order_id)):
            shutil.rmtree(self._layout.order_dir(order.order_id), ignore_errors=True)

    def _early_ending(self, frame: Order) -> Ending | None:
        """Why this order must not be begun, if there is a reason."""
        highest = self._journal.fences.get(frame.scope, 0)
        if frame.fence < highest:
            why = f"a newer deployment was here: fence {frame.fence} is lower than {highest}"
            return Ending(Outcome.REFUSED, why)
        order_id = OrderId(frame.order_id)
        cancel = self._journal.cancels.get(order_id)
        if cancel is not None:
            return Ending(Outcome.CANCELLED, cancel.reason or "cancelled before it came")
        if frame.trouble:
            return Ending(Outcome.FAILED, frame.trouble)
        if any(self._layout.steps(order_id).glob("*/claim")):
            # Its commands ran, but the journal does not know it: its tail was cut.
            why = "the agent's journal was damaged: what became of the order is not known"
            return Ending(Outcome.LOST, why)
        try:
            decode_body(frame.body)
        except (msgspec.DecodeError, ValueError) as error:
            return Ending(Outcome.REFUSED, f"this agent cannot read the order: {error}")
        return None

    def _keep_secrets(self, frame: Order) -> Ending | None:
        if not frame.secrets:
            return None
        try:
            self._secrets.keep(OrderId(frame.order_id), frame.secrets)
        except OSError as error:
            return Ending(Outcome.FAILED, f"the node cannot keep the order's secrets: {error}")
        return None

    async def _take_and_end(self, frame: Order, ending: Ending) -> Frame:
        log = logger.bind(order=frame.order_id, outcome=ending.outcome, reason=ending.reason)
        log.warning("order ended unbegun", action="order_refused")
        entry = _entry(frame, body=b"")
        state = OrderState(
            order_id=OrderId(frame.order_id), scope=frame.scope, fence=frame.fence, body=b""
        )
        report = last_word(state, ending, at=self._clock.now().timestamp())
        await self._journal.write(entry, Reported(report=report))
        return report


def _has_files(directory: Path) -> bool:
    return directory.is_dir() and any(directory.iterdir())


def _entry(frame: Order, *, body: bytes | None = None) -> Taken:
    return Taken(
        order_id=frame.order_id,
        scope=frame.scope,
        fence=frame.fence,
        body=frame.body if body is None else body,
    )
