"""Who does not get in, over both transports: refused with the right code, nothing of theirs read.

The table of hazards G 86-94: every forged identity meets a server that trusts its own authority
only, and the doorkeeper is not even asked about it.
"""

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from boreas.transport import admission
from boreas.transport.authority import CertificateAuthority
from boreas.transport.dial import TransportMode
from boreas.transport.frames import PROTOCOL, Heartbeat, Hello, Opening, Prove
from boreas.transport.handshake import Enrolling
from boreas.transport.identity import AgentIdentity, AgentVault
from boreas.transport.keys import new_key
from boreas.transport.links import CloseKind, Link, LinkClosed
from boreas.transport.quic_client import connect_quic
from boreas.transport.refusals import Refusal, ServerNotTrusted
from boreas.transport.session import Session
from boreas.transport.tcp_client import connect_tcp
from boreas.transport.tokens import EnrolToken

from .conftest import CLOCK, Place, a_hello

NOW = CLOCK.now()
Forge = Callable[[CertificateAuthority, AgentIdentity], AgentIdentity]


def with_certificate_of(
    authority: CertificateAuthority, ours: AgentIdentity, *, days_ago: int = 0
) -> AgentIdentity:
    then = NOW - timedelta(days=days_ago)
    certificate = authority.sign_agent(csr_of(ours.key), "agt_1", then)
    return dataclasses.replace(ours, certificate=certificate)


def csr_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return request.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def foreign(ours: CertificateAuthority, agent: AgentIdentity) -> AgentIdentity:
    return with_certificate_of(CertificateAuthority.create(NOW), agent)


def self_signed(ours: CertificateAuthority, agent: AgentIdentity) -> AgentIdentity:
    """Everything as in a good one, but signed with the agent's own key."""
    twin = CertificateAuthority(ours.certificate, agent.key)
    return with_certificate_of(twin, agent)


def expired(ours: CertificateAuthority, agent: AgentIdentity) -> AgentIdentity:
    return with_certificate_of(ours, agent, days_ago=120)


def not_yet_valid(ours: CertificateAuthority, agent: AgentIdentity) -> AgentIdentity:
    return with_certificate_of(ours, agent, days_ago=-1)


def the_servers_kind(ours: CertificateAuthority, agent: AgentIdentity) -> AgentIdentity:
    certificate = ours.sign_server(agent.key.public_key(), NOW)
    return dataclasses.replace(agent, certificate=certificate)


def the_authority_itself(ours: CertificateAuthority, agent: AgentIdentity) -> AgentIdentity:
    return dataclasses.replace(agent, certificate=ours.certificate)


def server_purpose_with_agent_name(
    ours: CertificateAuthority, agent: AgentIdentity
) -> AgentIdentity:
    uri = x509.UniformResourceIdentifier("boreas://agent/agt_1")
    certificate = ours._sign(
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(ours.certificate.subject)
        .public_key(agent.key.public_key())
        .serial_number(7)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1)),
        uri,
        ExtendedKeyUsageOID.SERVER_AUTH,
    )
    return dataclasses.replace(agent, certificate=certificate)


def stolen_certificate(ours: CertificateAuthority, agent: AgentIdentity) -> AgentIdentity:
    """A good certificate without its key."""
    return dataclasses.replace(agent, key=new_key())


FORGED = [
    (foreign, "certificate_foreign"),
    (self_signed, "certificate_foreign"),
    (expired, "certificate_expired"),
    (not_yet_valid, "certificate_not_yet_valid"),
    (the_servers_kind, "certificate_not_agent"),
    (the_authority_itself, "certificate_not_agent"),
    (server_purpose_with_agent_name, "certificate_not_agent"),
    (stolen_certificate, "proof_wrong"),
]


@pytest.mark.parametrize(("forge", "code"), FORGED, ids=[forge.__name__ for forge, _ in FORGED])
async def test_a_forged_identity_is_refused_before_anybody_is_asked(
    place: Place, tmp_path: Path, mode: TransportMode, forge: Forge, code: str
) -> None:
    first, identity = await place.enrol(tmp_path / "agent", mode)
    await place.arrived.get()
    place.doorkeeper.asked.clear()

    with pytest.raises(Refusal) as refused:
        await place.dial(forge(place.authority, identity), mode)

    assert refused.value.refusal_code == code
    assert place.doorkeeper.asked == []
    assert place.arrived.empty()
    assert first.session.closing is None


