"""Find the commit behind a branch or a tag, once, when a version is made.

The only program the server ever runs is git (here and in `commit_log`), and it checks nothing out.
Here `git ls-remote`, by an argument tuple, without a shell,
hooks, prompts or anybody's configuration, for a limited time, at an address that `outbound` has
approved. Agents fetch by the commit alone.
"""

import asyncio
import os
import re
import shlex
import signal
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from boreas.domain.delivery import OpenedCredential
from boreas.domain.errors import BoreasError, TooMany, invalid
from boreas.domain.git_names import check_git, commit_problem, place_of, protocols_of
from boreas.domain.orders import GitRef
from boreas.drivers.git_credentials import git_access
from boreas.kit.clock import Clock
from boreas.logs.masking import Masker, forms_in
from boreas.server.outbound import Outbound

SECONDS: Final = 20.0
# The answer to four names is a few lines; a hostile server could send for ever.
MOST_BYTES: Final = 256 * 1024
MAX_RUNNING: Final = 4


class LsRemote:
    """Resolves refs with the git of this machine; a few at a time."""

    def __init__(
        self,
        clock: Clock,
        outbound: Outbound,
        *,
        seconds: float = SECONDS,
        known_hosts: Path | None = None,
    ) -> None:
        self._clock = clock
        self._outbound = outbound
        self._known_hosts = known_hosts
        self._seconds = seconds
        self._running = 0

    async def resolve(self, git: GitRef, credential: OpenedCredential | None = None) -> GitRef:
        """The same place with a full commit; a commit that was given is believed.

        Raises `InvalidInput` naming `git.ref` or `git.repository`.
        """
        check_git(repository=git.repository, ref=git.ref, commit=git.commit)
        if git.commit is not None:
            return git
        if git.ref is None:
            raise invalid("git.ref", "is missing", "write a branch, a tag, or a full commit")
        if commit_problem(git.ref) is None:
            return replace(git, commit=git.ref)
        commit = commit_in(await self._ask(git.repository, git.ref, credential), git.ref)
        if commit is None:
            mend = f"push it, or write a branch or tag that `git ls-remote {git.repository}` lists"
            raise invalid(
                "git.ref", f"there is no branch or tag {git.ref!r} in this repository", mend
            )
        return replace(git, commit=commit)

    async def _ask(self, repository: str, ref: str, credential: OpenedCredential | None) -> str:
        if self._running >= MAX_RUNNING:
            raise TooMany("too many repositories are being asked", parameters={"retry_after": 5})
        self._running += 1
        try:
            with tempfile.TemporaryDirectory(prefix="boreas-git-") as private:
                return await self._run(repository, ref, credential, Path(private))
        finally:
            self._running -= 1

    async def _run(
        self, repository: str, ref: str, credential: OpenedCredential | None, private: Path
    ) -> str:
        pin = await pin_of(self._outbound, repository)
        try:
            process = await asyncio.create_subprocess_exec(
                *argv_for(repository, ref, pin),
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=PIPE,
                env=access(repository, pin, credential, private, self._known_hosts),
                start_new_session=True,
            )
        except FileNotFoundError:
            raise invalid("git.ref", "the server has no git", "give git.commit instead") from None
        try:
            async with asyncio.timeout(self._seconds):
                said, complaint = await _output_of(process)
        except TimeoutError:
            problem = f"the repository did not answer within {self._seconds:g} s"
            raise invalid(
                "git.repository", problem, "check the address, or give git.commit"
            ) from None
        finally:
            _kill(process)
            await process.wait()
        if process.returncode != 0:
            raise _refused_by_git(_without(credential, complaint))
        return said.decode(errors="replace")


_HOST_AND_PORT: Final = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]+)(?::(?P<port>[0-9]{1,5}))?")
_PORTS: Final = {"https": 443, "http": 80, "ssh": 22}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """The address that was found for a host, so that git does not look for another."""

    host: str
    port: int
    address: str


async def pin_of(outbound: Outbound, repository: str) -> Pin | None:
    """Whom git shall connect to; None for a repository on this machine's disk."""
    place = place_of(repository)
    if place.scheme == "file":
        return None
    found = _HOST_AND_PORT.fullmatch(place.host)
    if found is None:
        raise invalid("git.repository", f"{place.host!r} is not HOST or HOST:PORT")
    host, port = found["host"], int(found["port"] or _PORTS[place.scheme])
    address = await outbound.address_of(host, port, field="git.repository")
    return Pin(host=host, port=port, address=address)


