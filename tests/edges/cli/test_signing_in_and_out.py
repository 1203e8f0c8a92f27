"""Signing in keeps a token in a private file; nothing secret is ever printed."""

import io
import stat
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> Any:
    def given(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO(text + "\n"))

    return given


def test_login_keeps_a_token_that_only_its_owner_can_read(
    server: Any, stranger: Any, password: Any, own_home: Path
) -> None:
    password("open sesame")

    ran = stranger("login", "--server", server.url, "-u", "ada", "--password-stdin")

    file = own_home / "config.toml"
    assert ran.code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert tomllib.loads(file.read_text())["tokens"] == {server.url: "bor_good"}
    assert "bor_good" not in ran.out + ran.err


def test_after_login_no_server_need_be_named(server: Any, stranger: Any, password: Any) -> None:
    password("open sesame")
    stranger("login", "--server", server.url, "-u", "ada", "--password-stdin")

    assert stranger("projects", "list").code == 0


def test_a_wrong_password_leaves_with_3_and_keeps_nothing(
    server: Any, stranger: Any, password: Any, own_home: Path
) -> None:
    password("guess")

    ran = stranger("login", "--server", server.url, "-u", "ada", "--password-stdin")

    assert ran.code == 3
    assert "the name or the password is wrong" in ran.err
    assert not (own_home / "config.toml").exists()


def test_logout_forgets_the_token(server: Any, stranger: Any, password: Any) -> None:
    password("open sesame")
    stranger("login", "--server", server.url, "-u", "ada", "--password-stdin")

    stranger("logout", "--server", server.url)

    assert stranger("projects", "list").code == 3


def test_setup_spends_the_token_of_the_file_and_signs_in(
    server: Any, stranger: Any, password: Any, tmp_path: Path
) -> None:
    (tmp_path / "setup-token").write_text("one-time\n")
    password("open sesame")

    ran = stranger(
        "setup",
        "--server",
        server.url,
        "--password-stdin",
        "--setup-token-file",
        tmp_path / "setup-token",
    )

    assert ran.code == 0
    assert server.bodies("POST", "/api/release/setup")[0]["token"] == "one-time"
    assert stranger("projects", "list").code == 0


def test_login_does_not_wait_for_a_person_who_is_not_there(
    server: Any, stranger: Any, password: Any
) -> None:
    password("")

    ran = stranger("login", "--server", server.url, "-u", "ada")

    assert ran.code == 2
    assert "--password-stdin" in ran.err


def test_a_broken_configuration_file_is_named(stranger: Any, own_home: Path) -> None:
    own_home.mkdir(parents=True)
    (own_home / "config.toml").write_text("server = [")

    ran = stranger("projects", "list")

    assert ran.code == 2
    assert "config.toml" in ran.err
