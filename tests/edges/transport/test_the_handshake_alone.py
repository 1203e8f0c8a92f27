"""The two state machines of the handshake, without a link: who may say what, and when."""

from pathlib import Path

import pytest

from boreas.kit.clock import SystemClock
from boreas.transport.authority import CertificateAuthority
from boreas.transport.dial import Dialled, Dialler, TransportMode
from boreas.transport.frames import (
    PROTOCOL,
    Challenge,
    Enrol,
    Frame,
    Heartbeat,
    Issued,
    Opening,
    Refused,
)
from boreas.transport.handshake import (
    AgentHandshake,
    AskToAdmit,
    AskToEnrol,
    Enrolling,
    ServerHandshake,
    Welcomed,
)
from boreas.transport.identity import AgentIdentity, AgentVault
from boreas.transport.keys import der
from boreas.transport.links import Link, LinkClosed
from boreas.transport.memory import MemoryLink, memory_pair
from boreas.transport.refusals import Refusal, ServerNotTrusted
from boreas.transport.tokens import EnrolToken

from .conftest import Place, a_hello, a_welcome

NOW = SystemClock().now()


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    return CertificateAuthority.create(NOW)


@pytest.fixture
def leaf(authority: CertificateAuthority, tmp_path: Path) -> bytes:
    return authority.server_certificate(tmp_path / "server", NOW).leaf_der


@pytest.fixture
def vault(tmp_path: Path) -> AgentVault:
    return AgentVault(tmp_path / "agent")


@pytest.fixture
def identity(authority: CertificateAuthority, vault: AgentVault) -> AgentIdentity:
    return vault.keep(der(authority.sign_agent(vault.csr(), "agt_1", NOW)), authority.certificate)


def the_server(authority: CertificateAuthority, leaf: bytes) -> ServerHandshake:
    return ServerHandshake(ca=authority.certificate, server_leaf=leaf)


def the_agent(credentials: Enrolling | AgentIdentity, leaf: bytes) -> AgentHandshake:
    return AgentHandshake(hello=a_hello(), credentials=credentials, server_leaf=leaf)


def enrolling(authority: CertificateAuthority, vault: AgentVault) -> Enrolling:
    token = EnrolToken(server="a:1", ca_pin=authority.pin, secret="s")
    return Enrolling(token=token, csr_pem=vault.csr())


def a_challenge(authority: CertificateAuthority, leaf: bytes) -> Challenge:
    challenge = the_server(authority, leaf).receive(Opening(protocol=PROTOCOL), NOW)
    assert isinstance(challenge, Challenge)
    return challenge


def test_an_enrolment_asks_whether_the_token_is_good(authority, leaf, vault) -> None:
    server, agent = the_server(authority, leaf), the_agent(enrolling(authority, vault), leaf)

    challenge = server.receive(agent.opening(), NOW)
    hello, enrol = agent.receive(challenge, NOW)
    assert server.receive(hello, NOW) is None
    question = server.receive(enrol, NOW)

    assert isinstance(question, AskToEnrol)
    assert question.enrol.token_secret == "s"
    certificate = der(authority.sign_agent(question.enrol.csr_pem, "agt_1", NOW))
    assert agent.receive(Issued(certificate_der=certificate), NOW) == ()
    end = agent.receive(a_welcome("agt_1"), NOW)
    assert isinstance(end, Welcomed)
    assert end.certificate_der == certificate


def test_a_return_asks_whether_the_proven_agent_is_welcome(authority, leaf, identity) -> None:
    server, agent = the_server(authority, leaf), the_agent(identity, leaf)

    hello, prove = agent.receive(server.receive(agent.opening(), NOW), NOW)
    server.receive(hello, NOW)
    question = server.receive(prove, NOW)

    assert isinstance(question, AskToAdmit)
    assert question.agent.agent_id == "agt_1"


def test_a_proof_made_for_another_server_is_worth_nothing(authority, leaf, identity, tmp_path):
    """The man in the middle: he has a certificate of the same authority, and relays."""
    other_leaf = authority.server_certificate(tmp_path / "other", NOW).leaf_der
    server, agent = the_server(authority, leaf), the_agent(identity, other_leaf)
    hello, prove = agent.receive(server.receive(agent.opening(), NOW), NOW)
    server.receive(hello, NOW)

    with pytest.raises(Refusal) as refused:
        server.receive(prove, NOW)

    assert refused.value.refusal_code == "proof_wrong"


SERVER_STEPS = {
    "opening": [],
    "hello": [Opening(protocol=PROTOCOL)],
    "proof": [Opening(protocol=PROTOCOL), a_hello()],
}
WORDS = {
    "opening": Opening(protocol=PROTOCOL),
    "hello": a_hello(),
    "proof": Enrol(token_secret="s", csr_pem=b""),
    "never": Heartbeat(sequence=1, busy=False),
    "servers": a_welcome("agt_1"),
}


OUT_OF_TURN = [(step, word) for step in SERVER_STEPS for word in WORDS if step != word]


