"""The agent dies in the middle of an order, and the next one goes on with it."""

import asyncio
import os
import signal
from collections.abc import Iterable
from pathlib import Path

import pytest

from boreas.agent import steps
from boreas.agent.records import RecordFile
from boreas.domain.orders import Verb
from boreas.drivers.script import ScriptDriver
from boreas.kit.clock import SystemClock
from boreas.testing.fake_gateway import an_order

DEPLOY = (Verb.STAGE, Verb.ACTIVATE, Verb.CHECK)


def a_command_that_waits(tmp_path: Path) -> str:
    """Says its pid, waits for a file, ends with 7."""
    wait = f"until [ -e {tmp_path}/go ]; do sleep 0.02; echo w >> {tmp_path}/alive; done"
    return f"echo begin $$; echo x >> {tmp_path}/count; {wait}; echo end $$; exit 7"


async def test_the_same_process_is_adopted_and_its_true_exit_code_reported(
    bench, gateway, tmp_path
):
    bench.start()
    await gateway.order(an_order(command=a_command_that_waits(tmp_path)))
    await gateway.until(lambda: "begin" in gateway.log_text())
    await bench.kill()

    bench.start()
    await gateway.until(lambda: len(gateway.inventories) == 2)
    (tmp_path / "go").touch()
    report = await gateway.finished()

    pid = gateway.log_text().split()[1]
    assert gateway.log_text() == f"begin {pid}\nend {pid}\n"
    assert (report.outcome, report.exit_code) == ("failed", 7)
    assert (tmp_path / "count").read_text() == "x\n"
    assert gateway.kinds() == ["started", "verb", "finished"]


async def test_a_command_that_ended_while_no_agent_lived_is_reported_truly(
    bench, gateway, tmp_path
):
    bench.start()
    await gateway.order(an_order(command=a_command_that_waits(tmp_path)))
    await gateway.until(lambda: "begin" in gateway.log_text())
    await bench.kill()
    (tmp_path / "go").touch()
    step_dir = str(bench.layout.step_dir("dep_1.1#1", "run"))
    while not isinstance(steps.fate(step_dir), steps.Exited):
        await SystemClock().sleep(0.02)

    bench.start()
    report = await gateway.finished()

    assert report.exit_code == 7
    assert gateway.log_text().count("end") == 1


async def test_a_command_whose_keeper_was_killed_is_lost_and_does_not_go_on(
    bench, gateway, tmp_path
):
    bench.start()
    await gateway.order(an_order(command=a_command_that_waits(tmp_path)))
    await gateway.until(lambda: "begin" in gateway.log_text())
    running = steps.fate(str(bench.layout.step_dir("dep_1.1#1", "run")))
    assert isinstance(running, steps.Running)

    os.kill(running.keeper, signal.SIGKILL)
    report = await gateway.finished()

    assert report.outcome == "lost"
    assert "how it ended is not known" in report.reason
    assert not steps.is_alive(running.pid, running.started)


async def test_after_a_reboot_a_running_command_is_lost(bench, gateway, tmp_path, monkeypatch):
    bench.start()
    await gateway.order(an_order(command=a_command_that_waits(tmp_path)))
    await gateway.until(lambda: "begin" in gateway.log_text())
    await bench.kill()
    running = steps.fate(str(bench.layout.step_dir("dep_1.1#1", "run")))
    assert isinstance(running, steps.Running)
    for pid in (running.keeper, running.pid):
        os.kill(pid, signal.SIGKILL)
    monkeypatch.setattr(steps, "boot_id", lambda: "another boot")

    bench.start()
    report = await gateway.finished()

    assert (report.outcome, report.reason) == (
        "lost",
        "the node was restarted while the command ran",
    )


async def test_a_launcher_that_was_killed_is_replaced(bench, gateway):
    bench.start()
    await gateway.order(an_order(command="true"))
    await gateway.finished()
    launcher = bench.agent_keepers()._launcher
    os.kill(launcher.pid, signal.SIGKILL)

    await gateway.order(an_order("o#2", command="echo again"))

    assert (await gateway.finished("o#2")).outcome == "success"


async def test_an_order_whose_journal_entry_was_destroyed_is_lost_not_run_again(
    bench, gateway, tmp_path
):
    bench.start()
    frame = await gateway.order(an_order(command=a_command_that_waits(tmp_path)))
    await gateway.until(lambda: "begin" in gateway.log_text())
    await bench.kill()
    (tmp_path / "go").touch()
    bench.layout.journal.write_bytes(bench.layout.journal.read_bytes()[:20])
    gateway.reports.clear()
    gateway.logs.clear()

    bench.start()
    await gateway.send(frame)
    report = await gateway.finished(with_log=False)

    assert report.outcome == "lost"
    assert (tmp_path / "count").read_text() == "x\n"


class DyingFile(RecordFile):
    """The agent's death at one write: before it, in the middle of it, or just after it."""

    def __init__(self, path: Path, at: int, how: str, on_death) -> None:
        super().__init__(path)
        self.writes = 0
        self._at = at
        self._how = how
        self._on_death = on_death

    def append(self, records: Iterable[bytes]) -> None:
        self.writes += 1
        if self.writes < self._at:
            return super().append(records)
        if self.writes == self._at:
            self._last_deed(list(records))
            self._on_death()
        raise OSError("dead")

    def _last_deed(self, records: list[bytes]) -> None:
        if self._how != "before":
            super().append(records)
        if self._how == "torn":
            os.ftruncate(self._fd, self.size - 3)


def a_deployment(tmp_path: Path) -> dict[str, str]:
    """Three scripts that each leave a mark and say a line."""
    return {
        name: f"echo {name}; echo {name} >> {tmp_path}/deeds"
        for name in ("stage", "deploy", "check")
    }


async def deploy_with_a_death(bench, gateway, tmp_path, *, at: int, how: str) -> None:
    died = asyncio.Event()
    bench.drivers = lambda kind: ScriptDriver(SystemClock())
    bench.start(lambda layout: DyingFile(layout.journal, at, how, died.set))
    await gateway.order(an_order(verbs=DEPLOY, scripts=a_deployment(tmp_path)))
    async with asyncio.timeout(20):
        await died.wait()
    await bench.kill()


@pytest.mark.parametrize("how", ["before", "torn", "after"])
@pytest.mark.parametrize("at", range(1, 6))
async def test_a_death_at_any_write_of_the_journal_neither_loses_nor_doubles_anything(
    bench, gateway, tmp_path, at, how
):
    await deploy_with_a_death(bench, gateway, tmp_path, at=at, how=how)

    bench.start()
    report = await gateway.finished()

    assert report.outcome == "success"
    assert (tmp_path / "deeds").read_text().split() == ["stage", "deploy", "check"]
    lines = gateway.log_text().split("\n")
    assert [line for line in lines if line in ("stage", "deploy", "check")] == [
        "stage",
        "deploy",
        "check",
    ]
    assert gateway.kinds() == ["started", "verb", "verb", "verb", "finished"]


async def test_the_deaths_above_cover_every_durable_write(bench, gateway, tmp_path):
    files = []

    def counting(layout):
        files.append(DyingFile(layout.journal, 1000, "before", lambda: None))
        return files[0]

    bench.drivers = lambda kind: ScriptDriver(SystemClock())
    gateway.acknowledges = False
    bench.start(counting)
    await gateway.order(an_order(verbs=DEPLOY, scripts=a_deployment(tmp_path)))
    await gateway.until(lambda: "finished" in gateway.kinds())

    # taken; started + first verb; second verb; third verb; finished
    assert files[0].writes == 5