async def _output_of(process: Process) -> tuple[bytes, bytes]:
    assert process.stdout is not None
    assert process.stderr is not None
    said, complaint = await asyncio.gather(
        _read_at_most(process.stdout), _read_at_most(process.stderr)
    )
    await process.wait()
    return said, complaint


async def _read_at_most(stream: asyncio.StreamReader) -> bytes:
    """All of it, but keep only the first part."""
    kept = b""
    while block := await stream.read(65_536):
        kept = (kept + block)[:MOST_BYTES]
    return kept


def _kill(process: Process) -> None:
    """The whole session: ssh and git-remote-https are children of git."""
    if process.returncode is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def _without(credential: OpenedCredential | None, complaint: bytes) -> bytes:
    """A repository may say back what it was shown."""
    if credential is None or (forms := forms_in(credential.secret_values())) is None:
        return complaint
    masker = Masker(forms)
    return masker.feed(complaint) + masker.end()


def _refused_by_git(complaint: bytes) -> BoreasError:
    lines = [line for line in complaint.decode(errors="replace").splitlines() if line.strip()]
    said = next((line for line in lines if line.startswith(("fatal:", "ERROR"))), "git failed")
    mend = "check the address and that this server may read it, or give git.commit"
    return invalid("git.repository", f"git cannot read it: {said[:300]}", mend)


def argv_for(repository: str, ref: str, pin: Pin | None = None) -> tuple[str, ...]:
    """Asks for the name as a branch, as a tag, and for what an annotated tag points at."""
    # A redirect could lead anywhere; nobody would have asked whether that is inside.
    settings = ["core.hooksPath=/dev/null", "credential.helper=", "http.followRedirects=false"]
    if pin is not None:
        settings.append(f"http.curloptResolve={pin.host}:{pin.port}:{pin.address}")
    git = ("git", *(word for each in settings for word in ("-c", each)), "ls-remote")
    return (*git, "--", repository, *names_of(ref), f"{names_of(ref)[0]}^{{}}")


def names_of(ref: str) -> Sequence[str]:
    """Full names in git's own order of preference."""
    if ref == "HEAD" or ref.startswith("refs/"):
        return (ref,)
    return f"refs/tags/{ref}", f"refs/heads/{ref}"


def environment_for(repository: str, path: str, pin: Pin | None = None) -> Mapping[str, str]:
    """Nothing of the server's own environment but a path."""
    ssh = ["ssh", "-oBatchMode=yes", "-oConnectTimeout=10"]
    if pin is not None:
        ssh += [f"-oHostName={pin.address}", f"-oHostKeyAlias={pin.host}"]
    return {
        "PATH": path,
        "LC_ALL": "C",
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GIT_SSH_COMMAND": shlex.join(ssh),
        "GIT_ALLOW_PROTOCOL": protocols_of(repository),
    }


def access(
    repository: str,
    pin: Pin | None,
    credential: OpenedCredential | None,
    private: Path,
    known_hosts: Path | None = None,
) -> Mapping[str, str]:
    """The environment of a command; a credential's files lie in `private` for just as long.

    `known_hosts` remembers the key of each SSH host that was met.
    """
    environment = dict(environment_for(repository, os.defpath, pin))
    if credential is None:
        return environment
    known = known_hosts or private / "known_hosts"
    opened = git_access(credential, repository, private=private, known_hosts=known)
    if pin is not None and "GIT_SSH_COMMAND" in opened:
        to = ("-o", f"HostName={pin.address}", "-o", f"HostKeyAlias={pin.host}")
        opened["GIT_SSH_COMMAND"] += " " + shlex.join(to)
    return {**environment, **opened}


def commit_in(answer: str, ref: str) -> str | None:
    """The commit that `git ls-remote` printed for exactly this name, a tag's target first."""
    found: dict[str, str] = {}
    for line in answer.splitlines():
        commit, _, name = line.partition("\t")
        if commit_problem(commit) is None:
            found[name] = commit
    preferred = [found.get(f"{name}^{{}}") or found.get(name) for name in names_of(ref)]
    return next((commit for commit in preferred if commit), None)