async def test_a_clock_that_is_off_is_named_in_the_refusal(place: Place, tmp_path: Path) -> None:
    _, identity = await place.enrol(tmp_path / "agent")

    with pytest.raises(Refusal, match="clock skew"):
        await place.dial(not_yet_valid(place.authority, identity))


async def test_a_certificate_with_another_agents_id_is_worth_nothing_without_its_issuer(
    place: Place, tmp_path: Path
) -> None:
    _, victim = await place.enrol(tmp_path / "victim")
    attacker_csr = AgentVault(tmp_path / "attacker").csr()

    issued = place.authority.sign_agent(attacker_csr, "agt_2", NOW)

    attacker = dataclasses.replace(
        victim, key=AgentVault(tmp_path / "attacker").key(), certificate=issued
    )
    with pytest.raises(Refusal) as refused:
        await place.dial(attacker)
    assert refused.value.refusal_code == "agent_unknown"


async def test_a_revoked_agent_is_told_so(
    place: Place, tmp_path: Path, mode: TransportMode
) -> None:
    _, identity = await place.enrol(tmp_path / "agent", mode)
    place.doorkeeper.revoked.add(identity.agent_id)

    with pytest.raises(Refusal) as refused:
        await place.dial(identity, mode)

    assert refused.value.refusal_code == "agent_revoked"


class Replaying(AgentIdentity):
    """Answers every challenge with the proof that was good for another."""

    __slots__ = ("recorded",)
    recorded: Prove

    def prove(self, server_leaf: bytes, nonce: bytes) -> Prove:
        return self.recorded


async def test_a_proof_cannot_be_replayed(
    place: Place, tmp_path: Path, mode: TransportMode
) -> None:
    _, identity = await place.enrol(tmp_path / "agent", mode)
    replaying = Replaying(key=identity.key, certificate=identity.certificate, ca=identity.ca)
    recorded = identity.prove(place.certificate.leaf_der, b"n" * 32)
    object.__setattr__(replaying, "recorded", recorded)

    with pytest.raises(Refusal) as refused:
        await place.dial(replaying, mode)

    assert refused.value.refusal_code == "proof_wrong"


async def test_a_token_of_another_server_keeps_the_agent_silent(
    place: Place, tmp_path: Path, mode: TransportMode
) -> None:
    other = CertificateAuthority.create(NOW)
    token = EnrolToken(server=place.address, ca_pin=other.pin, secret="s3cret")
    place.doorkeeper.secrets.add("s3cret")

    with pytest.raises(ServerNotTrusted):
        await place.dial(Enrolling(token=token, csr_pem=AgentVault(tmp_path).csr()), mode)

    assert place.doorkeeper.asked == []
    assert place.doorkeeper.secrets == {"s3cret"}


async def test_an_agent_that_knows_its_server_does_not_speak_to_another(
    place: Place, tmp_path: Path, mode: TransportMode
) -> None:
    _, identity = await place.enrol(tmp_path / "agent", mode)
    stranger = CertificateAuthority.create(NOW).certificate

    with pytest.raises((LinkClosed, OSError)):
        await place.dial(dataclasses.replace(identity, ca=stranger), mode)


# --- those who do not keep to the dialogue ------------------------------------------------------


async def a_link(place: Place, mode: TransportMode) -> Link:
    connect = connect_quic if mode is TransportMode.QUIC else connect_tcp
    return await connect("127.0.0.1", place.reception.port, ca_pem=None)


async def ending_of(session: Session) -> str:
    closing = await session.wait_closed()
    assert closing.kind is CloseKind.PEER
    return closing.reason


