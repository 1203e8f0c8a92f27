"""Commits between versions with real git: mirrors without files, bounded, through a credential."""

import ipaddress
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests.support.git_host import GitHost
from tests.support.private_git import Door, behind_a_door

from boreas.credentials.keys import ring_from
from boreas.domain.errors import Unavailable
from boreas.kit.clock import SystemClock
from boreas.server.commit_log import CommitLog, commits_in, fetch
from boreas.server.git_processes import Limits, run_git, size_of
from boreas.server.git_refs import LsRemote
from boreas.server.outbound import Outbound
from boreas.server.services import ServiceBundle

Make = Callable[..., Awaitable[dict[str, Any]]]
HERE = Outbound(allowed=(ipaddress.ip_network("127.0.0.0/8"),))
KEY = "MTmqmsmpLxnOPpYGCJuzNqBzTnCKgPG0uRJRCjGEK2A="
PASSWORD = "p@ss'w\"or d$(id)-42"


@pytest.fixture
def host(tmp_path: Path) -> GitHost:
    return GitHost(tmp_path / "git").make()


@pytest.fixture
def log(tmp_path: Path) -> CommitLog:
    return CommitLog(tmp_path / "mirrors", SystemClock(), HERE)


async def test_commits_are_listed_with_author_date_and_subject(
    host: GitHost, log: CommitLog
) -> None:
    first, second = host.commit("a", "one"), host.commit("a", "two")

    found = await log.between(str(host.bare), first, second, None)

    assert [(it.sha, it.author, it.subject) for it in found.added] == [(second, "t", "two")]
    assert found.added[0].date.startswith("20")
    assert not found.removed
    assert found.unavailable is None


async def test_going_back_lists_what_would_be_taken_away(host: GitHost, log: CommitLog) -> None:
    first, second = host.commit("a", "one"), host.commit("a", "two")

    found = await log.between(str(host.bare), second, first, None)

    assert [it.subject for it in found.removed] == ["two"]
    assert not found.added


def git_says(directory: Path, *arguments: str) -> list[str]:
    argv = ("git", "-C", str(directory), *arguments)
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()


async def test_the_mirror_holds_no_file_of_the_repository(
    host: GitHost, log: CommitLog, tmp_path: Path
) -> None:
    git_says(host.bare, "config", "uploadpack.allowFilter", "true")
    first, second = host.commit("a", "one"), host.commit("a", "two")

    found = await log.between(f"file://{host.bare}", first, second, None)

    assert len(found.added) == 1
    mirror = next((tmp_path / "mirrors").iterdir())
    listing = ("cat-file", "--batch-all-objects", "--batch-check=%(objecttype)")
    assert set(git_says(mirror, *listing)) == {"commit"}


async def test_what_is_known_is_not_fetched_again(host: GitHost, log: CommitLog) -> None:
    first, second = host.commit("a", "one"), host.commit("a", "two")
    await log.between(str(host.bare), first, second, None)
    host.bare.rename(host.bare.with_suffix(".away"))

    found = await log.between(str(host.bare), first, second, None)

    assert [it.subject for it in found.added] == ["two"]


async def test_a_repository_that_cannot_be_read_is_said_and_raises_nothing(
    log: CommitLog, tmp_path: Path
) -> None:
    found = await log.between(str(tmp_path / "nowhere"), None, "a" * 40, None)

    assert found.unavailable is not None
    assert "cannot be read" in found.unavailable


async def test_an_inner_address_is_not_called(tmp_path: Path) -> None:
    log = CommitLog(tmp_path / "mirrors", SystemClock(), Outbound())

    found = await log.between("http://127.0.0.1:1/shop.git", None, "a" * 40, None)

    assert "inner address" in str(found.unavailable)


def test_nothing_of_a_commit_can_turn_a_log_round() -> None:
    text = "a" * 40 + "\0ev\x1b[31mil\0" + "2024-01-01\0<b>\u202esubject\0"

    (commit,) = commits_in(text.encode())

    assert commit.author == "ev [31mil"
    assert commit.subject == "<b> subject"


def test_names_from_outside_stand_behind_the_end_of_options() -> None:
    argv = fetch(Path("/m"), "ssh://host/x", ["a" * 40], None)

    assert argv[argv.index("--end-of-options") :] == ("--end-of-options", "origin", "a" * 40)
    assert "remote.origin.url=ssh://host/x" in argv


async def test_a_command_that_takes_too_long_is_ended() -> None:
    said = await run_git(
        ("sleep", "60"),
        {"PATH": "/bin:/usr/bin"},
        Limits(seconds=0.2, most_bytes=100),
        SystemClock(),
    )

    assert "longer than 0.2 s" in said.stopped
    with pytest.raises(Unavailable):
        said.refuse_failure("it failed")


