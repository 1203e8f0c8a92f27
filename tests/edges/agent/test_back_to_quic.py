"""An agent that came by TCP because UDP was blocked goes back to QUIC when it passes again."""

import asyncio
from pathlib import Path

import pytest
from tests.edges.transport.conftest import a_place

from boreas.agent import uplink
from boreas.agent.main import Agent
from boreas.agent.settings import AgentSettings
from boreas.kit.clock import SystemClock
from boreas.kit.tasks import TaskGroup
from boreas.transport.links import CloseCode


async def test_the_better_way_is_taken_before_the_other_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uplink, "UPGRADE_LOOK_SECONDS", 0.3)
    async with asyncio.timeout(30), a_place(tmp_path / "server") as place:
        assert place.reception.quic is not None
        udp = place.reception.quic._transport
        udp.pause_reading()
        settings = AgentSettings(
            name="a1",
            data_dir=tmp_path / "agent",
            servers=(place.address,),
            token=place.token(),
        )
        agent = Agent(settings, clock=SystemClock())
        async with TaskGroup("test") as tasks:
            tasks.start(agent.run, name="agent")
            first = await place.arrived.get()
            assert first.session.link.kind == "tcp"

            udp.resume_reading()
            second = await place.arrived.get()

            assert second.session.link.kind == "quic"
            assert second.agent_id == first.agent_id
            closing = await first.session.wait_closed()
            assert closing.code == CloseCode.REPLACED
            assert second.session.closing is None
