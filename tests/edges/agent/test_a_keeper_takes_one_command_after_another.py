"""A keeper whose command left nothing behind is there for the next; any other one is not."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import psutil
import pytest

from boreas.agent.keepers import Keepers
from boreas.agent.layout import Layout
from boreas.agent.workspace import Workspace
from boreas.kit.clock import SystemClock
from boreas.testing.fake_gateway import SCOPE, an_order


class Node:
    """Runs commands that say who keeps them."""

    def __init__(self, layout: Layout, keepers: Keepers) -> None:
        self.keepers = keepers
        self.bench = Workspace(order=an_order(), scope=SCOPE, layout=layout, keepers=keepers)
        self.place = layout.data_dir
        self.steps = 0

    async def keeper_of(self, command: str = "true") -> int:
        self.steps += 1
        told = self.place / f"keeper{self.steps}"
        argv = ("/bin/bash", "-c", f"echo $PPID > {told}; {command}")
        assert await self.bench.run(f"step{self.steps}", argv) == 0
        await self.until_free()
        return int(told.read_text())

    async def until_free(self) -> None:
        """The offer of a keeper comes a moment after the end of its command."""
        launcher = self.keepers._launcher
        assert launcher is not None
        for _ in range(20):
            if launcher._free:
                return
            await SystemClock().sleep(0.01)


@pytest.fixture
async def node(tmp_path) -> AsyncIterator[Node]:
    layout = Layout(data_dir=tmp_path / "agent")
    layout.prepare()
    keepers = Keepers(layout.news_socket, SystemClock())
    yield Node(layout, keepers)
    keepers.close()


async def test_the_next_command_gets_the_keeper_of_the_last(node):
    keepers = {await node.keeper_of() for _ in range(5)}

    assert len(keepers) == 1


async def test_commands_side_by_side_have_keepers_of_their_own(node):
    both = await asyncio.gather(node.keeper_of("sleep 0.3"), node.keeper_of("sleep 0.3"))

    assert len(set(both)) == 2


async def test_a_keeper_whose_command_left_a_daemon_goes_with_it(node, tmp_path):
    left = "sleep 60 > /dev/null 2>&1 & echo $! > " + str(tmp_path / "daemon")
    first = await node.keeper_of(left)
    second = await node.keeper_of()
    daemon = psutil.Process(int((tmp_path / "daemon").read_text()))

    assert first != second
    assert daemon.is_running()
    assert daemon.ppid() != second
    daemon.kill()


async def test_a_keeper_that_went_with_a_daemon_is_replaced_before_it_is_needed(node, tmp_path):
    await node.keeper_of("sleep 60 > /dev/null 2>&1 & echo $! > " + str(tmp_path / "daemon"))
    launcher = node.keepers._launcher
    assert launcher is not None
    while not launcher._free:
        await SystemClock().sleep(0.01)

    spare = launcher._free[0]
    await node.keeper_of()

    assert launcher._free == [spare]
    os.kill(int((tmp_path / "daemon").read_text()), signal.SIGKILL)


async def test_a_keeper_that_knew_a_secret_takes_no_other_command(node):
    step_dir = node.place / "secretive"
    step_dir.mkdir()
    (node.place / "steps").mkdir(exist_ok=True)
    spec = node.keepers.spec(
        step_dir,
        argv=("/bin/bash", "-c", f"echo $PPID > {node.place}/first"),
        env={},
        cwd=node.place,
        secrets=("a long secret",),
    )
    await node.keepers.start(spec)
    await node.keepers.ended(step_dir)

    assert await node.keeper_of() != int((node.place / "first").read_text())


async def test_a_signal_that_comes_too_late_does_not_stop_the_next_command(node):
    keeper = await node.keeper_of()
    os.kill(keeper, signal.SIGTERM)

    assert await node.keeper_of("sleep 0.2") == keeper


async def test_a_free_keeper_that_was_killed_costs_nothing(node):
    keeper = await node.keeper_of()
    os.kill(keeper, signal.SIGKILL)

    assert await node.keeper_of() != keeper


async def test_free_keepers_end_with_their_agent(node):
    keeper = psutil.Process(await node.keeper_of())
    launcher = node.keepers._launcher
    assert launcher is not None
    launcher.close()

    await asyncio.to_thread(keeper.wait, 5)