async def test_a_mirror_that_grows_too_large_is_ended(tmp_path: Path) -> None:
    script = f"head -c 3000000 /dev/zero > {tmp_path}/big; sleep 60"
    said = await run_git(
        ("sh", "-c", script),
        {"PATH": "/bin:/usr/bin"},
        Limits(seconds=30, most_bytes=1 << 20),
        SystemClock(),
        watched=tmp_path,
    )

    assert said.stopped == "it is larger than 1 MiB"
    assert size_of(tmp_path) >= 1 << 20


@pytest.fixture
def services_with_git(app: FastAPI, services: ServiceBundle, tmp_path: Path) -> ServiceBundle:
    """The app reads real repositories."""
    real = replace(
        services,
        git=LsRemote(SystemClock(), HERE),
        commits=CommitLog(tmp_path / "mirrors", SystemClock(), HERE),
    )
    app.state.services = real
    return real


@pytest.mark.usefixtures("services_with_git")
async def test_the_log_of_a_version_begins_after_the_version_before_it(
    admin: httpx.AsyncClient, site: Any, make: Make, host: GitHost
) -> None:
    within = f"/api/release/projects/{site.project}/versions"
    made = []
    for number, text in enumerate(("one", "two", "three")):
        host.commit("a", text)
        body = {"name": f"g{number}", "git": {"repository": str(host.bare), "ref": "main"}}
        made.append((await make(admin, within, body))["id"])

    first = (await admin.get(f"/api/release/versions/{made[0]}/log")).json()
    last = (await admin.get(f"/api/release/versions/{made[2]}/log")).json()
    since = (await admin.get(f"/api/release/versions/{made[2]}/log?since=g0")).json()
    both = (await admin.get(f"{within}/compare", params={"a": "g0", "b": "g2"})).json()

    assert first["since"] is None
    assert [it["subject"] for it in first["commits"]["added"]] == ["one"]
    assert [it["subject"] for it in last["commits"]["added"]] == ["three"]
    assert [it["subject"] for it in since["commits"]["added"]] == ["three", "two"]
    assert both["commits"] == since["commits"]


@pytest.fixture
def door(host: GitHost) -> Iterator[Door]:
    with behind_a_door(host.directory, Door("ada", PASSWORD)) as door:
        yield door


@pytest.fixture
async def credential(
    services_with_git: ServiceBundle, admin: httpx.AsyncClient, site: Any, make: Make
) -> str:
    """A user name and password of the project, sealed."""
    vault = services_with_git.vault
    vault._ring = ring_from({"QUIC_FLOW_SECRET_KEY": KEY})
    async with services_with_git.store.transaction() as tx:
        await vault.unlock(tx)
    body = {
        "name": "forge",
        "type": "username_token",
        "scope": "project",
        "project_id": site.project,
        "data": {"username": "ada", "password": PASSWORD},
    }
    found: str = (await make(admin, "/api/release/credentials", body))["id"]
    return found


async def test_a_ref_of_a_private_repository_is_resolved_through_a_credential(
    admin: httpx.AsyncClient, site: Any, host: GitHost, door: Door, credential: str
) -> None:
    commit = host.commit("a", "one")
    body = {
        "name": "private",
        "git": {"repository": f"{door.address}/shop.git", "ref": "main"},
        "git_credential_id": credential,
    }

    answer = await admin.post(f"/api/release/projects/{site.project}/versions", json=body)

    assert answer.status_code == 201, answer.text
    assert answer.json()["git"]["commit"] == commit
    assert answer.json()["git_credential_id"] == credential
    uses = (await admin.get(f"/api/release/credentials/{credential}/logs")).json()["items"]
    assert any(it["action"] == "use" for it in uses)


async def test_without_it_the_refusal_says_what_git_said(
    admin: httpx.AsyncClient, site: Any, host: GitHost, door: Door, credential: str
) -> None:
    host.commit("a", "one")
    body = {"name": "private", "git": {"repository": f"{door.address}/shop.git", "ref": "main"}}

    answer = await admin.post(f"/api/release/projects/{site.project}/versions", json=body)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "git.repository"
    assert PASSWORD not in answer.text


async def test_a_credential_of_another_project_is_unknown(
    admin: httpx.AsyncClient, site: Any, make: Make, door: Door, credential: str
) -> None:
    other = (await make(admin, "/api/release/projects", {"name": "other"}))["id"]
    body = {
        "name": "private",
        "git": {"repository": f"{door.address}/shop.git", "ref": "main"},
        "git_credential_id": credential,
    }

    answer = await admin.post(f"/api/release/projects/{other}/versions", json=body)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "git_credential_id"
    assert not door.shown
