"""One link in use: from the Welcome to its end.

Says what the agent holds, sends again what was not acknowledged, takes orders, beats, and notices
when the server is silent for too long. uplink.py makes the links and comes back when one is gone.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import structlog

from boreas.agent.desk import Desk
from boreas.agent.facts import FactsBoard
from boreas.agent.input_files import InputFiles
from boreas.agent.lookout import Lookout
from boreas.agent.output_files import OutputFiles
from boreas.agent.pulse import JITTER, Pulse
from boreas.agent.uploads import Uploads
from boreas.domain.ids import OrderId
from boreas.kit.clock import Clock
from boreas.kit.ids import jittered
from boreas.kit.tasks import TaskGroup
from boreas.transport.frames import (
    Cancel,
    Frame,
    Goodbye,
    Heartbeat,
    HeartbeatAnswer,
    Issued,
    LogStored,
    Order,
    Padding,
    Renew,
    Report,
    ReportTaken,
    Watch,
    Welcome,
)
from boreas.transport.identity import AgentVault
from boreas.transport.links import CloseCode, LinkClosed
from boreas.transport.session import Session

logger = structlog.get_logger(__name__)

_FULL_PACKET = 1200
_BEATS_OF_PROOF = 3
RENEWAL_LOOK_SECONDS = 3600.0


class Parts(NamedTuple):
    """What every link of an agent works with."""

    desk: Desk
    facts: FactsBoard
    vault: AgentVault | None
    inputs: InputFiles
    clock: Clock
    lookout: Lookout


class AgentLink:
    """Serves one session. `serve` returns when the link has ended, by whomever."""

    def __init__(
        self,
        session: Session,
        welcome: Welcome,
        *,
        uploads: Uploads,
        files: OutputFiles,
        parts: Parts,
        on_proof: Callable[[], None] = lambda: None,
    ) -> None:
        self._session = session
        self._welcome = welcome
        self._uploads = uploads
        self._files = files
        self._desk, self._facts, self._vault, self._inputs, self._clock, self._lookout = parts
        self._tasks = TaskGroup("agent link")
        self._beat_now = parts.facts.news_came
        self._pulse = Pulse(
            idle_seconds=welcome.heartbeat_seconds, busy_seconds=welcome.busy_heartbeat_seconds
        )
        self._beats = 0
        self._on_proof = on_proof
        self._answers = 0
        self._full_packets_pass = False
        self.was_silent = False
        """The server stopped answering."""
        self.goodbye: Goodbye | None = None
        """What the server said when it left on purpose."""

    async def serve(self) -> None:
        """Until the link is closed, or the server has been silent for too long."""
        try:
            async with self._tasks:
                self._lookout.opened(self._say)
                self._tasks.start(self._offer_inputs, name="files down")
                self._introduce()
                self._tasks.start(self._beat, name="heartbeat")
                self._tasks.start(self._files.run, name="files up")
                self._tasks.start(self._files.refuse_incoming, name="streams of the server")
                self._tasks.start(self._renew, name="certificate renewal")
                await self._receive()
        except* LinkClosed:
            pass
        finally:
            self._lookout.closed()
            self._session.close(CloseCode.NO_ERROR, "the agent leaves this link")
        _obey_cancellation()

    async def _offer_inputs(self) -> None:
        with self._inputs.over(self._session):
            await self._session.wait_closed()

    def tell(self, report: Report) -> None:
        """Send a report that has just become durable; if the link is gone the next one sends it."""
        try:
            self._session.control.send(report)
        except LinkClosed:
            return
        if report.kind in ("started", "finished"):
            self._beat_now.raise_()
            self._uploads.look_again(OrderId(report.order_id))
        if report.kind == "finished":
            self._facts.look_soon.raise_()
            self._files.hint.raise_()

    def _say(self, frame: Frame) -> None:
        """For callers who are not this link's own tasks."""
        with suppress(LinkClosed):
            self._session.control.send(frame)

    def output_came(self, order_dir: Path) -> None:
        """A command of this order printed something."""
        self._uploads.output_came(order_dir)

    def _introduce(self) -> None:
        self._facts.send_again()
        self._session.control.send(self._desk.inventory())
        self._send(Padding(bytes_=bytes(_FULL_PACKET), echo=True))
        self._send(*self._desk.open_reports())

    def _send(self, *frames: Frame) -> None:
        for frame in frames:
            self._session.control.send(frame)

    async def _receive(self) -> None:
        async for frame in self._session.control:
            self._pulse.heard()
            await self._take(frame)

    async def _take(self, frame: Frame) -> None:
        match frame:
            case Order():
                is_new = not self._desk.knows(frame.order_id)
                self._send(*await self._desk.take_order(frame))
                if is_new:
                    self._uploads.begin(self._tasks, OrderId(frame.order_id), offset=0)
            case Cancel():
                self._send(*await self._desk.take_cancel(frame))
            case ReportTaken():
                self._desk.settle_report(frame)
            case LogStored():
                self._log_stored(OrderId(frame.order_id), frame.offset)
            case HeartbeatAnswer() | Padding():
                self._weigh_path(frame)
            case Watch():
                self._lookout.take(frame)
            case Issued():
                self._keep_certificate(frame)
            case Goodbye():
                self.goodbye = frame
                self._session.close(CloseCode.NO_ERROR, "goodbye")
            case _:
                logger.warning(
                    "message ignored", action="frame_ignored", frame=type(frame).__name__
                )

    def _weigh_path(self, frame: HeartbeatAnswer | Padding) -> None:
        """A path is good when full packets pass both ways and it has lived for some beats."""
        match frame:
            case Padding(echo=True):
                self._send(Padding(bytes_=frame.bytes_, echo=False))
            case Padding():
                self._full_packets_pass = True
            case HeartbeatAnswer():
                self._answers += 1
        if self._full_packets_pass and self._answers == _BEATS_OF_PROOF:
            self._on_proof()

    def _log_stored(self, order_id: OrderId, offset: int) -> None:
        if self._uploads.is_known(order_id):
            self._uploads.stored(order_id, offset)
        else:
            self._uploads.begin(self._tasks, order_id, offset=offset)

    # --- life ---

    async def _beat(self) -> None:
        while True:
            busy = self._desk.is_awaited
            quick = self._desk.was_awaited_lately
            self._beats += 1
            self._send(Heartbeat(sequence=self._beats, busy=busy, facts=self._facts.news()))
            self._pulse.beaten(self._clock.monotonic())
            await self._rest(busy=quick)
            # Work that ended while nobody answered makes the agent no more patient.
            quick = quick or self._desk.was_awaited_lately
            if self._pulse.is_silent(self._clock.monotonic(), busy=quick):
                logger.warning("server is silent", action="link_silent")
                self.was_silent = True
                self._session.close(CloseCode.TIMED_OUT, "no answer to heartbeats")

    async def _rest(self, *, busy: bool) -> None:
        """Until it is time for the next beat, or there is news to beat about."""
        at_most = self._pulse.answer_time(self._clock.monotonic(), busy=busy)
        if await self._beat_now.wait(at_most=at_most) or busy:
            return
        if self._pulse.is_answered:
            await self._beat_now.wait(at_most=self._pulse.rest())

    # --- certificate ---

    async def _renew(self) -> None:
        while True:
            now: datetime = self._clock.now()
            identity = self._vault.identity() if self._vault else None
            if self._vault and identity and identity.wants_renewal(now):
                self._send(Renew(csr_pem=self._vault.csr()))
            await self._clock.sleep(jittered(RENEWAL_LOOK_SECONDS, by=JITTER))

    def _keep_certificate(self, issued: Issued) -> None:
        identity = self._vault.identity() if self._vault else None
        if self._vault and identity:
            self._vault.keep(issued.certificate_der, identity.ca)
            logger.info("certificate renewed", action="certificate_renewed")


def _obey_cancellation() -> None:
    """A task group that fails at the very moment its owner is cancelled swallows the cancel.

    Python 3.13 mended it; before, an agent told to stop would dial again.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
