"""The server's side of an agent's link, just large enough to order it about and to watch it.

For tests of the agent: keeps its state over cut links, acknowledges what it stores, and can be told
to keep silent. No store, no engine; boreas.server.gateway is the real one.
"""

import asyncio
import itertools
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from boreas.domain.delivery import OpenedSecrets
from boreas.domain.errors import BoreasError
from boreas.domain.ids import (
    AgentId,
    ApplicationId,
    DeploymentId,
    EnvironmentId,
    ExecutionId,
    OrderId,
    ProjectId,
    ReleaseId,
    TargetId,
    TaskId,
    VersionId,
)
from boreas.domain.orders import DriverKind, OrderBody, ReleaseBody, Verb
from boreas.kit.tasks import TaskGroup
from boreas.logs.chunks import decode
from boreas.transport.frames import (
    Cancel,
    FileOffer,
    Frame,
    Heartbeat,
    HeartbeatAnswer,
    Inventory,
    Issued,
    LogStored,
    LogStream,
    Order,
    OrderTaken,
    Padding,
    Renew,
    Report,
    ReportTaken,
    Welcome,
)
from boreas.transport.links import LinkClosed
from boreas.transport.session import Session
from boreas.transport.streams import Stream, StreamEnded
from boreas.transport.transfers import receive_file

WELCOME = Welcome(
    agent_id="agt_1",
    server_id="srv_1",
    server_time=0.0,
    heartbeat_seconds=15.0,
    busy_heartbeat_seconds=2.0,
    servers=(),
)

SCOPE = "tgt_1/app_1"


def an_order(
    order_id: str = "dep_1.1#1",
    *,
    command: str | None = None,
    verbs: tuple[Verb, ...] = (Verb.RUN,),
    scripts: Mapping[str, str] | None = None,
    timeout_seconds: float = 60.0,
) -> OrderBody:
    """A whole order; a test states only what it is about."""
    return OrderBody(
        order_id=OrderId(order_id),
        execution_id=ExecutionId(order_id.partition("#")[0]),
        attempt=1,
        deployment_id=DeploymentId("dep_1"),
        task_id=TaskId("t1"),
        task_name="deploy",
        project_id=ProjectId("prj_1"),
        project="shop",
        environment_id=EnvironmentId("env_1"),
        environment="prod",
        target_id=TargetId("tgt_1"),
        target="node-1",
        agent_id=AgentId("agt_1"),
        agent="a1",
        verbs=verbs,
        release=_a_release(scripts) if scripts is not None else None,
        command=command,
        timeout_seconds=timeout_seconds,
        cancel_grace_seconds=0.5,
    )


def _a_release(scripts: Mapping[str, str]) -> ReleaseBody:
    return ReleaseBody(
        release_id=ReleaseId("rel_1"),
        version_id=VersionId("ver_1"),
        version="v1",
        application_id=ApplicationId("app_1"),
        application="web",
        driver=DriverKind.SCRIPT,
        spec={"scripts": dict(scripts)},
    )


