"""The dialogue before the Welcome, as two state machines: messages in, messages and questions out.

agent `Opening` -> server `Challenge` -> agent `Hello`, then `Enrol` or `Prove` -> server `Issued`
(after an `Enrol`), `Welcome`; or `Refused`. No I/O, no clock: admission.py and dial.py drive
them.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from cryptography import x509

from boreas.transport.authority import BadCsr, public_key_of
from boreas.transport.frames import (
    PROTOCOL,
    Challenge,
    Enrol,
    Frame,
    Hello,
    Issued,
    Opening,
    Prove,
    Refused,
    Welcome,
)
from boreas.transport.identity import AgentIdentity
from boreas.transport.keys import der
from boreas.transport.proof import ProvenAgent, check_proof, check_server
from boreas.transport.refusals import Refusal, RefusalCode
from boreas.transport.tokens import EnrolToken


class ServerStep(Enum):
    """What the server waits for."""

    OPENING = "opening"
    HELLO = "hello"
    PROOF = "proof"
    DECISION = "decision"


_EXPECTED: Final = {
    ServerStep.OPENING: (Opening,),
    ServerStep.HELLO: (Hello,),
    ServerStep.PROOF: (Enrol, Prove),
    ServerStep.DECISION: (),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AskToEnrol:
    """Is this token good? The request is signed by its key; the token is not yet looked at."""

    hello: Hello
    enrol: Enrol


@dataclass(frozen=True, slots=True, kw_only=True)
class AskToAdmit:
    """Is this agent still welcome? Certificate and proof are good."""

    hello: Hello
    agent: ProvenAgent


Question = AskToEnrol | AskToAdmit


class ServerHandshake:
    """The server's side; `receive` raises `Refusal` for whatever does not belong there."""

    def __init__(self, *, ca: x509.Certificate, server_leaf: bytes) -> None:
        self.step = ServerStep.OPENING
        self._ca = ca
        self._server_leaf = server_leaf
        self._nonce = secrets.token_bytes(32)
        self._hello: Hello | None = None

    def receive(self, frame: Frame, now: datetime) -> Challenge | Question | None:
        """What to say or to decide after this message; None: wait for the next."""
        if not isinstance(frame, _EXPECTED[self.step]):
            raise _out_of_turn(frame, self.step.value)
        match frame:
            case Opening():
                _must_speak_our_version(frame.protocol)
                self.step = ServerStep.HELLO
                return self._challenge(now)
            case Hello():
                _must_speak_our_version(frame.protocol)
                self._hello, self.step = frame, ServerStep.PROOF
                return None
            case Enrol():
                return self._question_of_enrol(frame)
            case Prove():
                return self._question_of_proof(frame, now)
            case _:
                raise _out_of_turn(frame, self.step.value)

    def _challenge(self, now: datetime) -> Challenge:
        return Challenge(
            protocol=PROTOCOL,
            nonce=self._nonce,
            ca_der=der(self._ca),
            server_time=now.timestamp(),
        )

    def _question_of_enrol(self, enrol: Enrol) -> AskToEnrol:
        assert self._hello is not None
        self.step = ServerStep.DECISION
        try:
            public_key_of(enrol.csr_pem)
        except BadCsr as error:
            raise Refusal(RefusalCode.CSR_BAD, str(error), "use an unchanged agent") from error
        return AskToEnrol(hello=self._hello, enrol=enrol)

    def _question_of_proof(self, prove: Prove, now: datetime) -> AskToAdmit:
        assert self._hello is not None
        self.step = ServerStep.DECISION
        agent = check_proof(
            prove, ca=self._ca, server_leaf=self._server_leaf, nonce=self._nonce, now=now
        )
        return AskToAdmit(hello=self._hello, agent=agent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolling:
    """First contact: a token, and a request for a certificate."""

    token: EnrolToken
    csr_pem: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcomed:
    """The server knows us now; `certificate_der` and `ca` are there after an enrolment."""

    welcome: Welcome
    certificate_der: bytes | None
    ca: x509.Certificate


class AgentHandshake:
    """The agent's side; nothing but `Opening` is said before the server has proven itself."""

    def __init__(
        self, *, hello: Hello, credentials: Enrolling | AgentIdentity, server_leaf: bytes
    ) -> None:
        self._hello = hello
        self._credentials = credentials
        self._server_leaf = server_leaf
        self._ca: x509.Certificate | None = None
        self._certificate_der: bytes | None = None

    def opening(self) -> Opening:
        """The first thing to say."""
        return Opening(protocol=PROTOCOL)

    def receive(self, frame: Frame, now: datetime) -> tuple[Frame, ...] | Welcomed:
        """What to say after this message, or the end. Raises `Refusal` or `ServerNotTrusted`."""
        match frame:
            case Refused():
                raise Refusal.from_frame(frame)
            case Challenge() if self._ca is None:
                return self._answer(frame, now)
            case Issued() if self._may_be_issued():
                self._certificate_der = frame.certificate_der
                return ()
            case Welcome() if self._ca is not None and not self._may_be_issued():
                return Welcomed(welcome=frame, certificate_der=self._certificate_der, ca=self._ca)
            case _:
                raise _out_of_turn(frame, "handshake")

    def _answer(self, challenge: Challenge, now: datetime) -> tuple[Frame, ...]:
        _must_speak_our_version(challenge.protocol)
        credentials = self._credentials
        if isinstance(credentials, Enrolling):
            pin = credentials.token.ca_pin
            self._ca = check_server(self._server_leaf, challenge.ca_der, pin=pin, now=now)
            secret, csr = credentials.token.secret, credentials.csr_pem
            return self._hello, Enrol(token_secret=secret, csr_pem=csr)
        check_server(self._server_leaf, der(credentials.ca), pin=credentials.ca_pin, now=now)
        self._ca = credentials.ca
        return self._hello, credentials.prove(self._server_leaf, challenge.nonce)

    def _may_be_issued(self) -> bool:
        enrolling = isinstance(self._credentials, Enrolling)
        return enrolling and self._ca is not None and self._certificate_der is None


def _must_speak_our_version(protocol: int) -> None:
    if protocol != PROTOCOL:
        raise Refusal(
            RefusalCode.PROTOCOL_VERSION,
            f"this side speaks version {PROTOCOL} of the protocol, the other {protocol}",
            "bring agent and server to the same release",
        )


def _out_of_turn(frame: Frame, step: str) -> Refusal:
    return Refusal(
        RefusalCode.PROTOCOL_VIOLATION, f"{type(frame).__name__} does not belong here ({step})"
    )
