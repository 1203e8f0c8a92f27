"""Hazards 36, 84: a credential opens its own repository, and is seen nowhere."""

import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.git_host import GitHost
from tests.support.private_git import Door, behind_a_door

from boreas.domain.delivery import OpenedCredential, OpenedSecrets
from boreas.domain.errors import InvalidInput
from boreas.domain.orders import GitRef
from boreas.drivers.git_credentials import git_access
from boreas.drivers.git_pull import GitPullDriver
from boreas.testing.workbench import FakeWorkbench, a_release, an_order

PASSWORD = "p@ss'w\"or d$(id)é-42"


def secrets_of(type_: str = "username_token", **fields: str) -> OpenedSecrets:
    given = fields or {"username": "ada", "password": PASSWORD}
    return OpenedSecrets(credentials={"git": OpenedCredential(type=type_, fields=given)})


@pytest.fixture
def host(tmp_path: Path) -> GitHost:
    return GitHost(tmp_path / "git").make()


@pytest.fixture
def door(host: GitHost) -> Iterator[Door]:
    with behind_a_door(host.directory, Door("ada", PASSWORD)) as door:
        yield door


@pytest.fixture
def bench(tmp_path: Path):
    def make(
        repository: str, commit: str, secrets: OpenedSecrets, usual: str = ""
    ) -> FakeWorkbench:
        spec = {"repository": usual or repository, "path": str(tmp_path / "srv")}
        git = GitRef(repository=repository, commit=commit)
        release = a_release("v1", spec=spec, git=git)
        return FakeWorkbench(an_order(release), tmp_path / "scope", secrets)

    return make


async def test_a_private_repository_is_read_with_name_and_password(host, door, bench, clock):
    commit = host.commit("index", "one")
    bench = bench(f"{door.address}/shop.git", commit, secrets_of())

    outcome = await GitPullDriver(clock).stage(bench)

    assert outcome.ok, bench.output
    assert outcome.result["commit"] == commit
    assert not any(PASSWORD in part for _, argv in bench.ran for part in argv)
    assert PASSWORD not in bench.output
    shut = [path for path in bench.private_dir.iterdir()]
    assert {path.name for path in shut} == {"askpass", "username", "password"}
    for path in shut:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    mirror = bench.scope_dir / "mirror.git"
    assert not any(
        PASSWORD.encode() in path.read_bytes() for path in mirror.rglob("*") if path.is_file()
    )


async def test_a_token_alone_is_enough(host, bench, clock, tmp_path):
    commit = host.commit("index", "one")
    with behind_a_door(host.directory, Door("oauth2", "glpat-0123456789")) as door:
        bench = bench(
            f"{door.address}/shop.git", commit, secrets_of("access_token", token="glpat-0123456789")
        )

        assert (await GitPullDriver(clock).stage(bench)).ok


async def test_a_wrong_password_is_told_in_git_s_words(host, door, bench, clock):
    commit = host.commit("index", "one")
    secrets = secrets_of("username_token", username="ada", password="not-it-at-all")
    bench = bench(f"{door.address}/shop.git", commit, secrets)

    outcome = await GitPullDriver(clock).stage(bench)

    assert not outcome.ok
    assert "Authentication failed" in bench.output


async def test_a_redirect_to_another_host_learns_nothing(host, door, bench, clock):
    commit = host.commit("index", "one")
    with behind_a_door(host.directory, Door("x", "y")) as thief:
        door.elsewhere = thief.address.replace("127.0.0.1", "localhost")
        bench = bench(f"{door.address}/shop.git", commit, secrets_of())

        outcome = await GitPullDriver(clock).stage(bench)

    assert not outcome.ok
    assert thief.shown
    assert not any(thief.shown)


async def test_a_version_of_another_place_does_not_get_the_credential(host, door, bench, clock):
    commit = host.commit("index", "one")
    with behind_a_door(host.directory, Door("x", "y")) as thief:
        bench = bench(
            f"{thief.address}/shop.git", commit, secrets_of(), usual=f"{door.address}/shop.git"
        )

        outcome = await GitPullDriver(clock).stage(bench)

    assert not outcome.ok
    assert "credential is for http://127.0.0.1" in outcome.reason
    assert thief.shown == []


