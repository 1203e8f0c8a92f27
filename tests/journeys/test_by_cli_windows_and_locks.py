"""When deployments may begin: a lock, a freeze, a time of its own, with the command line alone."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.support.boreas_cli import Cli
from tests.support.installation import Installation
from tests.support.waiting import until

from boreas.kit.clock import SystemClock


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Installation]:
    whole = Installation(tmp_path)
    try:
        whole.add_server()
        whole.add_agents(1)
        whole.make_project()
        whole.make_script("api", "true")
        for number in (1, 2, 3):
            whole.make_version(f"v{number}")
        yield whole
    finally:
        whole.stop()


@pytest.fixture
def cli(whole: Installation, tmp_path: Path) -> Cli:
    """Signed in as the admin."""
    cli = Cli(tmp_path / "home", whole.url)
    cli.home.mkdir()
    cli.good("login", "-u", "admin", "--password-stdin", stdin="correct horse battery staple\n")
    return cli


def waits(whole: Installation, deployment: str) -> str:
    def look() -> str:
        return " ".join(whole.deployment(deployment)["waitingFor"])

    return until(look, at_most=10)


def test_lock_freeze_and_a_time_of_its_own(cli: Cli, whole: Installation) -> None:
    cli.good("environments", "lock", "shop", "prod", "-m", "audit of the books")
    assert "locked by admin: audit" in cli.good("environments", "standing", "shop", "prod")
    assert "waits: the environment is locked" in cli.good("plan", "shop", "prod", "v1")
    locked = cli.document("deploy", "shop", "prod", "v1")
    assert "audit of the books" in waits(whole, locked["id"])
    cli.good("environments", "unlock", "shop", "prod")
    whole.until_status(locked["id"], "success")

    now = SystemClock().now()
    fair = {"name": "fair", "kind": "freeze", "starts_at": (now - timedelta(hours=1)).isoformat()}
    path = f"/api/release/environments/{whole.environment}"
    windows = [{**fair, "ends_at": (now + timedelta(hours=1)).isoformat()}]
    assert whole.call("PATCH", path, {"windows": windows}).is_success
    frozen = cli.document("deploy", "shop", "prod", "v2")
    assert "frozen by fair until" in waits(whole, frozen["id"])
    cli.good("skip-window", frozen["id"], "-m", "the shop is down", "--watch")
    assert whole.deployment(frozen["id"])["windowSkip"]["by"] == "admin"
    waiting = cli.document("deploy", "shop", "prod", "v3")
    assert "frozen by fair" in waits(whole, waiting["id"])
    assert whole.call("PATCH", path, {"windows": []}).is_success
    whole.until_status(waiting["id"], "success")

    at = SystemClock().now() + timedelta(seconds=4)
    timed = whole.deploy("v4", deployAt=at.isoformat())
    assert "is to begin at" in waits(whole, timed)
    done = whole.until_status(timed, "success")
    assert datetime.fromisoformat(done["startedAt"]) >= at
