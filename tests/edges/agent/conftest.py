"""An agent inside the test process, a fake gateway, and a link between them that can be cut."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from boreas.agent.keepers import Keepers
from boreas.agent.layout import Layout
from boreas.agent.main import Agent
from boreas.agent.records import RecordFile
from boreas.agent.settings import AgentSettings
from boreas.kit.clock import SystemClock
from boreas.kit.tasks import TaskGroup
from boreas.testing.fake_gateway import WELCOME, FakeGateway
from boreas.transport.dial import Dialled
from boreas.transport.handshake import Welcomed
from boreas.transport.identity import AgentIdentity
from boreas.transport.links import CloseKind
from boreas.transport.memory import MemoryLink, memory_pair
from boreas.transport.session import Session


class MemoryWay:
    """The way to a gateway in the same process."""

    def __init__(self, bench: "Bench") -> None:
        self._bench = bench

    async def dial(self, server: str, identity: AgentIdentity | None) -> Dialled:
        return await self._bench.dial()

    async def upgrade(
        self, server: str, identity: AgentIdentity | None, over: str
    ) -> Dialled | None:
        return None

    def ended(self, transport: str, kind: CloseKind) -> None:
        pass

    def proven(self) -> None:
        self._bench.proofs += 1


class Bench:
    """Starts and kills agents on one data directory."""

    def __init__(self, data_dir: Path, gateway: FakeGateway, tasks: TaskGroup) -> None:
        self.data_dir = data_dir
        self.layout = Layout(data_dir=data_dir)
        self.gateway = gateway
        self.links: list[MemoryLink] = []
        self.drivers: Any = None
        self.proofs = 0
        self.refuse_dials = 0
        self._tasks = tasks
        self._agent: asyncio.Task[None] | None = None

    def start(self, open_records: Callable[[Layout], RecordFile] | None = None) -> None:
        settings = AgentSettings(name="a1", data_dir=self.data_dir, servers=("memory:1",))
        more = {"open_records": open_records} if open_records else {}
        agent = Agent(
            settings, clock=SystemClock(), way=MemoryWay(self), driver_for=self.drivers, **more
        )
        self.agent = agent
        self._agent = self._tasks.start(agent.run, name="agent under test")

    def agent_keepers(self) -> Keepers:
        """The running agent's keepers."""
        keepers = self.agent.keepers
        assert keepers is not None
        return keepers

    async def kill(self) -> None:
        """The agent stops dead: nothing of it is said or written any more; commands live on."""
        assert self._agent is not None
        self._agent.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._agent
        self.cut()
        await SystemClock().sleep(0)

    async def pause(self) -> None:
        """A breath between two looks at a directory."""
        await SystemClock().sleep(0.02)

    def cut(self) -> None:
        """Pull the cable."""
        for link in self.links:
            link.cut()
        self.links.clear()

    async def dial(self) -> Dialled:
        if self.refuse_dials:
            self.refuse_dials -= 1
            raise ConnectionRefusedError("nobody listens there")
        agent_end, server_end = memory_pair()
        ours, theirs = Session(agent_end, is_server=False), Session(server_end, is_server=True)
        ours.admit()
        theirs.admit()
        self.links.append(agent_end)
        self._tasks.start(lambda: self.gateway.serve(theirs), name="gateway")
        welcomed = Welcomed(welcome=WELCOME, certificate_der=None, ca=None)  # type: ignore[arg-type]
        return Dialled(session=ours, welcomed=welcomed)


@pytest.fixture
async def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
async def bench(tmp_path: Path, gateway: FakeGateway) -> AsyncIterator[Bench]:
    async with TaskGroup("test") as tasks:
        bench = Bench(tmp_path / "agent", gateway, tasks)
        yield bench
        assert gateway.unexpected == []