@pytest.mark.parametrize("host_name", ["$(touch pwned)", 'a"b', "a`id`", "a b", "x;y"])
def test_an_address_that_a_shell_would_read_is_refused(host_name, tmp_path):
    credential = secrets_of().credentials["git"]

    with pytest.raises(InvalidInput):
        git_access(
            credential,
            f"https://{host_name}/shop.git",
            private=tmp_path,
            known_hosts=tmp_path / "known_hosts",
        )


@pytest.mark.parametrize(
    ("type_", "repository"),
    [("ssh", "https://git.example.org/x"), ("access_token", "git@git.example.org:x")],
)
def test_a_credential_of_the_wrong_kind_says_what_is_wanted(type_, repository, tmp_path):
    credential = OpenedCredential(type=type_, fields={"token": "t" * 8, "private_key": "k"})

    with pytest.raises(InvalidInput, match=r"opens? "):
        git_access(credential, repository, private=tmp_path, known_hosts=tmp_path / "k")


@pytest.fixture
def ssh_host(host: GitHost, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A real sshd that lets one key in; the repository's address and the key's directory."""
    sshd = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin")
    if sshd is None or os.geteuid() != 0 or "sshd" not in {user.pw_name for user in pwd.getpwall()}:
        pytest.skip("sshd is not installed, or this is not root")
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    for name, phrase in (("host", ""), ("open", ""), ("locked", "correct horse")):
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", phrase, "-f", str(keys / name)]
        subprocess.run(argv, check=True)
    (keys / "authorized").write_bytes(
        b"".join((keys / f"{name}.pub").read_bytes() for name in ("open", "locked"))
    )
    from tests.edges.drivers.containers.conftest import accepts, unused_port, wait_for

    port = unused_port()
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": keys / "host",
        "AuthorizedKeysFile": keys / "authorized",
        "StrictModes": "no",
        "UsePAM": "no",
        "PidFile": keys / "pid",
        "PasswordAuthentication": "no",
        "PermitRootLogin": "yes",
    }
    (keys / "config").write_text("".join(f"{name} {it}\n" for name, it in settings.items()))
    Path("/run/sshd").mkdir(exist_ok=True)
    with subprocess.Popen([sshd, "-D", "-f", str(keys / "config"), "-E", str(keys / "log")]) as it:
        wait_for(lambda: accepts(port), "sshd")
        yield f"ssh://root@127.0.0.1:{port}{host.bare}", keys
        it.terminate()


@pytest.mark.parametrize("name", ["open", "locked"])
async def test_a_key_opens_a_repository_over_ssh(ssh_host, host, bench, clock, name):
    repository, keys = ssh_host
    commit = host.commit("index", "one")
    fields = {"private_key": (keys / name).read_text()}
    if name == "locked":
        fields["passphrase"] = "correct horse"
    bench = bench(repository, commit, secrets_of("ssh", **fields))

    outcome = await GitPullDriver(clock).stage(bench)

    assert outcome.ok, bench.output
    assert (bench.scope_dir / "known_hosts").read_text().startswith("[127.0.0.1]")
    assert stat.S_IMODE((bench.private_dir / "key").stat().st_mode) == 0o600


async def test_a_host_whose_key_has_changed_is_refused(ssh_host, host, bench, clock):
    repository, keys = ssh_host
    commit = host.commit("index", "one")
    secrets = secrets_of("ssh", private_key=(keys / "open").read_text())
    bench = bench(repository, commit, secrets)
    other = (keys / "open.pub").read_text().split()[:2]
    place = repository.removeprefix("ssh://root@").partition("/")[0].partition(":")[2]
    (bench.scope_dir / "known_hosts").write_text(f"[127.0.0.1]:{place} {' '.join(other)}\n")

    outcome = await GitPullDriver(clock).stage(bench)

    assert not outcome.ok
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in bench.output
