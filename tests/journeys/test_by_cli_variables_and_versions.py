"""Variables explained, versions compared, promoted, blocked: with the command line alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.boreas_cli import Cli
from tests.support.installation import Installation

KEY = "MTmqmsmpLxnOPpYGCJuzNqBzTnCKgPG0uRJRCjGEK2A="


@pytest.fixture
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """One agent, the environments staging and prod, an application, the versions v1 and v2."""
    monkeypatch.setenv("QUIC_FLOW_SECRET_KEY", KEY)
    whole = Installation(tmp_path)
    try:
        whole.add_server()
        whole.add_agents(1)
        whole.make_project()
        within = f"/api/release/projects/{whole.project}"
        staging = whole.post(f"{within}/environments", {"name": "staging", "kind": "staging"})
        where = f"/api/release/environments/{staging['id']}/targets"
        whole.post(where, {"name": "first", "agent": "n1"})
        whole.make_script("api", "true")
        whole.make_version("v1", config={"a": 1})
        whole.make_version("v2", config={"a": 2})
        order = whole.call("PATCH", within, {"promotion_order": ["staging", "prod"]})
        assert order.is_success, order.text
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


def test_variables_are_set_kept_and_explained(cli: Cli) -> None:
    cli.good("variables", "set", "shop", "REPLICAS=2", "COLOUR=blue")
    cli.good("variables", "set", "shop", "REPLICAS=3", "-e", "prod")
    cli.good("variables", "set", "shop", "--secret", "TOKEN", stdin="a-secret-value\n")
    cli.good("variables", "set", "shop", "--unset", "COLOUR")

    assert cli.good("variables", "get", "shop", "REPLICAS").strip() == "2"
    listed = cli.good("variables", "get", "shop")
    assert "COLOUR" not in listed
    assert "a-secret-value" not in listed
    told = cli.good("variables", "explain", "shop", "REPLICAS", "-e", "prod")
    assert told.strip() == "REPLICAS=3 from environment prod, overrides 2 of project shop"
    assert "TOKEN" in cli.good("variables", "explain", "shop", "-e", "prod")


def test_a_version_goes_from_staging_to_prod_and_is_blocked(cli: Cli, whole: Installation) -> None:
    assert "~ config a: 1 → 2" in cli.good("versions", "compare", "shop", "v1", "v2")
    assert "no commits known" in cli.good("versions", "log", "shop", "v2")
    refused = cli.run("deploy", "shop", "prod", "v1")
    assert refused.returncode == 5
    assert "has not yet succeeded in staging" in refused.stderr
    assert "refused: v1 has not yet" in cli.good("plan", "shop", "prod", "v1")

    first = cli.document("versions", "promote", "shop", "v1")
    whole.until_status(first["id"], "success")
    second = cli.document("versions", "promote", "shop", "v1")
    assert second["environments"] == ["prod"]
    whole.until_status(second["id"], "success")

    cli.good("versions", "block", "shop", "v2", "-m", "loses orders")
    refused = cli.run("versions", "promote", "shop", "v2")
    assert refused.returncode == 5
    assert "blocked by admin: loses orders" in refused.stderr
    cli.good("versions", "unblock", "shop", "v2")
    promoted = cli.document("versions", "promote", "shop", "v2", "--dry-run")
    assert promoted["environment"] == "staging"
    assert promoted["refusals"] == []