@pytest.mark.parametrize(("step", "word"), OUT_OF_TURN)
def test_the_server_hears_only_what_it_waits_for(authority, leaf, step: str, word: str) -> None:
    server = the_server(authority, leaf)
    for frame in SERVER_STEPS[step]:
        server.receive(frame, NOW)

    with pytest.raises(Refusal) as refused:
        server.receive(WORDS[word], NOW)

    assert refused.value.refusal_code == "protocol_violation"


def test_one_proof_per_link_is_all_there_is(authority, leaf, identity) -> None:
    server, agent = the_server(authority, leaf), the_agent(identity, leaf)
    hello, prove = agent.receive(server.receive(agent.opening(), NOW), NOW)
    server.receive(hello, NOW)
    server.receive(prove, NOW)

    with pytest.raises(Refusal):
        server.receive(prove, NOW)


@pytest.mark.parametrize(
    "early",
    [Issued(certificate_der=b""), a_welcome("agt_1"), a_hello(), Heartbeat(sequence=1, busy=False)],
)
def test_the_agent_believes_nothing_before_the_server_has_proven_itself(
    authority, leaf, identity, early: Frame
) -> None:
    with pytest.raises(Refusal) as refused:
        the_agent(identity, leaf).receive(early, NOW)

    assert refused.value.refusal_code == "protocol_violation"


def test_an_enrolling_agent_is_not_welcome_without_a_certificate(authority, leaf, vault) -> None:
    agent = the_agent(enrolling(authority, vault), leaf)
    agent.receive(a_challenge(authority, leaf), NOW)

    with pytest.raises(Refusal):
        agent.receive(a_welcome("agt_1"), NOW)


def test_an_enrolled_agent_takes_no_other_certificate_in_the_handshake(
    authority, leaf, identity
) -> None:
    agent = the_agent(identity, leaf)
    agent.receive(a_challenge(authority, leaf), NOW)

    with pytest.raises(Refusal):
        agent.receive(Issued(certificate_der=b""), NOW)


def test_a_challenge_is_answered_once(authority, leaf, identity) -> None:
    agent = the_agent(identity, leaf)
    agent.receive(a_challenge(authority, leaf), NOW)

    with pytest.raises(Refusal):
        agent.receive(a_challenge(authority, leaf), NOW)


def test_a_secret_is_said_to_the_pinned_server_only(authority, leaf, vault) -> None:
    """The middle man shows the true authority's certificate, but has a server's of his own."""
    his = CertificateAuthority.create(NOW)
    his_leaf = der(his.sign_server(vault.key().public_key(), NOW))
    agent = the_agent(enrolling(authority, vault), his_leaf)

    for ca in (authority, his):
        challenge = Challenge(protocol=PROTOCOL, nonce=b"n", ca_der=der(ca.certificate))
        with pytest.raises(ServerNotTrusted):
            agent.receive(challenge, NOW)


def test_a_refusal_is_told_with_its_mend() -> None:
    frame = Refused(code="agent_revoked", reason="revoked", mend="enrol again", retry_after=5.0)
    agent = AgentHandshake(hello=a_hello(), credentials=None, server_leaf=b"")  # type: ignore[arg-type]

    with pytest.raises(Refusal) as refused:
        agent.receive(frame, NOW)

    assert refused.value.frame() == frame


# --- the cable is pulled --------------------------------------------------------------------------


class Scissors:
    """Cuts a pair of links after so many bytes in either direction."""

    def __init__(self, agent: MemoryLink, server: MemoryLink, *, after: int) -> None:
        self.left = after
        self.has_cut = False
        for end in (agent, server):
            self._count(end)

    def _count(self, end: MemoryLink) -> None:
        write = end._write

        def counted(data: bytes) -> None:
            self.left -= len(data)
            if self.left >= 0:
                write(data)
            elif not self.has_cut:
                self.has_cut = True
                end.cut()

        end._write = counted  # type: ignore[method-assign]


async def test_a_cut_at_any_message_of_the_handshake_ends_it_and_the_next_try_succeeds(
    place: Place, tmp_path: Path
) -> None:
    _, identity = await place.enrol(tmp_path)
    cuts, dialled = 0, None

    for after in range(0, 20_000, 97):
        scissors: list[Scissors] = []

        async def connect(host: str, port: int, *, ca_pem: bytes | None) -> Link:
            agent, server = memory_pair(server_leaf=place.certificate.leaf_der)
            scissors.append(Scissors(agent, server, after=after))  # noqa: B023
            place.reception.arrive(server)
            return agent

        dialled = await dial_once(identity, connect)
        cuts += dialled is None
        if dialled is not None:
            break

    assert cuts >= 5
    assert dialled is not None
    assert dialled.session.closing is None


async def dial_once(identity: AgentIdentity, connect) -> Dialled | None:
    dialler = Dialler(
        hello=a_hello(), credentials=identity, clock=SystemClock(), connect_quic=connect
    )
    try:
        return await dialler.dial("memory:1", mode=TransportMode.QUIC)
    except LinkClosed:
        return None
