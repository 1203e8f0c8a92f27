"""The door from outside: enrolment, return, and what both sides then may do."""

from pathlib import Path

import pytest

from boreas.transport.dial import TransportMode
from boreas.transport.frames import Heartbeat, HeartbeatAnswer, LogStream
from boreas.transport.handshake import Enrolling
from boreas.transport.identity import AgentVault
from boreas.transport.refusals import Refusal

from .conftest import Place


async def test_a_new_agent_enrols_and_comes_back_with_its_certificate(
    place: Place, tmp_path: Path, mode: TransportMode
) -> None:
    first, identity = await place.enrol(tmp_path / "agent", mode)
    first.session.close()

    again = await place.dial(identity, mode)

    assert again.kind == mode.value
    assert again.welcomed.welcome.agent_id == identity.agent_id == "agt_1"
    assert again.welcomed.certificate_der is None


async def test_both_sides_talk_after_the_welcome(
    place: Place, tmp_path: Path, mode: TransportMode
) -> None:
    agent, server = await place.sessions(tmp_path / "agent", mode)

    agent.control.send(Heartbeat(sequence=1, busy=False, facts={"load": 0.5}))
    heard = await server.control.receive()
    server.control.send(HeartbeatAnswer(sequence=1, server_time=2.0))

    assert heard == Heartbeat(sequence=1, busy=False, facts={"load": 0.5})
    assert await agent.control.receive() == HeartbeatAnswer(sequence=1, server_time=2.0)


async def test_a_log_goes_from_its_start_offset_to_its_last_block(
    place: Place, tmp_path: Path, mode: TransportMode
) -> None:
    agent, server = await place.sessions(tmp_path / "agent", mode)

    log = agent.open_log("o1#1", start_offset=100)
    await log.send(b"one\n")
    await log.send(b"two\n", last=True)
    stream = await anext(server.incoming())

    assert await stream.header() == LogStream(order_id="o1#1", start_offset=100)
    assert [block.payload async for block in stream.blocks()] == [b"one\n", b"two\n"]
    assert log.sent == 108


async def test_a_token_is_good_once(place: Place, tmp_path: Path, mode: TransportMode) -> None:
    token = place.token()
    first, second = (
        Enrolling(token=token, csr_pem=AgentVault(tmp_path / name).csr()) for name in "ab"
    )
    await place.dial(first, mode)

    with pytest.raises(Refusal) as refused:
        await place.dial(second, mode)

    assert refused.value.refusal_code == "token_used"
    assert refused.value.mend == "make a new one"