@pytest.mark.parametrize("protocol", [0, 2, 99])
async def test_another_version_of_the_protocol_is_refused_by_name(
    place: Place, mode: TransportMode, protocol: int
) -> None:
    session = Session(await a_link(place, mode), is_server=False)

    session.control.send(Opening(protocol=protocol))
    answer = await session.control.receive()

    assert answer.code == "protocol_version"
    assert f"the other {protocol}" in answer.reason
    assert answer.mend


async def test_an_old_hello_is_refused_by_name(place: Place, mode: TransportMode) -> None:
    session = Session(await a_link(place, mode), is_server=False)
    session.control.send(Opening(protocol=PROTOCOL))
    await session.control.receive()

    session.control.send(Hello(protocol=0, agent_version="0.0.1", name="old", labels={}))

    assert (await session.control.receive()).code == "protocol_version"


async def test_words_out_of_turn_are_refused(place: Place, mode: TransportMode) -> None:
    for words in ([Heartbeat(sequence=1, busy=False)], [a_hello()], [Opening(protocol=1)] * 2):
        session = Session(await a_link(place, mode), is_server=False)

        for frame in words:
            session.control.send(frame)
        answers = [await session.control.receive() for _ in words]

        assert answers[-1].code == "protocol_violation"


@pytest.mark.parametrize(
    ("rubbish", "reason"),
    [
        (b"\x40\x00\x00\x00", "over 16384"),
        (b"\xff\xff\xff\xff", "over 16384"),
        (b"GET / HTTP/1.1\r\n\r\n", "over 16384"),
        (b"\x00\x00\x00\x03abc", "unknown or malformed"),
        (b"\x00\x00\x00\x00", "unknown or malformed"),
        (b"\x00\x00\x00\x02\x91\x63", "unknown or malformed"),
        (b"\x00\x00\x40\x00" + b"\x91" * 16384, "unknown or malformed"),
    ],
    ids=["1 GB", "4 GB", "HTTP", "garbage", "empty", "unknown tag", "deep"],
)
async def test_rubbish_ends_the_link_with_a_reason(
    place: Place, mode: TransportMode, rubbish: bytes, reason: str
) -> None:
    link = await a_link(place, mode)
    session = Session(link, is_server=False)

    link.send(0, rubbish)

    assert reason in await ending_of(session)
    assert place.arrived.empty()


async def test_a_flood_of_a_stranger_is_cut_off(place: Place, mode: TransportMode) -> None:
    link = await a_link(place, mode)
    session = Session(link, is_server=False)

    link.send(0, b"\x00\x00\x3f\xff" + b"x" * 1024 * 1024)

    assert await ending_of(session)


async def test_no_stream_is_read_before_the_welcome(place: Place, mode: TransportMode) -> None:
    link = await a_link(place, mode)
    session = Session(link, is_server=False)

    session.open_log("o1#1", start_offset=0)

    assert await ending_of(session) == "no stream may be opened before the Welcome"


async def test_a_silent_stranger_is_sent_away(
    place: Place, mode: TransportMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "ADMISSION_SECONDS", 0.2)
    session = Session(await a_link(place, mode), is_server=False)

    session.control.send(Opening(protocol=PROTOCOL))
    await session.control.receive()

    assert (await session.control.receive()).code == "too_slow"


async def test_a_peer_that_does_not_speak_boreas_gets_no_link(
    place: Place, mode: TransportMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    from boreas.transport import quic_endpoint, tcp_link

    monkeypatch.setattr(quic_endpoint, "ALPN", "h3")
    monkeypatch.setattr(tcp_link, "ALPN", "h3")

    with pytest.raises((LinkClosed, OSError)):
        await a_link(place, mode)
    assert place.arrived.empty()


async def test_strangers_do_not_disturb_those_inside(
    place: Place, tmp_path: Path, mode: TransportMode
) -> None:
    agent, server = await place.sessions(tmp_path / "agent", mode)
    for rubbish in (b"\xff" * 100, b"\x00\x00\x00\x01\xc1"):
        link = await a_link(place, mode)
        stranger = Session(link, is_server=False)
        link.send(0, rubbish)
        await stranger.wait_closed()

    agent.control.send(Heartbeat(sequence=7, busy=True))

    assert await server.control.receive() == Heartbeat(sequence=7, busy=True)
