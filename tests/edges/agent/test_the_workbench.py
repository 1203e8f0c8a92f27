"""What a driver gets: steps that are run once, probes with a limit, lines that are said once."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from boreas.agent import steps
from boreas.agent.keepers import CannotStart, Keepers
from boreas.agent.layout import Layout
from boreas.agent.workspace import Workspace
from boreas.domain.errors import CommandLost
from boreas.kit.clock import SystemClock
from boreas.logs.chunks import decode
from boreas.testing.fake_gateway import SCOPE, an_order


class Node:
    """Opens workbenches of one order again and again."""

    def __init__(self, layout: Layout, keepers: Keepers) -> None:
        self.layout = layout
        self.keepers = keepers

    def bench(self) -> Workspace:
        return Workspace(order=an_order(), scope=SCOPE, layout=self.layout, keepers=self.keepers)

    def log(self) -> str:
        block = self.bench().spool.read_block(0, at_most=10**6)
        return b"".join(chunk.payload for chunk in decode(block)).decode()


@pytest.fixture
async def node(tmp_path) -> AsyncIterator[Node]:
    layout = Layout(data_dir=tmp_path / ("a long path " * 10) / "agent")
    layout.prepare()
    keepers = Keepers(layout.news_socket, SystemClock())
    yield Node(layout, keepers)
    keepers.close()


async def test_a_step_runs_once_and_keeps_its_exit_code(node, tmp_path):
    once = ("bash", "-c", f"echo x >> {tmp_path}/count; exit 4")

    codes = [await node.bench().run("deploy", once) for _ in range(3)]

    assert codes == [4, 4, 4]
    assert (tmp_path / "count").read_text() == "x\n"


async def test_two_who_start_the_same_step_at_once_share_one_command(node, tmp_path):
    once = ("bash", "-c", f"echo x >> {tmp_path}/count; sleep 0.1; exit 4")
    one, two = node.bench(), node.bench()

    codes = await asyncio.gather(one.run("deploy", once), two.run("deploy", once))

    assert codes == [4, 4]
    assert (tmp_path / "count").read_text() == "x\n"


async def test_a_step_with_a_hostile_name_stays_inside(node):
    assert await node.bench().run("../../../../etc/x\n", ("true",)) == 0

    names = [path.name for path in node.layout.steps("dep_1.1#1").iterdir()]
    assert names == ["%2E.%2F..%2F..%2F..%2Fetc%2Fx%0A"]


async def test_a_command_gets_its_environment_and_directory(node, tmp_path):
    command = ("bash", "-c", 'echo "$EXTRA $BOREAS_TARGET $PWD"')

    await node.bench().run("env", command, env={"EXTRA": "naïve"}, cwd=tmp_path)

    assert node.log() == f"naïve node-1 {tmp_path}\n"


async def test_no_file_of_the_keeper_is_open_in_a_command(node):
    await node.bench().run("fds", ("bash", "-c", "ls /proc/self/fd | tr '\\n' ' '"))

    assert node.log().split() == ["0", "1", "2", "3"]  # 3 is ls reading the directory


async def test_a_command_ended_by_a_signal_has_a_shells_code(node):
    assert await node.bench().run("sig", ("bash", "-c", "kill -SEGV $$")) == 128 + 11


async def test_a_directory_that_is_not_there_is_said(node):
    assert await node.bench().run("x", ("true",), cwd=node.layout.data_dir / "no") == 127

    assert "cannot start" in node.log()


async def test_a_keeper_that_cannot_claim_says_why(node, monkeypatch):
    bench = node.bench()
    step_dir = node.layout.step_dir("dep_1.1#1", "x")
    spec = node.keepers.spec(step_dir, argv=("true",), env={}, cwd=step_dir)

    with pytest.raises(CannotStart, match="No such file or directory"):
        await node.keepers.start(spec)
    bench.close()


async def test_a_claim_without_a_command_is_begun_again(node, tmp_path):
    bench = node.bench()
    step_dir = node.layout.step_dir("dep_1.1#1", "x")
    step_dir.mkdir()
    (step_dir / steps.CLAIM).write_text('{"keeper": 1, "keeper_started": 1, "boot_id": "b"}\n')

    assert await bench.run("x", ("bash", "-c", "exit 3")) == 3


async def test_a_claim_with_a_command_and_no_end_is_lost(node):
    bench = node.bench()
    step_dir = node.layout.step_dir("dep_1.1#1", "x")
    step_dir.mkdir()
    (step_dir / steps.CLAIM).write_text(
        f'{{"keeper": 1, "keeper_started": 1, "boot_id": "{steps.boot_id()}"}}\n'
        '{"pid": 4194303, "started": 1}\n'
    )

    with pytest.raises(CommandLost, match="is not known"):
        await bench.run("x", ("true",))


async def test_a_probe_answers_with_code_and_last_output(node):
    code, output = await node.bench().probe(("bash", "-c", "echo no; exit 9"), at_most=5)

    assert (code, output) == (9, "no\n")


async def test_a_probe_past_its_time_is_killed_with_its_children(node, tmp_path):
    hang = ("bash", "-c", f"sleep 77 & echo $! > {tmp_path}/pid; wait")

    code, _ = await node.bench().probe(hang, at_most=0.3)

    pid = int((tmp_path / "pid").read_text())
    assert code == 124
    while os.path.exists(f"/proc/{pid}") and steps.stat_fields(pid)[0] != b"Z":
        await SystemClock().sleep(0.01)


async def test_the_same_line_is_said_once_over_restarts(node):
    await node.bench().say("Pulling the image.")
    await node.bench().say("Pulling the image.")
    await node.bench().say("Done.")

    assert node.log() == "Pulling the image.\nDone.\n"


async def test_a_line_noted_but_not_written_is_said_after_all(node):
    bench = node.bench()
    await bench.say("one")
    notes = node.layout.order_dir("dep_1.1#1") / "said"
    size = bench.spool.size()
    os.truncate(node.layout.spool("dep_1.1#1"), 0)

    await node.bench().say("one")

    assert notes.read_text().count("\n") == 2
    assert bench.spool.size() == size
