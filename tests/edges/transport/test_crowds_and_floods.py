"""Many links at once, and datagrams that belong to nobody."""

import asyncio
import os
import random
import socket
from pathlib import Path

import pytest

from boreas.kit.clock import SystemClock
from boreas.kit.tasks import TaskGroup
from boreas.transport import quic_server
from boreas.transport.admission import AdmittedAgent
from boreas.transport.dial import Dialler, TransportMode
from boreas.transport.frames import FileRequest, Heartbeat
from boreas.transport.handshake import Enrolling
from boreas.transport.identity import AgentVault
from boreas.transport.links import CloseKind, Link, LinkClosed, StreamLimitReached
from boreas.transport.quic_client import connect_quic
from boreas.transport.quic_server import QuicListener
from boreas.transport.retry import TOKEN_LIFE, RetryTokens
from boreas.transport.session import Session
from boreas.transport.tcp_client import connect_tcp
from boreas.transport.transfers import describe_file, push_file, receive_file

from .conftest import Place, a_hello, a_place, until
from .nat import Nat

CROWD = 500


async def a_crowd(place: Place, mode: TransportMode) -> list[Link]:
    connect = connect_quic if mode is TransportMode.QUIC else connect_tcp
    turns = asyncio.Semaphore(50)

    async def one() -> Link:
        async with turns:
            return await connect("127.0.0.1", place.reception.port, ca_pem=None)

    return list(await asyncio.gather(*(one() for _ in range(CROWD))))


async def test_five_hundred_links_open_and_close_at_once(place: Place, mode: TransportMode) -> None:
    links = await a_crowd(place, mode)
    listener = place.reception.quic if mode is TransportMode.QUIC else place.reception.tcp
    await until(lambda: len(listener.links) == CROWD)
    clock, start = SystemClock(), SystemClock().monotonic()

    for link in links:
        link.close()
    await until(lambda: all(link.closing for link in listener.links))
    heard = clock.monotonic() - start
    await until(lambda: not listener.links)

    assert heard < 5.0


async def test_a_server_that_stops_tells_everybody(tmp_path: Path, mode: TransportMode) -> None:
    async with a_place(tmp_path / "server") as place:
        links = [
            await (connect_quic if mode is TransportMode.QUIC else connect_tcp)(
                "127.0.0.1", place.reception.port, ca_pem=None
            )
            for _ in range(20)
        ]
    await until(lambda: all(link.closing for link in links))

    assert {link.closing.kind for link in links} == {CloseKind.PEER}
    assert {link.closing.reason for link in links} == {"the server stops"}


async def test_datagrams_of_nobody_cost_nothing_and_harm_nobody(
    place: Place, tmp_path: Path
) -> None:
    agent, server = await place.sessions(tmp_path, TransportMode.QUIC)
    listener = place.reception.quic
    before = len(listener._links)
    dice = random.Random(7)
    known = [*listener._links]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
        flood.connect(("127.0.0.1", place.reception.port))
        for number in range(4000):
            rubbish = bytearray(dice.randbytes(dice.choice((0, 1, 7, 20, 300, 1200, 1300))))
            if rubbish:
                rubbish[0] = dice.choice((0x40, 0xC0, 0xC3, 0xD0, 0xF0, rubbish[0]))
            if len(rubbish) > 20 and number % 3 == 0:
                rubbish[1:5] = b"\x00\x00\x00\x01"
            if len(rubbish) > 20 and number % 5 == 0:
                rubbish[1:9] = dice.choice(known)
            flood.send(rubbish)
            if number % 50 == 0:
                await SystemClock().sleep(0)

    agent.control.send(Heartbeat(sequence=1, busy=False))

    assert await server.control.receive() == Heartbeat(sequence=1, busy=False)
    assert len(listener._links) <= before + 1
    assert not listener._unsettled


