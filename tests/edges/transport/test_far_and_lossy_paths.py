"""A path of 50 ms each way that loses one datagram in a hundred."""

import asyncio
import os
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest

from boreas.kit.clock import SystemClock
from boreas.kit.tasks import TaskGroup
from boreas.transport.dial import Dialler, TransportMode
from boreas.transport.frames import LogStored, Padding
from boreas.transport.handshake import Enrolling
from boreas.transport.identity import AgentVault
from boreas.transport.log_stream import LogSender
from boreas.transport.session import Session

from .conftest import Place, a_hello
from .nat import Nat

DELAY = 0.05
LOSS = 0.01
BLOCKS = 40
BLOCK = os.urandom(16 * 1024)
WORDS = 30


@pytest.fixture
async def nat(place: Place) -> AsyncIterator[Nat]:
    nat = Nat(place.reception.port, loss=LOSS, delay=DELAY)
    yield nat
    nat.close()


@pytest.fixture
async def sessions(place: Place, nat: Nat, tmp_path: Path) -> tuple[Session, Session]:
    token = place.token_for(f"127.0.0.1:{nat.port}")
    credentials = Enrolling(token=token, csr_pem=AgentVault(tmp_path).csr())
    dialler = Dialler(hello=a_hello(), credentials=credentials, clock=SystemClock())
    agent = (await dialler.dial(token.server, mode=TransportMode.QUIC)).session
    return agent, (await place.arrived.get()).session


async def send(log: LogSender) -> None:
    for number in range(BLOCKS):
        await log.send(BLOCK, last=number == BLOCKS - 1)


async def hear_acknowledgements(agent: Session, log: LogSender) -> None:
    async for frame in agent.control:
        assert isinstance(frame, LogStored)
        log.stored(frame.offset)


async def take(server: Session) -> str:
    """The hash of what came; acknowledged as it comes."""
    stream, offset, seen = await anext(server.incoming()), 0, sha256()
    await stream.header()
    async for block in stream.blocks():
        seen.update(block.payload)
        offset += len(block.payload)
        server.control.send(LogStored(order_id="o1#1", offset=offset))
    return seen.hexdigest()


async def speak(agent: Session, server: Session) -> list[float]:
    """Seconds from the agent's mouth to the server's ear, word after word."""
    took = []
    for _ in range(WORDS):
        began = SystemClock().monotonic()
        agent.control.send(Padding(bytes_=b"", echo=False))
        assert isinstance(await server.control.receive(), Padding)
        took.append(SystemClock().monotonic() - began)
    return took


async def test_a_log_arrives_whole_and_words_stay_quick_beside_it(
    sessions: tuple[Session, Session], nat: Nat
) -> None:
    agent, server = sessions
    log = agent.open_log("o1#1", start_offset=0)

    async with asyncio.timeout(60), TaskGroup("path") as tasks:
        sending = tasks.start(lambda: send(log), name="log")
        tasks.start(lambda: hear_acknowledgements(agent, log), name="ears")
        taking = tasks.start(lambda: take(server), name="server")
        took = await speak(agent, server)
        arrived = await taking
        await sending

    assert arrived == sha256(BLOCK * BLOCKS).hexdigest()
    assert nat.lost > 0
    # One way is 50 ms; a lost datagram costs its word one or two timeouts more, never seconds.
    assert sorted(took)[WORDS // 2] < 4 * DELAY
    assert max(took) < 2.0
