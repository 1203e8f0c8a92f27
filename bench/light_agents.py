"""Many agents in one process: real links and handshakes, but orders are answered, not done.

`python -m bench.light_agents COUNT TOKEN...`; says `connected` when all of them are.
"""

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import uvloop

from boreas.agent.pulse import Pulse
from boreas.kit.clock import SystemClock
from boreas.kit.ids import new_id
from boreas.kit.tasks import TaskGroup
from boreas.transport.dial import Dialled, Dialler, TransportMode
from boreas.transport.frames import (
    PROTOCOL,
    Frame,
    Heartbeat,
    HeartbeatAnswer,
    Hello,
    Inventory,
    Order,
    OrderTaken,
    Padding,
    Report,
)
from boreas.transport.handshake import Enrolling
from boreas.transport.identity import AgentVault
from boreas.transport.session import Session
from boreas.transport.tokens import EnrolToken

DIALLING_AT_ONCE = 30


class LightAgent:
    """Takes every order and reports it done."""

    def __init__(self, name: str, token: EnrolToken, vault: AgentVault) -> None:
        self._name = name
        self._token = token
        self._vault = vault
        self._clock = SystemClock()

    async def dial(self) -> Dialled:
        hello = Hello(
            protocol=PROTOCOL, agent_version="0", name=self._name, labels={}, instance=new_id("ins")
        )
        credentials = Enrolling(token=self._token, csr_pem=self._vault.csr())
        dialler = Dialler(hello=hello, credentials=credentials, clock=self._clock)
        return await dialler.dial(self._token.server, mode=TransportMode.QUIC)

    async def serve(self, dialled: Dialled) -> None:
        session, welcome = dialled.session, dialled.welcomed.welcome
        session.control.send(Inventory(order_ids=(), busy=False))
        pulse = Pulse(
            idle_seconds=welcome.heartbeat_seconds, busy_seconds=welcome.busy_heartbeat_seconds
        )
        async with TaskGroup(self._name) as tasks:
            tasks.start(lambda: self._beat(session, pulse), name="beat")
            async for frame in session.control:
                pulse.heard()
                self._answer(session, frame)

    def _answer(self, session: Session, frame: Frame) -> None:
        match frame:
            case Order():
                session.control.send(OrderTaken(outbox_id=frame.outbox_id))
                session.control.send(
                    Report(
                        order_id=frame.order_id,
                        sequence=1,
                        kind="finished",
                        at=self._clock.now().timestamp(),
                        outcome="success",
                        exit_code=0,
                        log_bytes=0,
                    )
                )
            case Padding(echo=True):
                session.control.send(Padding(bytes_=frame.bytes_, echo=False))
            case HeartbeatAnswer() | _:
                pass

    async def _beat(self, session: Session, pulse: Pulse) -> None:
        beats = 0
        while True:
            beats += 1
            session.control.send(Heartbeat(sequence=beats, busy=False, facts=None))
            pulse.beaten(self._clock.monotonic())
            await self._clock.sleep(pulse.answer_time(self._clock.monotonic(), busy=False))
            if pulse.is_answered:
                await self._clock.sleep(pulse.rest())


async def run(count: int, tokens: Sequence[str]) -> None:
    """Connect all, say so, and serve until killed."""
    gate = asyncio.Semaphore(DIALLING_AT_ONCE)
    with tempfile.TemporaryDirectory(prefix="boreas-bench-") as keys:
        # One key for all: an agent is its certificate's name, and keys cost time to make.
        agents = [
            LightAgent(f"light{number}", EnrolToken.parse(tokens[number // 1000]), vault)
            for number, vault in enumerate(_vaults(Path(keys), count))
        ]

        async def dialled(agent: LightAgent) -> Dialled:
            async with gate:
                return await agent.dial()

        async with TaskGroup("light agents") as tasks:
            links = await asyncio.gather(*(dialled(agent) for agent in agents))
            for agent, link in zip(agents, links, strict=True):
                tasks.start(partial(agent.serve, link), name="serve")
            print("connected", flush=True)
            await tasks.join()


def _vaults(keys: Path, count: int) -> list[AgentVault]:
    places = [keys / str(number) for number in range(count)]
    for place in places:
        place.mkdir()
    return [AgentVault(place) for place in places]


if __name__ == "__main__":
    uvloop.run(run(int(sys.argv[1]), sys.argv[2:]))
