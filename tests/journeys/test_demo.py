"""The demo from end to end: real server, six real agents, real git and HTTP, real signals.

Between its end and Ctrl-C the demo's server also carries a deployment from plan to going back, by
the command line alone.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil
import pytest

pytestmark = pytest.mark.timeout(240)
BOREAS = (sys.executable, "-m", "boreas")
PATIENCE = 150.0


def until(look: Callable[[], Any], what: str, *, seconds: float = PATIENCE) -> Any:
    """Wait for a state; the truthy answer of the look."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError(f"never: {what}")


def processes_of(directory: Path) -> list[str]:
    """Everything on this machine that was started for this demo."""
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if str(directory) in line and "demo" not in line.split()[:4]:
            found.append(line)
    return found


def start_demo(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        (*BOREAS, "demo", *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_the_demo_ends_as_it_should_and_leaves_nothing_behind(tmp_path: Path) -> None:
    demo = start_demo("--once", "--data-dir", str(tmp_path / "d"), "-o", "json")

    out, err = demo.communicate(timeout=PATIENCE)

    assert demo.returncode == 0, err
    told = json.loads(out)
    ended = [(each["version"], each["ended"]) for each in told["deployments"]]
    assert ended == [("v1", "success"), ("v2", "success"), ("v3", "rolled back")]
    assert {answer.partition(" on ")[0] for answer in told["answers"].values()} == {
        "v2: settings v1"
    }
    assert processes_of(tmp_path / "d") == []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_demo_that_is_ended_half_way_leaves_nothing_behind(
    tmp_path: Path, how: signal.Signals
) -> None:
    demo = start_demo("--once", "--data-dir", str(tmp_path / "d"))
    services = tmp_path / "d" / "state"
    until(lambda: list(services.glob("*.pid")) if services.exists() else (), "a service runs")

    demo.send_signal(how)
    _, err = demo.communicate(timeout=30)

    assert "Traceback" not in err
    assert demo.returncode == (143 if how is signal.SIGTERM else -signal.SIGKILL)

    until(lambda: not processes_of(tmp_path / "d"), "everything ended", seconds=30)


class Shell:
    """A second terminal beside the demo, as its env file sets it up."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        lines = (directory / "env").read_text().splitlines()
        pairs = [line.removeprefix("export ").partition("=") for line in lines]
        self.env = [f"{name}={value}" for name, _, value in pairs]

    def boreas(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ("env", *self.env, *BOREAS, *arguments),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def ask(self, *arguments: str) -> Any:
        done = self.boreas(*arguments, "-o", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def status_of(self, deployment: str) -> str:
        done = self.boreas("status", deployment, "-o", "json")
        return str(json.loads(done.stdout).get("status", "")) if done.returncode == 0 else ""


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A demo that a person confirmed, and that is up; Ctrl-C ends it whole."""
    directory = tmp_path_factory.mktemp("journey") / "d"
    demo = start_demo("--data-dir", str(directory))
    try:
        until(lambda: (directory / "env").exists(), "the server is set up")
        yield confirmed_shell(directory)
    finally:
        demo.send_signal(signal.SIGINT)
        _, err = demo.communicate(timeout=30)
    assert demo.returncode == 130, err
    assert "Traceback" not in err
    assert processes_of(directory) == []


def confirmed_shell(directory: Path) -> Shell:
    """Say yes to the canary, and wait until the broken version went back."""
    shell = Shell(directory)
    until(lambda: shell.status_of("#2") == "waiting_confirm", "the canary waits for a person")
    confirmed = shell.boreas("confirm", "#2", "--comment", "looks good")
    assert confirmed.returncode == 0, confirmed.stderr
    until(lambda: shell.status_of("#3") == "rolled_back", "the broken version went back")
    return shell


def test_who_confirmed_is_told_in_the_history(shell: Shell) -> None:
    events = shell.ask("history", "#2")

    assert any(event["by"] == "admin" for event in events)


def test_the_exit_code_of_a_watch_is_the_result(shell: Shell) -> None:
    assert shell.boreas("watch", "#1").returncode == 0
    assert shell.boreas("watch", "#3").returncode == 7


def test_agents_targets_and_logs_can_be_read(shell: Shell) -> None:
    assert [each["online"] for each in shell.ask("agents", "list")] == [True] * 6
    assert len(shell.ask("targets", "list", "shop", "prod")) == 6
    lines = shell.ask("logs", "#3", "--grep", "started v3")["lines"]
    assert lines
    assert all("started v3" in line["message"] for line in lines)


def test_the_projects_file_applied_again_changes_nothing(shell: Shell) -> None:
    again = shell.ask("apply", "-f", str(shell.directory / "shop.yaml"), "--dry-run")

    assert again["changes"] == []


def test_what_is_exported_differs_in_nothing(shell: Shell, tmp_path: Path) -> None:
    assert shell.boreas("export", "shop", "-f", str(tmp_path / "shop.yaml")).returncode == 0

    assert shell.ask("apply", "-f", str(tmp_path / "shop.yaml"), "--dry-run")["changes"] == []


def test_a_deployment_goes_from_plan_to_going_back_by_the_command_line_alone(
    shell: Shell,
) -> None:
    arguments = ("shop", "prod", "v1", "--app", "web", "--strategy", "rolling:3")
    plan = shell.ask("plan", *arguments)
    assert {(each["fromVersion"], each["toVersion"]) for each in plan["changes"]} == {("v2", "v1")}

    forward = shell.boreas("deploy", *arguments, "--watch")
    assert forward.returncode == 0, forward.stdout + forward.stderr
    assert pages(shell) == {"v1"}

    back = shell.boreas("rollback", "latest", "--watch")
    assert back.returncode == 0, back.stdout + back.stderr
    assert pages(shell) == {"v2"}


def pages(shell: Shell) -> set[str]:
    """What the six services answer."""
    web = next(
        each for each in shell.ask("export", "shop")[0]["applications"] if "web" in each["name"]
    )
    port = web["health_check"]["url"].split(":")[2].partition("/")[0]
    found = set()
    for last in range(11, 17):
        with urlopen(f"http://127.0.0.{last}:{port}/", timeout=5) as answer:
            found.add(answer.read().decode().partition(":")[0])
    return found


def test_the_doctor_finds_a_running_server_well(shell: Shell) -> None:
    server = shell.directory / "server"
    told = shell.ask("doctor", "--data-dir", str(server))

    verdicts = {each["about"].partition(" ")[0]: each["verdict"] for each in told["findings"]}
    assert {verdicts[about] for about in ("database", "server", "clock", "UDP", "TCP")} == {"good"}


def test_a_backup_of_a_running_server_can_be_restored(shell: Shell, tmp_path: Path) -> None:
    archive, server = str(tmp_path / "b.tar.gz"), str(shell.directory / "server")

    assert shell.ask("backup", archive, "--data-dir", server)["database"] is True
    assert shell.boreas("restore", archive, "--data-dir", server, "--replace").returncode == 5
    assert shell.boreas("restore", archive, "--data-dir", str(tmp_path / "new")).returncode == 0