class FakeGateway:
    """Remembers over links what it ordered, heard and stored."""

    def __init__(self) -> None:
        self.session: Session | None = None
        self.reports: dict[str, dict[int, Report]] = {}
        self.taken: list[int] = []
        self.outbox: dict[int, Order | Cancel] = {}
        self.inventories: list[Inventory] = []
        self.heartbeats: list[Heartbeat] = []
        self.logs: dict[str, bytearray] = {}
        self.complete_logs: set[str] = set()
        self.files: dict[str, bytes] = {}
        self.refused_files: dict[str, str] = {}
        self.echoes: list[bytes] = []
        self.unexpected: list[str] = []
        self.issue: Callable[[bytes], bytes] | None = None
        self.acknowledges = True
        self.answers_heartbeats = True
        self.streams_to_lose = 0
        """So many log streams are read to their end and not stored, as by a full disk."""
        self._outbox_ids = itertools.count(1)
        self._changed = asyncio.Condition()

    # --- what a test says ---

    async def order(
        self,
        body: OrderBody,
        *,
        fence: int = 1,
        scope: str = SCOPE,
        secrets: OpenedSecrets | None = None,
        trouble: str = "",
    ) -> Order:
        """Send an order over the present link, and over later ones until it is taken."""
        frame = Order(
            outbox_id=next(self._outbox_ids),
            order_id=body.order_id,
            scope=scope,
            fence=fence,
            body=msgspec.msgpack.encode(body),
            secrets=b"" if secrets is None else msgspec.msgpack.encode(secrets),
            trouble=trouble,
        )
        await self._put(frame)
        return frame

    async def cancel(self, order_id: str, *, grace_seconds: float = 0.5) -> None:
        """Ask for a stop."""
        frame = Cancel(
            outbox_id=next(self._outbox_ids),
            order_id=order_id,
            grace_seconds=grace_seconds,
            reason="stopped by ada",
        )
        await self._put(frame)

    async def _put(self, frame: Order | Cancel) -> None:
        self.outbox[frame.outbox_id] = frame
        if self.session is not None:
            self.session.control.send(frame)

    async def send(self, frame: Frame) -> None:
        """Send on the present link, waiting for one if there is none."""
        await self.until(lambda: self.session is not None)
        assert self.session is not None
        self.session.control.send(frame)

    async def until(self, holds: Callable[[], Any], *, at_most: float = 20.0) -> None:
        """Wait until something holds; looked at after each event."""
        async with asyncio.timeout(at_most), self._changed:
            await self._changed.wait_for(holds)

    async def finished(self, order_id: str = "dep_1.1#1", *, with_log: bool = True) -> Report:
        """The last report of an order, and its whole log stored."""
        await self.until(lambda: self._is_finished(order_id, with_log=with_log))
        return self._last(order_id)

    def log_text(self, order_id: str = "dep_1.1#1", *, stream: int | None = None) -> str:
        """What the log says, of one stream or of all."""
        chunks = decode(bytes(self.logs.get(order_id, b"")))
        wanted = (one.payload for one in chunks if stream in (None, one.stream))
        return b"".join(wanted).decode()

    def kinds(self, order_id: str = "dep_1.1#1") -> list[str]:
        """The kinds of an order's reports in the order of their numbers."""
        return [report.kind for _, report in sorted(self.reports.get(order_id, {}).items())]

    # --- what it does with a link ---

    async def serve(self, session: Session) -> None:
        """Until the link is gone."""
        try:
            async with TaskGroup("fake gateway") as tasks:
                tasks.start(lambda: self._streams(session, tasks), name="streams")
                async for frame in session.control:
                    self._take(session, frame)
                    await self._note()
        except* LinkClosed:
            pass
        finally:
            if self.session is session:
                self.session = None

    def _take(self, session: Session, frame: Frame) -> None:
        match frame:
            case Inventory():
                self._take_inventory(session, frame)
            case Report():
                self._take_report(session, frame)
            case OrderTaken():
                self.taken.append(frame.outbox_id)
                self.outbox.pop(frame.outbox_id, None)
            case Heartbeat():
                self.heartbeats.append(frame)
                if self.answers_heartbeats:
                    answer = HeartbeatAnswer(sequence=frame.sequence, server_time=0.0)
                    session.control.send(answer)
            case Renew() if self.issue is not None:
                session.control.send(Issued(certificate_der=self.issue(frame.csr_pem)))
            case Padding():
                self._take_padding(session, frame)
            case _:
                self.unexpected.append(repr(frame))

    def _take_inventory(self, session: Session, inventory: Inventory) -> None:
        self.inventories.append(inventory)
        for order_id in inventory.order_ids:
            offset = len(self.logs.get(order_id, b""))
            session.control.send(LogStored(order_id=order_id, offset=offset))
        self.session = session
        for waiting in self.outbox.values():
            session.control.send(waiting)

    def _take_padding(self, session: Session, padding: Padding) -> None:
        if padding.echo:
            session.control.send(Padding(bytes_=padding.bytes_, echo=False))
        else:
            self.echoes.append(padding.bytes_)

    def _take_report(self, session: Session, report: Report) -> None:
        known = self.reports.setdefault(report.order_id, {})
        if known.setdefault(report.sequence, report) != report:
            self.unexpected.append(f"another report with the same number: {report}")
        if self.acknowledges:
            taken = ReportTaken(order_id=report.order_id, sequence=report.sequence)
            session.control.send(taken)

    async def _streams(self, session: Session, tasks: TaskGroup) -> None:
        async for stream in session.incoming():
            tasks.start(_reader(self._log, session, stream), name=f"log {stream.id}")

    async def _log(self, session: Session, stream: Stream) -> None:
        header = await stream.header()
        if isinstance(header, FileOffer):
            await self._file(stream, header)
            return
        assert isinstance(header, LogStream)
        if self.streams_to_lose:
            self.streams_to_lose -= 1
            async for _ in stream.blocks():
                await self._note()
            return
        log = self.logs.setdefault(header.order_id, bytearray())
        if header.start_offset != len(log):
            self.unexpected.append(f"log starts at {header.start_offset}, not at {len(log)}")
            return
        try:
            async for block in stream.blocks():
                log += block.payload
                if block.last:
                    self.complete_logs.add(header.order_id)
                if self.acknowledges:
                    session.control.send(LogStored(order_id=header.order_id, offset=len(log)))
                await self._note()
        except (LinkClosed, StreamEnded):
            return

    async def _file(self, stream: Stream, offer: FileOffer) -> None:
        with tempfile.TemporaryDirectory() as directory:
            target = Path(directory) / "file"
            try:
                await receive_file(stream, offer, target, max_size=1024**2)
            except BoreasError as error:
                self.refused_files[offer.name] = error.message
            else:
                self.files[offer.name] = target.read_bytes()
        await self._note()

    async def _note(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _is_finished(self, order_id: str, *, with_log: bool) -> bool:
        if "finished" not in self.kinds(order_id):
            return False
        stored = len(self.logs.get(order_id, b""))
        return not with_log or stored == self._last(order_id).log_bytes

    def _last(self, order_id: str) -> Report:
        reports = self.reports[order_id]
        return reports[max(reports)]


def _reader(
    read: Callable[[Session, Stream], Awaitable[None]], session: Session, stream: Stream
) -> Callable[[], Any]:
    return lambda: read(session, stream)
