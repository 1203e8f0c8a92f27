"""The drivers with the workbench that really ships: keepers, recorded steps, a log in a spool."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from boreas.agent.keepers import Keepers
from boreas.agent.layout import Layout
from boreas.agent.workspace import Workspace
from boreas.domain.orders import GitRef, HealthCheck, OrderBody, ProbeKind
from boreas.drivers.git_pull import GitPullDriver
from boreas.drivers.script import ScriptDriver
from boreas.testing.workbench import a_release, an_order

NewBench = Callable[[OrderBody], Workspace]


@pytest.fixture
async def new_bench(tmp_path: Path, clock) -> Any:
    """Makes the real workbench of an order, as the agent does, also a second time."""
    layout = Layout(data_dir=tmp_path / "agent")
    layout.prepare()
    keepers = Keepers(layout.news_socket, clock)
    made: list[Workspace] = []

    def make(order: OrderBody) -> Workspace:
        made.append(Workspace(order=order, scope="tgt_1/app_1", layout=layout, keepers=keepers))
        return made[-1]

    yield make
    for bench in made:
        bench.close()
    keepers.close()


def log_of(bench: Workspace, tmp_path: Path) -> str:
    (spool,) = {Layout(data_dir=tmp_path / "agent").spool(bench.order.order_id)}
    return spool.read_bytes().decode(errors="replace")


@pytest.fixture
def origin(tmp_path: Path) -> tuple[str, str]:
    """A repository with one commit: its address and the commit."""
    path = tmp_path / "origin"
    git = ["git", "-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
    subprocess.run([*git, "init", "--quiet", str(path)], check=True)
    (path / "version").write_text("v1")
    subprocess.run([*git, "-C", str(path), "add", "--all"], check=True)
    subprocess.run([*git, "-C", str(path), "commit", "--quiet", "-m", "v1"], check=True)
    head = subprocess.run(
        ["git", "-C", str(path), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    )
    return f"file://{path}", head.stdout.strip()


async def test_a_script_is_deployed_checked_and_its_words_logged(
    new_bench: NewBench, clock, tmp_path
):
    check = HealthCheck(type=ProbeKind.COMMAND, command="test -f up")
    spec = {"scripts": {"deploy": "touch up; echo hello from $BOREAS_TARGET"}}
    bench = new_bench(an_order(a_release("v1", spec=spec, health_check=check)))
    driver = ScriptDriver(clock)

    assert (await driver.activate(bench)).ok
    outcome = await driver.check(bench)

    assert outcome.ok, outcome.reason
    log = log_of(bench, tmp_path)
    assert "hello from web-1" in log
    assert "Health check (command): passed." in log


async def test_a_script_s_own_time_is_kept_and_nothing_of_it_lives_on(
    new_bench: NewBench, clock, tmp_path
):
    spec = {"scripts": {"deploy": "sleep 61.5 & sleep 61.5"}, "timeout_seconds": 1}
    bench = new_bench(an_order(a_release("v1", spec=spec)))

    outcome = await ScriptDriver(clock).activate(bench)

    assert "took longer than its 1 s" in (outcome.reason or "")
    listed = [one.read_bytes() for one in Path("/proc").glob("[0-9]*/cmdline") if one.exists()]
    assert b"sleep\x0061.5\x00" not in listed


async def test_a_checkout_is_made_live_and_the_same_order_again_runs_nothing_twice(
    new_bench: NewBench, clock, tmp_path, origin
):
    url, commit = origin
    spec = {
        "repository": url,
        "path": str(tmp_path / "srv"),
        "post_deploy": f"echo once >> {tmp_path}/ran",
    }
    release = a_release("v1", spec=spec, git=GitRef(repository=url, commit=commit))
    driver = GitPullDriver(clock)

    first = await driver.activate(new_bench(an_order(release)))
    again = await driver.activate(new_bench(an_order(release)))

    assert first.ok, first.reason
    assert again.ok, again.reason
    assert (tmp_path / "srv" / "current" / "version").read_text() == "v1"
    assert (tmp_path / "ran").read_text() == "once\n"
