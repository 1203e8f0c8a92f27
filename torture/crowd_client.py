"""Run as a process: so many light agents on one event loop, that leave and come back on command.

`python -m torture.crowd_client TOKEN DIRECTORY COUNT`; words on stdin, one JSON line for each on
stdout: `leave` (all say goodbye at once, all dial again at once), `vanish` (the same without a
goodbye, from other ports), `stop`.
"""

import asyncio
import json
import sys
from pathlib import Path

from boreas.kit.clock import SystemClock
from boreas.kit.ids import jittered, new_id
from boreas.kit.tasks import TaskGroup
from boreas.transport.dial import Dialler, TransportMode
from boreas.transport.frames import PROTOCOL, Heartbeat, Hello, Inventory, Order, OrderTaken
from boreas.transport.handshake import Enrolling
from boreas.transport.identity import AgentVault
from boreas.transport.links import CloseCode, LinkClosed
from boreas.transport.refusals import Refusal
from boreas.transport.session import Session
from boreas.transport.tokens import EnrolToken

_AT_A_TIME = 64
_DIALS = 40
_BEAT_SECONDS = 15.0


class LightAgent:
    """An identity and a link; takes orders and never does them."""

    def __init__(self, name: str, directory: Path, token: EnrolToken) -> None:
        self._name = name
        self._vault = AgentVault(directory)
        self._token = token
        self._clock = SystemClock()
        self.session: Session | None = None

    async def come(self) -> None:
        """Dial until the server says welcome."""
        for _ in range(_DIALS):
            try:
                await self._dial()
            except (LinkClosed, Refusal, OSError) as error:
                print(f"{self._name}: {error}", file=sys.stderr)
                await self._clock.sleep(jittered(0.5, by=0.9))
            else:
                return
        raise AssertionError(f"{self._name} was never let in")

    async def stay(self) -> None:
        """Beat and listen for as long as this link lives."""
        session = self.session
        assert session is not None
        try:
            async with TaskGroup(self._name) as tasks:
                tasks.start(lambda: self._beat(session), name="beat")
                async for frame in session.control:
                    if isinstance(frame, Order):
                        session.control.send(OrderTaken(outbox_id=frame.outbox_id))
        except* LinkClosed:
            pass

    def leave(self, *, goodbye: bool) -> None:
        """Close the link, or let go of it without a word."""
        assert self.session is not None
        if goodbye:
            self.session.close(CloseCode.NO_ERROR, "leaves")
        self.session = None

    async def _beat(self, session: Session) -> None:
        number = 0
        while True:
            number += 1
            session.control.send(Heartbeat(sequence=number, busy=False, facts=None))
            await self._clock.sleep(jittered(_BEAT_SECONDS, by=0.2))

    async def _dial(self) -> None:
        identity = self._vault.identity()
        hello = Hello(
            protocol=PROTOCOL,
            agent_version="light",
            name=self._name,
            labels={},
            instance=new_id("ins"),
        )
        credentials = identity or Enrolling(token=self._token, csr_pem=self._vault.csr())
        dialler = Dialler(hello=hello, credentials=credentials, clock=self._clock)
        dialled = await dialler.dial(self._token.server, mode=TransportMode.QUIC)
        if dialled.welcomed.certificate_der:
            self._vault.keep(dialled.welcomed.certificate_der, dialled.welcomed.ca)
        dialled.session.control.send(Inventory(order_ids=(), busy=False))
        self.session = dialled.session


class Crowd:
    """All of them."""

    def __init__(self, token: str, directory: Path, count: int) -> None:
        parsed = EnrolToken.parse(token)
        self.agents = [
            LightAgent(f"light{number}", directory / str(number), parsed) for number in range(count)
        ]
        self._clock = SystemClock()

    async def obey(self) -> None:
        """Words from stdin until `stop`."""
        async with TaskGroup("crowd") as tasks:
            await self._gather(tasks)
            while (word := await asyncio.to_thread(sys.stdin.readline)).strip() != "stop":
                for agent in self.agents:
                    agent.leave(goodbye=word.strip() == "leave")
                await self._gather(tasks)

    async def _gather(self, tasks: TaskGroup) -> None:
        """All dial; says how long it took until all were welcome."""
        began = self._clock.monotonic()
        turns = asyncio.Semaphore(_AT_A_TIME)

        async def one(agent: LightAgent) -> None:
            async with turns:
                await agent.come()

        await asyncio.gather(*(one(agent) for agent in self.agents))
        for agent in self.agents:
            tasks.start(agent.stay, name="stay")
        print(json.dumps({"seconds": self._clock.monotonic() - began}), flush=True)


if __name__ == "__main__":
    asyncio.run(Crowd(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])).obey())