async def test_an_initial_without_a_token_makes_no_connection(place: Place) -> None:
    """Spoofed Initials: the answer is a Retry, smaller than the question, and no memory."""
    listener = place.reception.quic
    captured: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as relay:
        relay.bind(("127.0.0.1", 0))
        relay.setblocking(False)
        loop = asyncio.get_running_loop()
        dialling = asyncio.ensure_future(
            connect_quic("127.0.0.1", relay.getsockname()[1], ca_pem=None)
        )
        captured.append(await loop.sock_recv(relay, 2000))
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
        relay.connect(("127.0.0.1", place.reception.port))
        for _ in range(200):
            relay.send(captured[0])
        answer = captured[0]
        while not is_retry(answer):  # the client's own repetitions are still in the buffer
            answer = await loop.sock_recv(relay, 2000)

    assert len(answer) < len(captured[0]) / 3
    assert not listener._links
    assert not listener._unsettled


def is_retry(datagram: bytes) -> bool:
    return datagram[0] & 0xF0 == 0xF0


def test_a_retry_token_is_good_for_one_address_and_a_short_time() -> None:
    tokens, address = RetryTokens(), ("10.0.0.1", 4433)
    token = tokens.make(address, b"o" * 8, b"r" * 8, now=100.0)

    assert tokens.check(address, token, now=101.0) == (b"o" * 8, b"r" * 8)
    assert tokens.check(("10.0.0.2", 4433), token, now=101.0) is None
    assert tokens.check(("10.0.0.1", 4434), token, now=101.0) is None
    assert tokens.check(address, token, now=101.0 + TOKEN_LIFE) is None
    assert RetryTokens().check(address, token, now=101.0) is None
    for cut in range(len(token)):
        assert tokens.check(address, token[:cut], now=101.0) is None
    assert tokens.check(address, os.urandom(len(token)), now=101.0) is None


async def test_handshakes_that_are_never_finished_are_bounded(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quic_server, "MAX_UNSETTLED", 0)
    dialling = asyncio.ensure_future(connect_quic("127.0.0.1", place.reception.port, ca_pem=None))
    await SystemClock().sleep(0.3)
    assert not place.reception.quic._links

    monkeypatch.setattr(quic_server, "MAX_UNSETTLED", 10)
    link = await dialling

    assert link.closing is None
    assert isinstance(place.reception.quic, QuicListener)
    link.close()


async def test_a_link_survives_a_new_address_in_the_middle_of_an_upload(
    place: Place, tmp_path: Path
) -> None:
    nat = Nat(place.reception.port)
    vault = AgentVault(tmp_path)
    token = place.token_for(f"127.0.0.1:{nat.port}")
    dialler = Dialler(
        hello=a_hello(),
        credentials=Enrolling(token=token, csr_pem=vault.csr()),
        clock=SystemClock(),
    )
    agent = (await dialler.dial(token.server, mode=TransportMode.QUIC)).session
    server = (await place.arrived.get()).session
    address = server.link.peer_address
    stream = agent.open_transfer(FileRequest(transfer_id="t", order_id="o", name="n"))

    async def upload() -> None:
        for number in range(160):
            if number == 80:
                nat.rebind()
            await stream.send_block(b"x" * 64 * 1024, last=number == 159, end=number == 159)

    async with TaskGroup("upload") as tasks:
        tasks.start(upload, name="sender")
        arriving, received = await anext(server.incoming()), 0
        await arriving.header()
        async for block in arriving.blocks():
            received += len(block.payload)
    nat.close()

    assert received == 160 * 64 * 1024
    assert server.link.peer_address != address


async def test_a_file_arrives_through_loss(place: Place, tmp_path: Path) -> None:
    nat = Nat(place.reception.port, loss=0.02)
    token = place.token_for(f"127.0.0.1:{nat.port}")
    credentials = Enrolling(token=token, csr_pem=AgentVault(tmp_path).csr())
    dialler = Dialler(hello=a_hello(), credentials=credentials, clock=SystemClock())
    agent = (await dialler.dial(token.server, mode=TransportMode.QUIC)).session
    server = (await place.arrived.get()).session
    source = tmp_path / "source"
    source.write_bytes(os.urandom(2_000_000))
    offer = await describe_file(source, transfer_id="t", order_id="o", name="n")

    async def take() -> None:
        stream = await anext(server.incoming())
        header = await stream.header()
        await receive_file(stream, header, tmp_path / "target", max_size=2_000_000)

    async with TaskGroup("transfer") as tasks:
        taking = tasks.start(take, name="receiver")
        await push_file(agent, source, offer)
        await taking
    nat.close()

    assert nat.lost > 5
    assert (tmp_path / "target").read_bytes() == source.read_bytes()


