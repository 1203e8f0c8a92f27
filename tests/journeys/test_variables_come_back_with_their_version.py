"""Going back and trying again use the variables of the version that one goes to, secrets too."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.installation import Installation
from tests.support.waiting import until

KEY = "MTmqmsmpLxnOPpYGCJuzNqBzTnCKgPG0uRJRCjGEK2A="


@pytest.fixture
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """A server with a key for secrets, one agent, a project."""
    monkeypatch.setenv("QUIC_FLOW_SECRET_KEY", KEY)
    whole = Installation(tmp_path)
    try:
        whole.add_server()
        whole.add_agents(1)
        whole.make_project(kind="dev")
        yield whole
    finally:
        whole.stop()


def put(whole: Installation, path: str, *items: dict[str, Any]) -> None:
    answer = whole.call("PUT", path, {"items": list(items)})
    assert answer.is_success, answer.text


def test_a_rollback_brings_the_old_values_back(whole: Installation, tmp_path: Path) -> None:
    live = tmp_path / "live"
    whole.make_script("api", f'printf %s "$X/$Y" > {live}')
    of_project = f"/api/release/projects/{whole.project}/variables"
    of_environment = f"/api/release/environments/{whole.environment}/variables"
    put(whole, of_environment, {"name": "Y", "value": "dev"})

    def deploy(version: str, x: str) -> str:
        put(whole, of_project, {"name": "X", "value": x}, {"name": "Y", "value": "any"})
        made = whole.deploy(version)
        whole.until_status(made, "success")
        return made

    deploy("v1", "1")
    assert live.read_text() == "1/dev"
    second = deploy("v2", "2")
    assert live.read_text() == "2/dev"
    put(whole, of_project, {"name": "X", "value": "3"})
    back = whole.act(second, "rollback")["id"]
    whole.until_status(back, "success", "rolled_back")

    assert live.read_text() == "1/dev"
    shown = whole.deployment(second)["variables"]
    assert {(it["name"], it["value"]) for it in shown} == {("X", "2"), ("Y", "dev")}


def test_a_rollback_brings_the_old_secrets_back_and_shows_none(
    whole: Installation, tmp_path: Path
) -> None:
    live = tmp_path / "live"
    whole.make_script("api", f'echo "token is $TOKEN"; printf %s "$TOKEN" > {live}')
    of_project = f"/api/release/projects/{whole.project}/variables"

    def deploy(version: str, token: str) -> str:
        put(whole, of_project, {"name": "TOKEN", "value": token, "secret": True})
        made = whole.deploy(version)
        whole.until_status(made, "success")
        return made

    deploy("v1", "first-secret-token")
    second = deploy("v2", "second-secret-token")
    assert live.read_text() == "second-secret-token"
    back = whole.act(second, "rollback")["id"]
    whole.until_status(back, "success", "rolled_back")

    assert live.read_text() == "first-secret-token"
    until(lambda: whole.messages(second, "api-deploy"))
    assert whole.messages(second, "api-deploy") == ["token is ***"]
    assert "secret-token" not in str(whole.deployment(second))


def test_a_retry_keeps_what_was_resolved_and_a_command_of_no_application_sees_its_levels(
    whole: Installation, tmp_path: Path
) -> None:
    whole.make_script("api", "true")
    of_project = f"/api/release/projects/{whole.project}/variables"
    put(whole, of_project, {"name": "X", "value": "1"}, {"name": "Y", "value": "1"})
    ready = tmp_path / "ready"
    task = {
        "id": "look",
        "type": "custom",
        "payload": {"command": f'echo "$X $Y"; test -e {ready}', "variables": {"Y": "task"}},
    }
    made = whole.deploy("v1", tasks=[task])
    whole.until_status(made, "failed")

    put(whole, of_project, {"name": "X", "value": "2"})
    ready.touch()
    again = whole.act(made, "retry")["id"]
    whole.until_status(again, "success")

    until(lambda: whole.messages(again, "look"))
    assert whole.messages(made, "look") == ["1 task"]
    assert whole.messages(again, "look") == ["1 task"]
