"""One agent on one link: orders out, reports and heartbeats in, until either side goes."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
import structlog
from cryptography import x509

from boreas.domain.delivery import masked_values
from boreas.domain.errors import BoreasError, Unavailable
from boreas.domain.events import ExecutionReport
from boreas.domain.ids import AgentId
from boreas.domain.outbox import OutboxKind, OutboxRow, Place
from boreas.kit.clock import Clock
from boreas.kit.tasks import TaskGroup
from boreas.kit.until import Hint
from boreas.runtime.news import Arrival
from boreas.server.gateway.doorkeeper import BUSY_HEARTBEAT_SECONDS, HEARTBEAT_SECONDS
from boreas.server.gateway.log_intake import LogIntake
from boreas.server.gateway.parts import GatewayParts
from boreas.server.gateway.sealed_orders import SealedOrders
from boreas.server.gateway.watches import Watches
from boreas.transport.admission import AdmittedAgent
from boreas.transport.frames import (
    OBSERVES,
    Cancel,
    Frame,
    Goodbye,
    Heartbeat,
    HeartbeatAnswer,
    Inventory,
    Issued,
    LogStream,
    Order,
    OrderTaken,
    Padding,
    Renew,
    Report,
    ReportTaken,
    Seen,
)
from boreas.transport.keys import der, spki_sha256
from boreas.transport.links import CloseCode, LinkClosed, ProtocolViolation, StreamReset
from boreas.transport.streams import Stream, StreamEnded

log = structlog.get_logger(__name__)

# Three missed beats; an idle link that is silent longer is dead even if QUIC has not noticed.
_SILENCE_IDLE = 3 * HEARTBEAT_SECONDS
_SILENCE_BUSY = 5 * BUSY_HEARTBEAT_SECONDS
_PROBE_SECONDS = 1.5
_OUTAGE_REST_SECONDS = 1.0


class AgentSession:
    """What the server does with an admitted agent.

    Thousands of them are idle: each waits in one task, for the agent's next word. Everything else
    is started when there is something to do.
    """

    __slots__ = (
        "_can_look",
        "_clock",
        "_heard",
        "_heard_at",
        "_intake",
        "_is_looking",
        "_must_look",
        "_parts",
        "_sealed",
        "_sent",
        "_session",
        "_tasks",
        "_watches",
        "agent_id",
        "instance",
        "is_busy",
        "name",
    )

    def __init__(self, admitted: AdmittedAgent, parts: GatewayParts) -> None:
        self.agent_id = AgentId(admitted.agent_id)
        self.name = admitted.hello.name
        self.instance = admitted.hello.instance
        self._session = admitted.session
        self._parts = parts
        self._clock: Clock = parts.clock
        self._intake = LogIntake(
            session=admitted.session,
            logs=parts.logs,
            secrecy=parts.secrecy,
            clock=parts.clock,
            start=self._start,
        )
        self._sealed = SealedOrders(parts.secrecy, start=self._start, send=self._send_row)
        self._watches = Watches(
            self.agent_id, parts.observing, parts.clock, start=self._start, say=self._say
        )
        self._can_look = OBSERVES in admitted.hello.abilities
        self._sent: set[int] = set()
        self._must_look = self._is_looking = False
        self._heard = Hint()
        self._heard_at = parts.clock.monotonic()
        self.is_busy = False
        """As it said last."""
        self._tasks: TaskGroup | None = None

    async def run(self) -> None:
        """Until the link ends. The agent counts as here only once that is committed."""
        link = self._session.link
        await self._parts.news.arrived(
            Arrival(agent_id=self.agent_id, address=link.peer_address, transport=link.kind)
        )
        try:
            async with TaskGroup(f"agent {self.name}") as self._tasks:
                try:
                    self._session.give_streams_to(self._take_stream)
                    self.fetch()
                    self._look()
                    await self._receive_frames()
                finally:
                    self._tasks = None
        except* BoreasError as ended:
            why = "; ".join(str(error) for error in ended.exceptions)
            log.info("agent gone", action="agent_gone", agent=self.name, why=why)
        finally:
            self._session.close()

    # --- out --------------------------------------------------------------------------------

    def deliver(self, row: OutboxRow) -> None:
        """Send a promise that was just committed."""
        if row.id not in self._sent:
            self._sent.add(row.id)
            is_order = row.kind is OutboxKind.ORDER
            place = self._parts.places.learn(row) if is_order else None
            if self._sealed.is_empty and not (place and place.has_secrets):
                self._send_row(row)
            elif not self._sealed.put(row, place):
                self._sent.discard(row.id)  # fetched again as soon as the link is up

    def _send_row(self, row: OutboxRow, secrets: bytes = b"", trouble: str = "") -> None:
        self._say(_frame_of(row, secrets, trouble))

    def fetch(self) -> None:
        """The database may hold promises for this agent: look."""
        self._must_look = True
        if not self._is_looking:
            self._is_looking = self._start(self._send_promises, "promises")

    def _look(self) -> None:
        if self._can_look:
            self._watches.look()

    def _start(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> bool:
        """Do this beside the rest; False when the link is not up yet or is going down."""
        if self._tasks is None or self._session.closing is not None:
            return False
        self._tasks.start(work, name=name)
        return True

    def close(self, code: CloseCode, reason: str) -> None:
        """End the link."""
        self._session.close(code, reason)

    def say_goodbye(self, *, retry_after: float, reason: str = "the server stops") -> None:
        """The agent shall come back after this time, to another server if there is one."""
        self._say(Goodbye(reason=reason, retry_after=retry_after))

    def _say(self, frame: Frame) -> None:
        """For callers who are not this session's own tasks: a link that is gone is no news to them.

        What is not said now is said on the agent's next link.
        """
        if self._session.closing is None:
            with suppress(LinkClosed):
                self._session.control.send(frame)

    async def answers(self) -> bool:
        """Is the agent at the other end alive? Asks for an echo and waits a moment."""
        if self._session.closing is not None:
            return False
        self._heard.raise_()
        await self._heard.wait()
        self._session.control.send(Padding(bytes_=b"", echo=True))
        return await self._heard.wait(at_most=_PROBE_SECONDS)

    async def _send_promises(self) -> None:
        try:
            while self._must_look:
                self._must_look = False
                try:
                    rows = await self._parts.registry.promises(self.agent_id)
                except Unavailable:
                    # The link is good; only the database is away for a moment.
                    await self._clock.sleep(_OUTAGE_REST_SECONDS)
                    self._must_look = True
                    continue
                for row in rows:
                    self.deliver(row)
        finally:
            self._is_looking = False

    # --- in ---------------------------------------------------------------------------------

    async def _receive_frames(self) -> None:
        while True:
            frame = await self._session.control.receive()
            self._heard_at = self._clock.monotonic()
            self._heard.raise_()
            await self._receive(frame)

    async def _receive(self, frame: Frame) -> None:
        match frame:
            case Heartbeat():
                self._beat(frame)
            case OrderTaken(outbox_id=outbox_id):
                self._parts.news.taken(outbox_id)
            case Report():
                await self._report(frame)
            case Seen():
                self._watches.seen(frame)
            case Inventory(order_ids=order_ids, busy=busy):
                self.is_busy = busy
                await self._settle_inventory(order_ids)
            case Renew(csr_pem=csr_pem):
                await self._renew(csr_pem)
            case Padding(echo=True):
                self._session.control.send(Padding(bytes_=frame.bytes_, echo=False))
            case Padding():
                pass
            case Goodbye(reason=reason):
                self._session.close(CloseCode.NO_ERROR, reason)
            case _:
                raise ProtocolViolation(f"{type(frame).__name__} is not an agent's to say now")

    def _beat(self, beat: Heartbeat) -> None:
        self.is_busy = beat.busy
        self._parts.news.beat(self.agent_id, beat.facts)
        now = self._clock.now().timestamp()
        self._session.control.send(HeartbeatAnswer(sequence=beat.sequence, server_time=now))

    async def _report(self, report: Report) -> None:
        places = await self._parts.places.of_orders((report.order_id,), self.agent_id)
        if report.order_id not in places:
            await self._refuse_foreign(report)
            return
        if report.log_bytes is not None:
            self._parts.log_keeper.expect(
                places[report.order_id], report.order_id, report.log_bytes
            )
        shown = await self._masked(report, places[report.order_id])
        self._parts.news.report(
            _as_news(shown, self._clock), lambda: self._say_report_taken(report)
        )

    async def _masked(self, report: Report, place: Place) -> Report:
        """The report without secrets, should the agent have left some in it."""
        if not place.has_secrets or not (report.reason or report.result):
            return report
        mask = await self._parts.secrecy.text_mask(place)
        reason = mask(report.reason) if report.reason else report.reason
        result = masked_values(report.result, mask)
        return msgspec.structs.replace(report, reason=reason, result=result)

    async def _refuse_foreign(self, report: Report) -> None:
        """Not this agent's order: a deleted deployment's, or a lie. Either way it has no effect."""
        log.warning(
            "report of a foreign order", agent=self.name, order=report.order_id, kind=report.kind
        )
        self._say_report_taken(report)

    def _say_report_taken(self, report: Report) -> None:
        self._say(ReportTaken(order_id=report.order_id, sequence=report.sequence))
        if report.kind == "finished":
            self._look()  # what is live may have changed with it

    async def _settle_inventory(self, order_ids: Sequence[str]) -> None:
        """Tell the agent where its logs go on; tell the engine what it no longer holds."""
        places = await self._parts.places.of_orders(order_ids, self.agent_id)
        for order_id, place in places.items():
            self._intake.tell_offset(place, order_id)
        for order_id in set(order_ids) - set(places):
            self._intake.forget(order_id)
        held = set(order_ids)
        for order_id in await self._parts.registry.unfinished_orders(self.agent_id):
            if order_id not in held:
                self._parts.news.report(_unknown(order_id, self._clock), lambda: None)

    async def _renew(self, csr_pem: bytes) -> None:
        """A later certificate for the same key; another key would be another agent."""
        agent = await self._parts.registry.agent(self.agent_id)
        key = spki_sha256(x509.load_pem_x509_csr(csr_pem)).hex()
        if agent is None or agent.revoked_at is not None or agent.key_sha256 != key:
            raise ProtocolViolation("only the enrolled key may ask for its next certificate")
        certificate = self._parts.authority.sign_agent(csr_pem, self.agent_id, self._clock.now())
        self._session.control.send(Issued(certificate_der=der(certificate)))

    def _take_stream(self, stream: Stream) -> None:
        self._start(partial(self._receive_stream, stream), f"stream {stream.id}")

    async def _receive_stream(self, stream: Stream) -> None:
        try:
            header = await stream.header()
            if isinstance(header, LogStream):
                await self._receive_log(stream, header)
            else:
                await self._parts.files.serve(stream, header, self.agent_id)
        except (StreamEnded, StreamReset):
            pass  # the agent opens another one from the durable offset

    async def _receive_log(self, stream: Stream, header: LogStream) -> None:
        places = await self._parts.places.of_orders((header.order_id,), self.agent_id)
        place = places.get(header.order_id)
        if place is None:
            # Nobody's, such as a deleted deployment's: the agent need not keep it.
            stream.abandon()
            self._intake.forget(header.order_id)
            return
        await self._intake.take(stream, place, header.order_id, header.start_offset)

    def close_if_silent(self) -> None:
        """End the link when the agent has said nothing for three beats, or five busy ones."""
        limit = _SILENCE_BUSY if self.is_busy else _SILENCE_IDLE
        if self._clock.monotonic() - self._heard_at > limit:
            self._session.close(CloseCode.TIMED_OUT, f"nothing heard for {limit:.0f} s")


def _frame_of(row: OutboxRow, secrets: bytes, trouble: str) -> Order | Cancel:
    if row.kind is OutboxKind.ORDER:
        return Order(
            outbox_id=row.id,
            order_id=row.order_id,
            scope=row.scope,
            fence=row.fence,
            body=row.body,
            secrets=secrets,
            trouble=trouble,
        )
    wish: Mapping[str, Any] = msgspec.msgpack.decode(row.body)
    return Cancel(
        outbox_id=row.id,
        order_id=row.order_id,
        grace_seconds=wish["grace_seconds"],
        reason=wish["reason"],
    )


def _as_news(report: Report, clock: Clock) -> ExecutionReport:
    """The server's time rules: an agent's clock may be a day off."""
    return ExecutionReport(
        order_id=report.order_id,
        kind=report.kind,
        at=clock.now(),
        sequence=report.sequence,
        verb=report.verb,
        outcome=report.outcome,
        exit_code=report.exit_code,
        reason=report.reason,
        result=report.result,
    )


def _unknown(order_id: str, clock: Clock) -> ExecutionReport:
    reason = "the agent no longer holds this order: its data directory was lost"
    return ExecutionReport(order_id=order_id, kind="unknown", at=clock.now(), reason=reason)