async def test_a_server_that_is_gone_is_noticed_at_the_next_packet(
    place: Place, tmp_path: Path
) -> None:
    agent, _ = await place.sessions(tmp_path, TransportMode.QUIC)
    place.reception.quic._transport.abort()
    await SystemClock().sleep(0.02)

    agent.control.send(Heartbeat(sequence=1, busy=True))
    closing = await asyncio.wait_for(agent.wait_closed(), 5.0)

    assert closing.kind is CloseKind.REFUSED_PORT


async def test_a_stranger_that_floods_before_anybody_listens_is_cut_off(
    place: Place, mode: TransportMode
) -> None:
    for listener in (place.reception.quic, place.reception.tcp):
        listener._on_link = lambda link: None
    connect = connect_quic if mode is TransportMode.QUIC else connect_tcp
    link = await connect("127.0.0.1", place.reception.port, ca_pem=None)

    link.send(link.open_bidi(), b"x" * 500_000)
    await until(lambda: link.closing)

    assert "before anybody listened" in link.closing.reason


async def test_an_agent_that_opens_streams_without_end_is_cut_off(
    place: Place, tmp_path: Path, mode: TransportMode
) -> None:
    agent, server = await place.sessions(tmp_path, mode)

    async def open_thousands() -> None:
        for _ in range(10_000):
            await open_one(agent)

    with pytest.raises(LinkClosed):
        await open_thousands()

    assert "streams wait to be accepted" in server.closing.reason


async def open_one(agent: Session) -> None:
    while True:
        try:
            agent.link.send(agent.link.open_uni(), b"x", end=True)
        except StreamLimitReached:
            await SystemClock().sleep(0.001)
        else:
            return


async def test_one_agents_bug_leaves_the_others_alone(place: Place, tmp_path: Path) -> None:
    first, _ = await place.enrol(tmp_path / "first")
    healthy = place.reception._on_agent

    async def broken(agent: AdmittedAgent) -> None:
        raise ZeroDivisionError

    place.reception._on_agent = broken
    with pytest.raises(LinkClosed, match="an error on the server"):
        await place.enrol(tmp_path / "second")
    place.reception._on_agent = healthy
    third, _ = await place.enrol(tmp_path / "third")

    assert first.session.closing is None
    assert third.session.closing is None


@pytest.mark.parametrize("host", ["::", "0.0.0.0"])
@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
async def test_any_address_of_the_machine_leads_to_the_server(
    tmp_path: Path, mode: TransportMode, host: str, name: str
) -> None:
    async with a_place(tmp_path / "server", host=host) as place:
        dialler = Dialler(
            hello=a_hello(),
            credentials=Enrolling(token=place.token(), csr_pem=AgentVault(tmp_path).csr()),
            clock=SystemClock(),
        )
        dialled = await dialler.dial(f"{name}:{place.reception.port}", mode=mode)

        assert dialled.kind == mode.value


async def test_silent_strangers_do_not_keep_agents_out(place: Place, tmp_path: Path) -> None:
    for _ in range(100):
        await connect_tcp("127.0.0.1", place.reception.port, ca_pem=None)
    start = SystemClock().monotonic()

    await place.enrol(tmp_path)

    assert SystemClock().monotonic() - start < 4.0, "their five seconds were waited for"


async def test_a_quic_handshake_that_is_not_finished_is_dropped(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quic_server, "SETTLE_SECONDS", 0.3)
    nat = Nat(place.reception.port)
    nat.outwards_left = 4  # the greeting, and the same again after the Retry
    dialling = asyncio.ensure_future(connect_quic("127.0.0.1", nat.port, ca_pem=None))
    listener = place.reception.quic
    await until(lambda: listener._unsettled)

    await until(lambda: not listener._unsettled)

    assert not listener._links
    (await dialling).close()  # the client has all it needs; only its last word was lost
    nat.close()
