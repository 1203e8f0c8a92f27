"""Credentials at the command line: secrets from files, standard input or a person, never argv."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest

PATH = "/api/release/credentials"


@pytest.fixture
def shop(server: Any) -> Any:
    return server.add("projects", name="shop")


def test_a_secret_is_read_from_a_file_without_its_last_line_break(
    server: Any, boreas: Any, shop: Any, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret\n")
    words = ("add", "hub", "--type", "registry", "-p", "shop", "--file", str(file))

    ran = boreas("credentials", *words, "--username", "robot", "--registry", "r.example.org")

    assert ran.code == 0, ran.err
    (body,) = server.bodies("POST", PATH)
    assert body == {
        "name": "hub",
        "type": "registry",
        "scope": "project",
        "project_id": shop["id"],
        "data": {"username": "robot", "registry": "r.example.org", "password": "s3cret"},
    }


def test_a_secret_is_read_from_standard_input(
    server: Any, boreas: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("t0ken\n"))

    ran = boreas("credentials", "add", "forge", "-t", "access_token", "--global", "--file", "-")

    assert ran.code == 0, ran.err
    assert server.bodies("POST", PATH)[0]["data"] == {"token": "t0ken"}


def test_a_key_keeps_its_lines_and_may_have_a_passphrase(
    server: Any, boreas: Any, shop: Any, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("-----BEGIN\nabc\n")
    (tmp_path / "passphrase").write_text("sesame\n")
    files = ("--file", str(tmp_path / "key"), "--passphrase-file", str(tmp_path / "passphrase"))

    ran = boreas("credentials", "add", "git", "-t", "ssh", "-p", "shop", *files)

    assert ran.code == 0, ran.err
    assert server.bodies("POST", PATH)[0]["data"] == {
        "private_key": "-----BEGIN\nabc\n",
        "passphrase": "sesame",
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "x", "-t", "access_token"), "either --project PROJECT or --global"),
        (("add", "x", "-t", "access_token", "--global", "-p", "shop"), "either --project"),
        (("add", "x", "-t", "access_token", "--global"), "use --file -"),
        (("add", "x", "-t", "ssh", "--global"), "--file FILE"),
        (("add", "x", "-t", "ssh", "--global", "--file", "/absent"), "cannot be read"),
        (("update", "hub"), "nothing to change"),
    ],
)
def test_what_is_missing_is_said(
    server: Any,
    boreas: Any,
    shop: Any,
    words: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    server.add("credentials", name="hub", type="access_token", scope="global")

    ran = boreas("credentials", *words)

    assert ran.code == 2
    assert said in ran.err
    assert not server.changes()


def test_no_option_takes_a_secret(boreas: Any) -> None:
    for verb in ("add", "update"):
        shown = boreas("credentials", verb, "--help").out

        assert "--password" not in shown.replace("--password-", "")
        assert "--token" in shown, "the API token's option is for the server, not for the value"
        assert "--private-key" not in shown


def test_update_sends_only_what_changes(server: Any, boreas: Any, tmp_path: Path) -> None:
    fields = {"type": "access_token", "scope": "global", "revision": 2}
    hub = server.add("credentials", name="hub", **fields)
    (tmp_path / "token").write_text("newer")

    assert boreas("credentials", "update", "hub", "-d", "for pulls").code == 0
    assert boreas("credentials", "update", "hub", "--file", str(tmp_path / "token")).code == 0

    assert server.bodies("PUT", f"{PATH}/{hub['id']}") == [
        {"description": "for pulls"},
        {"data": {"token": "newer"}},
    ]


def test_removing_one_in_use_says_who_uses_it(server: Any, boreas: Any) -> None:
    hub = server.add("credentials", name="hub", type="access_token", scope="global")
    refusal = {"detail": "The credential `hub` is used by application web.", "code": "x"}
    server.refusals["DELETE", f"{PATH}/{hub['id']}"] = (409, refusal)

    ran = boreas("credentials", "remove", "hub", "--yes")

    assert ran.code == 5
    assert "used by application web" in ran.err


def test_the_log_of_a_removed_one_is_found_by_its_id(server: Any, boreas: Any) -> None:
    line = {"action": "delete", "user": "ada", "revision": 1, "purpose": "", "ip_address": "x"}
    server.add("credentials/cred_gone/logs", created_at="2026-01-01T00:00:00Z", **line)

    ran = boreas("credentials", "logs", "cred_gone")

    assert ran.code == 0, ran.err
    assert "delete" in ran.out


def test_the_list_shows_no_values(server: Any, boreas: Any) -> None:
    server.add("credentials", name="hub", type="ssh", scope="global", revision=1)

    ran = boreas("credentials", "list")

    assert "hub" in ran.out
    assert "ssh" in ran.out
