"""The agent's way to its server: QUIC first, TCP where UDP does not get through.

`dial` returns a session after the Welcome, or raises why not. QUIC gets a head start; the first
Welcome wins and the other attempt is closed. What was learnt about the path is kept in `PathMemory`
(paths.py), which the caller owns.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Protocol

from boreas.domain.errors import BoreasError
from boreas.kit.clock import Clock
from boreas.kit.tasks import TaskGroup
from boreas.transport.frames import Hello
from boreas.transport.handshake import AgentHandshake, Enrolling, Welcomed
from boreas.transport.identity import AgentIdentity
from boreas.transport.links import CloseCode, CloseKind, Closing, Link, LinkClosed
from boreas.transport.quic_client import connect_quic
from boreas.transport.refusals import Refusal, ServerNotTrusted
from boreas.transport.session import Session
from boreas.transport.tcp_client import connect_tcp
from boreas.transport.tokens import split_address

# Long enough for QUIC on a 500 ms path, short enough that a blocked UDP is not noticed by people.
HEAD_START = 2.5
DIAL_SECONDS = 15.0


class TransportMode(StrEnum):
    """Which transports may be used."""

    AUTO = "auto"
    QUIC = "quic"
    TCP = "tcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialled:
    """A session with a server that knows us. `welcomed.certificate_der` is to be kept at once."""

    session: Session
    welcomed: Welcomed

    @property
    def kind(self) -> str:
        """`quic` or `tcp`."""
        return self.session.link.kind


Attempt = Callable[[], Awaitable[Dialled]]
Outcome = Dialled | BoreasError | OSError


class Connect(Protocol):
    """Opens a link whose TLS handshake is complete."""

    async def __call__(self, host: str, port: int, *, ca_pem: bytes | None) -> Link: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialler:
    """Who dials: the same for every attempt of an agent."""

    hello: Hello
    credentials: Enrolling | AgentIdentity
    clock: Clock
    connect_quic: Connect = connect_quic
    connect_tcp: Connect = connect_tcp
    head_start: float = HEAD_START

    async def dial(self, server: str, *, mode: TransportMode = TransportMode.AUTO) -> Dialled:
        """A session with `server` (`host:port`) after its Welcome.

        Raises `Refusal` (the server said no), `ServerNotTrusted`, `LinkClosed` or `OSError`.
        """
        host, port = split_address(server)
        quic = partial(self._attempt, self.connect_quic, host, port)
        tcp = partial(self._attempt, self.connect_tcp, host, port)
        match mode:
            case TransportMode.QUIC:
                return await quic()
            case TransportMode.TCP:
                return await tcp()
            case TransportMode.AUTO:
                return await first_welcome(quic, tcp, head_start=self.head_start)

    async def _attempt(self, connect: Connect, host: str, port: int) -> Dialled:
        known = self.credentials if isinstance(self.credentials, AgentIdentity) else None
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                link = await connect(host, port, ca_pem=known.ca_pem if known else None)
                return await self._handshake(link)
        except TimeoutError as error:
            closing = Closing(kind=CloseKind.IDLE, reason="no Welcome in time")
            raise LinkClosed(closing) from error

    async def _handshake(self, link: Link) -> Dialled:
        try:
            return await self._dialogue(Session(link, is_server=False))
        except (BoreasError, asyncio.CancelledError):
            link.close(CloseCode.NO_ERROR, "not this way")
            raise

    async def _dialogue(self, session: Session) -> Dialled:
        handshake = AgentHandshake(
            hello=self.hello,
            credentials=self.credentials,
            server_leaf=session.link.server_leaf,
        )
        session.control.send(handshake.opening())
        while True:
            answer = handshake.receive(await session.control.receive(), self.clock.now())
            if isinstance(answer, Welcomed):
                session.admit()
                return Dialled(session=session, welcomed=answer)
            for frame in answer:
                session.control.send(frame)


async def first_welcome(first: Attempt, second: Attempt, *, head_start: float) -> Dialled:
    """The first to be welcomed; `second` starts after the head start, or when `first` has failed.

    The other one is cancelled, or closed if it was welcomed at the same moment. If both fail, a
    word of the server is raised rather than a broken path: it is what people can mend.
    """
    started: list[asyncio.Task[Outcome]] = []
    chosen: Outcome | None = None
    try:
        async with TaskGroup("dial") as tasks:
            started.append(tasks.start(lambda: _outcome(first), name="first"))
            await asyncio.wait(started, timeout=head_start)
            if not (started[0].done() and _is_final(started[0].result())):
                started.append(tasks.start(lambda: _outcome(second), name="second"))
            end = await _first_to_win(started)
        chosen = end
    finally:
        for outcome in _outcomes(started):
            if isinstance(outcome, Dialled) and outcome is not chosen:
                outcome.session.close(CloseCode.REPLACED, "the other transport was faster")
    if isinstance(chosen, Dialled):
        return chosen
    raise chosen


async def _outcome(attempt: Attempt) -> Outcome:
    try:
        return await attempt()
    except (BoreasError, OSError) as error:
        return error


def _is_final(outcome: Outcome) -> bool:
    """Whether another path to the same server could not end otherwise."""
    return isinstance(outcome, Dialled | Refusal | ServerNotTrusted)


async def _first_to_win(started: "list[asyncio.Task[Outcome]]") -> Outcome:
    pending = set(started)
    while pending:
        _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for outcome in _outcomes(started):
            if isinstance(outcome, Dialled):
                return outcome
    failures = _outcomes(started)
    return next((error for error in failures if _is_final(error)), failures[-1])


def _outcomes(started: "list[asyncio.Task[Outcome]]") -> list[Outcome]:
    return [task.result() for task in started if task.done() and not task.cancelled()]
