"""Users, members, tokens and the audit trail at the command line."""

import io
import sys
from typing import Any

import pytest
from tests.edges.cli.conftest import FakeServer

USERS = "/api/release/users"


@pytest.fixture
def grace(server: FakeServer) -> Any:
    return server.add("users", username="grace", display_name="Grace", email="", is_admin=False)


def test_a_user_is_made_with_a_password_from_standard_input(
    server: FakeServer, boreas: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("correct horse\n"))

    ran = boreas("users", "create", "grace", "--email", "g@navy.example", "--password-stdin")

    assert ran.code == 0, ran.err
    assert server.bodies("POST", USERS) == [
        {
            "username": "grace",
            "email": "g@navy.example",
            "is_admin": False,
            "password": "correct horse",
        }
    ]


def test_a_user_who_signs_in_elsewhere_has_no_password(server: FakeServer, boreas: Any) -> None:
    assert boreas("users", "create", "grace", "--no-password").code == 0

    assert "password" not in server.bodies("POST", USERS)[0]


def test_a_user_is_disabled_with_the_reason(server: FakeServer, boreas: Any, grace: Any) -> None:
    ran = boreas("users", "disable", "grace", "--why", "left")

    assert ran.code == 0, ran.err
    assert server.bodies("POST", f"{USERS}/{grace['id']}/disable") == [{"reason": "left"}]


def test_an_unknown_user_is_named_with_who_is_near(boreas: Any, grace: Any) -> None:
    ran = boreas("users", "show", "graces")

    assert ran.code == 4
    assert "did you mean grace?" in ran.err


def test_members_are_added_changed_and_removed_by_their_names(
    server: FakeServer, boreas: Any
) -> None:
    project = server.add("projects", name="shop")
    where = f"projects/{project['id']}/members"
    member = server.add(where, user={"username": "grace"}, role="viewer")

    assert boreas("members", "set", "grace", "owner", "-p", "shop").code == 0
    assert boreas("members", "remove", "grace", "-p", "shop", "--yes").code == 0
    assert boreas("members", "add", "linus", "developer", "-p", "shop").code == 0

    path = f"/api/release/{where}"
    assert server.bodies("POST", path) == [{"user": "linus", "role": "developer"}]
    assert server.bodies("PUT", f"{path}/{member['id']}") == [{"role": "owner"}]
    assert ("DELETE", f"{path}/{member['id']}") in server.changes()


def test_a_role_that_is_none_is_a_fault_of_usage(boreas: Any) -> None:
    assert boreas("members", "add", "grace", "god", "-p", "shop").code == 2


def test_a_token_is_shown_alone(server: FakeServer, boreas: Any) -> None:
    project = server.add("projects", name="shop")

    ran = boreas("tokens", "create", "ci", "--scope", "deploy", "-p", "shop", "--days", "30")

    assert (ran.code, ran.out) == (0, "bor_good\n")
    assert server.bodies("POST", "/api/release/tokens") == [
        {
            "name": "ci",
            "scope": "deploy",
            "project_ids": [project["id"]],
            "expires_in_seconds": 2_592_000,
        }
    ]


def test_the_trail_is_listed_by_filters(server: FakeServer, boreas: Any) -> None:
    server.add("audit", at="2026-03-01T12:00:00Z", actor="grace", action="member.add", why="new")

    ran = boreas("audit", "list", "--actor", "grace", "--action", "member.")

    assert ran.code == 0, ran.err
    assert "member.add" in ran.out


def test_a_broken_chain_is_said_with_an_exit_code(server: FakeServer, boreas: Any) -> None:
    server.chain = {"holds": False, "entries": 2, "head": None, "problem": "entry 3 was changed"}

    ran = boreas("audit", "verify")

    assert ran.code == 1
    assert "entry 3 was changed" in ran.out


def test_the_doctor_names_the_first_broken_entry(server: FakeServer, boreas: Any) -> None:
    server.chain = {"holds": False, "entries": 2, "head": None, "problem": "entry 3 was changed"}

    ran = boreas("doctor")

    assert ran.code == 1
    assert "✘ audit trail: entry 3 was changed" in ran.out
