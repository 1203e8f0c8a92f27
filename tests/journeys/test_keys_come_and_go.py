"""Hazards 76-78 and 85: a key that is missing, wrong, new or visible, with real servers."""

import sqlite3
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.support.installation import Installation, Server
from tests.support.waiting import until

from boreas.testing.secrets import a_key

VARIABLE = "QUIC_FLOW_SECRET_KEY"
WHERE = "/api/release/credentials"


def text_of(*names: str) -> str:
    return ",".join(b64encode(a_key(name).material).decode() for name in names)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """A server with a key that keeps a credential."""
    monkeypatch.setenv(VARIABLE, text_of("first"))
    whole = Installation(tmp_path / "boreas")
    try:
        whole.add_server()
        whole.make_project(kind="dev")
        whole.post(WHERE, a_credential(whole, "forge"))
        yield whole
    finally:
        whole.stop()


def a_credential(whole: Installation, name: str) -> dict[str, Any]:
    data = {"token": f"the token of {name}"}
    return {"name": name, "type": "access_token", "project_id": whole.project, "data": data}


def restarted(whole: Installation) -> None:
    """Stop and start, with the key of now."""
    whole.servers[0].stop()
    whole.servers[0].start()


def stored(server: Server) -> list[tuple[Any, ...]]:
    """Every sealed row."""
    with sqlite3.connect(server.data_dir / "boreas.db") as database:
        return list(database.execute("SELECT id, key_id, sealed FROM secrets ORDER BY id"))


@pytest.mark.parametrize(
    ("given", "code"),
    [(None, "secret_key_missing"), (text_of("other"), "secret_key_wrong")],
    ids=["missing", "wrong"],
)
def test_a_server_without_the_right_key_names_it_and_touches_nothing(
    site: Installation, monkeypatch: pytest.MonkeyPatch, given: str | None, code: str
) -> None:
    server, before = site.servers[0], stored(site.servers[0])
    monkeypatch.delenv(VARIABLE)
    if given is not None:
        monkeypatch.setenv(VARIABLE, given)

    restarted(site)

    assert f"sealed with the key {a_key('first').id}" in server.words()
    refused = site.call("POST", WHERE, a_credential(site, "second"))
    assert (refused.status_code, refused.json()["code"]) == (503, code)
    assert a_key("first").id in refused.json()["detail"]
    listed = site.get(WHERE)["items"]
    assert [each["name"] for each in listed] == ["forge"], "what needs no key goes on"
    change = {"data": {"token": "new"}}
    assert site.call("PUT", f"{WHERE}/{listed[0]['id']}", change).status_code == 503
    assert stored(server) == before

    monkeypatch.setenv(VARIABLE, text_of("first"))
    restarted(site)
    site.post(WHERE, a_credential(site, "second"))


def test_a_new_key_before_the_old_one_moves_everything_and_then_is_enough(
    site: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = site.servers[0]
    monkeypatch.setenv(VARIABLE, text_of("second", "first"))
    restarted(site)
    until(lambda: {row[1] for row in stored(server)} == {a_key("second").id})

    monkeypatch.setenv(VARIABLE, text_of("second"))
    restarted(site)

    site.post(WHERE, a_credential(site, "another"))
    assert "secrets_moved" in server.words()
    assert "secrets_locked" not in server.words()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("c2hvcnQ=", "has 5 bytes, not 32"),
        ("a" * 64, "does not look random"),
        ("not a key at all!", "is neither base64 nor hex"),
    ],
)
def test_what_is_no_good_key_keeps_the_server_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, said: str
) -> None:
    monkeypatch.setenv(VARIABLE, given)
    argv = [sys.executable, "-m", "boreas", "server", "--data-dir", str(tmp_path / "data")]

    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)

    assert done.returncode == 2
    assert said in done.stderr
    assert "openssl rand" in done.stderr
    assert given not in done.stderr
    assert not (tmp_path / "data").exists()


def test_the_key_is_in_no_environment_of_the_server_or_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, text_of("first"))
    whole = Installation(tmp_path / "boreas")
    try:
        server = whole.add_server(options=("--with-agent",))
        until(whole.online, at_most=30)
        assert server.process is not None
        mother = psutil.Process(server.process.pid)
        everybody = [mother, *mother.children(recursive=True)]
        shown = [Path(f"/proc/{each.pid}/environ").read_bytes() for each in everybody]

        assert len(shown) > 1, "an agent runs beside it"
        assert not [one for one in shown if text_of("first").encode() in one]
        made = whole.post("/api/release/projects", {"name": "shop"})
        whole.project = made["id"]
        whole.post(WHERE, a_credential(whole, "forge"))
    finally:
        whole.stop()
