"""A branch or tag becomes a commit once, with real git on real repositories."""

import asyncio
import ipaddress
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from boreas.domain.errors import BoreasError, InvalidInput
from boreas.domain.orders import GitRef
from boreas.kit.clock import SystemClock
from boreas.server.git_refs import LsRemote, argv_for, commit_in, environment_for
from boreas.server.outbound import Outbound

Git = Callable[..., str]


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """Runs git in a new repository with one commit on `main`."""
    repository = tmp_path / "shop"
    repository.mkdir()
    environment = {
        **{"PATH": os.defpath, "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"},
        **{"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b"},
        **{"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"},
    }

    def run(*arguments: str) -> str:
        done = subprocess.run(
            ("git", *arguments), cwd=repository, env=environment, capture_output=True, check=True
        )
        return done.stdout.decode().strip()

    run("init", "-q", "-b", "main")
    run("commit", "-q", "--allow-empty", "-m", "first")
    return run


@pytest.fixture
def url(git: Git, tmp_path: Path) -> str:
    return f"file://{tmp_path / 'shop'}"


HERE = Outbound(allowed=(ipaddress.ip_network("127.0.0.0/8"),))


def resolver(seconds: float = 20.0, outbound: Outbound = HERE) -> LsRemote:
    return LsRemote(SystemClock(), outbound, seconds=seconds)


async def test_a_branch_becomes_its_commit(git: Git, url: str) -> None:
    found = await resolver().resolve(GitRef(repository=url, ref="main"))

    assert found == GitRef(repository=url, ref="main", commit=git("rev-parse", "HEAD"))


async def test_an_annotated_tag_becomes_the_commit_it_points_at(git: Git, url: str) -> None:
    git("tag", "-a", "v1", "-m", "one")

    found = await resolver().resolve(GitRef(repository=url, ref="v1"))

    assert found.commit == git("rev-parse", "v1^{commit}")


async def test_a_name_is_matched_whole(git: Git, url: str) -> None:
    git("branch", "feature/main")
    git("checkout", "-q", "-b", "other")
    git("commit", "-q", "--allow-empty", "-m", "second")
    git("branch", "x/other")
    git("branch", "-D", "main")

    with pytest.raises(InvalidInput) as caught:
        await resolver().resolve(GitRef(repository=url, ref="main"))

    assert caught.value.fields[0].field == "git.ref"
    assert "ls-remote" in caught.value.fields[0].mend


async def test_a_tag_wins_over_a_branch_of_the_same_name_as_in_git(git: Git, url: str) -> None:
    git("tag", "both")
    tagged = git("rev-parse", "HEAD")
    git("checkout", "-q", "-b", "both")
    git("commit", "-q", "--allow-empty", "-m", "second")

    assert (await resolver().resolve(GitRef(repository=url, ref="both"))).commit == tagged
    by_full_name = await resolver().resolve(GitRef(repository=url, ref="refs/heads/both"))
    assert by_full_name.commit == git("rev-parse", "refs/heads/both")


async def test_a_full_commit_is_believed_without_asking() -> None:
    commit = "b" * 40

    by_commit = await resolver().resolve(GitRef(repository="https://no.example/x", commit=commit))
    by_ref = await resolver().resolve(GitRef(repository="https://no.example/x", ref=commit))

    assert by_commit.commit == by_ref.commit == commit


async def test_a_repository_that_is_not_there_is_named_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        await resolver().resolve(GitRef(repository=f"file://{tmp_path}/none", ref="main"))

    assert caught.value.fields[0].field == "git.repository"
    assert "git.commit" in caught.value.fields[0].mend


def processes_naming(text: str) -> list[int]:
    """Processes with this in their arguments."""
    running = psutil.process_iter(["cmdline"])
    return [p.pid for p in running if any(text in part for part in p.info["cmdline"] or ())]


async def test_a_silent_server_is_given_up_and_no_process_stays(tmp_path: Path) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(InvalidInput, match="did not answer within"):
            await resolver(0.5).resolve(
                GitRef(repository=f"http://127.0.0.1:{port}/x.git", ref="main")
            )

    assert processes_naming(f"127.0.0.1:{port}") == []


@pytest.mark.parametrize(
    ("repository", "ref"),
    [
        ("ext::sh -c id", "main"),
        ("--upload-pack=id", "main"),
        ("file:///x", "--upload-pack=id"),
        ("file:///x", "a\nb"),
        ("file:///x", "a..b"),
    ],
)
async def test_what_could_be_an_option_never_reaches_git(
    repository: str, ref: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object, **__: object) -> None:
        raise AssertionError("git was run")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", never)

    with pytest.raises(BoreasError):
        await resolver().resolve(GitRef(repository=repository, ref=ref))


def test_the_arguments_end_options_before_what_people_wrote() -> None:
    argv = argv_for("file:///x", "main")

    assert argv.index("--") < argv.index("file:///x") < argv.index("refs/heads/main")


def test_git_sees_nothing_of_the_servers_environment() -> None:
    environment = environment_for("https://example.org/x", "/usr/bin")

    assert environment["GIT_ALLOW_PROTOCOL"] == "https"
    assert environment["GIT_TERMINAL_PROMPT"] == "0"
    assert environment["HOME"] == "/nonexistent"


def test_an_answer_that_is_no_list_of_refs_finds_nothing() -> None:
    assert commit_in("", "main") is None
    assert commit_in("<html>\n\x00garbage\trefs/heads/main\n", "main") is None
