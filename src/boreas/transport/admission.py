"""The server's door: a new link in, an admitted agent's session out, or a refusal with its reason.

Who is welcome is decided by a `Doorkeeper` (the gateway's, over the registry of agents); what can
be decided by arithmetic alone (certificate, proof, versions, time) is decided before it is asked.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import structlog
from cryptography import x509

from boreas.domain.errors import Unavailable
from boreas.kit.clock import Clock
from boreas.transport.frames import Hello, Issued, Welcome
from boreas.transport.handshake import AskToAdmit, AskToEnrol, Question, ServerHandshake
from boreas.transport.links import CloseCode, Link, LinkClosed, ProtocolViolation
from boreas.transport.proof import ProvenAgent
from boreas.transport.refusals import Refusal, RefusalCode
from boreas.transport.session import Session

ADMISSION_SECONDS = 5.0
DECISION_SECONDS = 10.0
# How long a refused peer may take to read why before the link closes under it.
_FAREWELL_SECONDS = 1.0

# A database that does not answer is usually back soon.
_BUSY_SECONDS = 5.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Come in: the Welcome to say, and after an enrolment the certificate that was issued.

    `unless` is awaited before the Welcome and may still refuse. It may wait for other links, and
    others may decide meanwhile: after a crash a thousand agents come back at once, each beside its
    own dead link.
    """

    welcome: Welcome
    certificate_der: bytes | None = None
    unless: Callable[[], Awaitable[None]] | None = None


class Doorkeeper(Protocol):
    """Knows tokens and agents. Refuses by raising `Refusal`; `Unavailable` means "not now"."""

    async def enrol(
        self, hello: Hello, *, token_secret: str, csr_pem: bytes, peer_address: str
    ) -> Admission:
        """Spend the token, make the agent, sign its certificate (`authority.sign_agent`).

        Must be repeatable: the same secret with a request of the same key gets the same agent
        again, because the answer to the first may have been lost with its link.
        """
        ...

    async def admit(self, hello: Hello, *, agent: ProvenAgent, peer_address: str) -> Admission:
        """Is the agent enrolled with this key, and not revoked?"""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmittedAgent:
    """An agent's session, after the Welcome."""

    session: Session
    agent_id: str
    hello: Hello
    welcome: Welcome


async def admit_agent(
    link: Link,
    doorkeeper: Doorkeeper,
    *,
    ca: x509.Certificate,
    clock: Clock,
    turns: asyncio.Semaphore,
) -> AdmittedAgent | None:
    """Hold the dialogue; None if it did not end with a Welcome (the link is closed then).

    `turns` limits how many decisions are made at a time; a silent stranger holds none of them.
    """
    session = Session(link, is_server=True)
    try:
        async with asyncio.timeout(ADMISSION_SECONDS):
            question = await _question(session, ca, clock)
        async with turns, asyncio.timeout(DECISION_SECONDS):
            admission = await _decide(question, doorkeeper, link.peer_address)
        if admission.unless is not None:
            async with asyncio.timeout(DECISION_SECONDS):
                await admission.unless()
        return _let_in(session, question.hello, admission)
    except Refusal as refusal:
        await _turn_away(session, refusal)
    except TimeoutError:
        await _turn_away(session, Refusal(RefusalCode.TOO_SLOW, "the handshake took too long"))
    except Unavailable as error:
        busy = Refusal(RefusalCode.BUSY, error.message, "wait", retry_after=_BUSY_SECONDS)
        await _turn_away(session, busy)
    except ProtocolViolation as violation:
        _say_refused(link, RefusalCode.PROTOCOL_VIOLATION, violation.message)
    except LinkClosed as closed:
        log.info("link lost in handshake", peer=link.peer_address, why=str(closed.closing))
    return None


async def _question(session: Session, ca: x509.Certificate, clock: Clock) -> Question:
    handshake = ServerHandshake(ca=ca, server_leaf=session.link.server_leaf)
    while True:
        answer = handshake.receive(await session.control.receive(), clock.now())
        match answer:
            case None:
                continue
            case AskToEnrol() | AskToAdmit():
                return answer
            case _:
                session.control.send(answer)


async def _decide(question: Question, doorkeeper: Doorkeeper, peer: str) -> Admission:
    if isinstance(question, AskToEnrol):
        return await doorkeeper.enrol(
            question.hello,
            token_secret=question.enrol.token_secret,
            csr_pem=question.enrol.csr_pem,
            peer_address=peer,
        )
    return await doorkeeper.admit(question.hello, agent=question.agent, peer_address=peer)


def _let_in(session: Session, hello: Hello, admission: Admission) -> AdmittedAgent:
    # The agent may open streams as soon as it has read the Welcome: be ready before saying it.
    session.admit()
    if admission.certificate_der is not None:
        session.control.send(Issued(certificate_der=admission.certificate_der))
    session.control.send(admission.welcome)
    return AdmittedAgent(
        session=session,
        agent_id=admission.welcome.agent_id,
        hello=hello,
        welcome=admission.welcome,
    )


async def _turn_away(session: Session, refusal: Refusal) -> None:
    """Say why, give the peer a moment to read it, close."""
    _say_refused(session.link, refusal.refusal_code, refusal.reason)
    try:
        session.control.send(refusal.frame())
        async with asyncio.timeout(_FAREWELL_SECONDS):
            await session.wait_closed()
    except (LinkClosed, TimeoutError):
        pass
    session.close(CloseCode.REFUSED, f"{refusal.refusal_code}: {refusal.reason}")


def _say_refused(link: Link, code: str, reason: str) -> None:
    log.warning(
        "agent refused", action="agent_refused", peer=link.peer_address, code=code, reason=reason
    )
