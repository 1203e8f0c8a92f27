"""Which commits lie between two versions, out of small bare mirrors that hold commits alone.

Fetched only when somebody asks, with `--filter=tree:0` (no trees, no files; nothing is ever checked
out) and only so deep; bounded in time and size. What cannot be read is said and refuses nobody.
"""

import asyncio
import hashlib
import os
import shutil
import tempfile
import unicodedata
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from boreas.domain.delivery import OpenedCredential
from boreas.domain.errors import BoreasError
from boreas.domain.git_names import check_git
from boreas.kit.clock import Clock
from boreas.server.git_processes import Limits, run_git
from boreas.server.git_refs import Pin, access, pin_of
from boreas.server.outbound import Outbound

MOST_COMMITS: Final = 200
"""Of one answer; whoever wants more asks git."""
DEEPEST: Final = 2000
"""Commits from each end; a release that is farther from the last one is no release."""
MOST_MIRRORS: Final = 64
FETCHING: Final = Limits(seconds=60, most_bytes=256 * 1024 * 1024)
READING: Final = Limits(seconds=20, most_bytes=4 * 1024 * 1024)
MAX_RUNNING: Final = 2

_FIELDS: Final = "%H%x00%an%x00%aI%x00%s"
_SETTINGS: Final = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "credential.helper=",
    "http.followRedirects=false",
    "submodule.recurse=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "log.showSignature=false",
    "remote.origin.promisor=true",
    "remote.origin.partialclonefilter=tree:0",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One commit, as far as a log shows it."""

    sha: str
    author: str
    date: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Commits:
    """What is new, and what would be taken away; `unavailable` says why neither is known."""

    added: tuple[Commit, ...] = ()
    removed: tuple[Commit, ...] = ()
    truncated: bool = False
    unavailable: str | None = None


class CommitReader(Protocol):
    """Knows the history of repositories."""

    async def between(
        self, repository: str, a: str | None, b: str, credential: OpenedCredential | None
    ) -> Commits:
        """Commits of b that a has not, and of a that b has not; without a, the newest of b."""
        ...


class NoCommits:
    """For a server that keeps no mirrors."""

    async def between(
        self, repository: str, a: str | None, b: str, credential: OpenedCredential | None
    ) -> Commits:
        """Never known."""
        return Commits(unavailable="this server keeps no mirrors of repositories")


class CommitLog:
    """Reads commits with the git of this machine; a few repositories at a time."""

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        outbound: Outbound,
        *,
        known_hosts: Path | None = None,
    ) -> None:
        self._directory = directory
        self._known_hosts = known_hosts
        self._clock = clock
        self._outbound = outbound
        self._turns = asyncio.Semaphore(MAX_RUNNING)
        self._locks: OrderedDict[str, asyncio.Lock] = OrderedDict()

    async def between(
        self, repository: str, a: str | None, b: str, credential: OpenedCredential | None
    ) -> Commits:
        """See `CommitReader`; never raises for what a repository or a network does."""
        try:
            check_git(repository=repository, ref=None, commit=b)
            async with self._turns, self._lock_of(repository):
                return await self._read(repository, a, b, credential)
        except BoreasError as error:
            return Commits(unavailable=error.message)

    def _lock_of(self, repository: str) -> asyncio.Lock:
        lock = self._locks.setdefault(repository, asyncio.Lock())
        self._locks.move_to_end(repository)
        while len(self._locks) > 4 * MOST_MIRRORS and not next(iter(self._locks.values())).locked():
            self._locks.popitem(last=False)
        return lock

    async def _read(
        self, repository: str, a: str | None, b: str, credential: OpenedCredential | None
    ) -> Commits:
        mirror = self._directory / hashlib.sha256(repository.encode()).hexdigest()[:32]
        wanted = [commit for commit in (a, b) if commit is not None]
        if not await self._has_all(mirror, wanted):
            await self._fetch(mirror, repository, wanted, credential)
        added = await self._log(mirror, b, a)
        removed = [] if a is None else await self._log(mirror, a, b)
        return Commits(
            added=tuple(added[:MOST_COMMITS]),
            removed=tuple(removed[:MOST_COMMITS]),
            truncated=max(len(added), len(removed)) > MOST_COMMITS,
        )

    async def _has_all(self, mirror: Path, commits: Sequence[str]) -> bool:
        if not (mirror / "HEAD").exists():
            return False
        for commit in commits:
            argv = git(mirror, "cat-file", "-e", f"{commit}^{{commit}}")
            said = await run_git(argv, _alone(), READING, self._clock)
            if said.code != 0:
                return False
        return True

    async def _fetch(
        self,
        mirror: Path,
        repository: str,
        commits: Sequence[str],
        credential: OpenedCredential | None,
    ) -> None:
        await asyncio.to_thread(self._make_room, mirror)
        made = await run_git(
            git(mirror, "init", "--bare", "--quiet", "--template="), _alone(), READING, self._clock
        )
        made.refuse_failure("this server cannot keep a mirror")
        pin = await pin_of(self._outbound, repository)
        with tempfile.TemporaryDirectory(prefix="boreas-git-") as private:
            environment = access(repository, pin, credential, Path(private), self._known_hosts)
            argv = fetch(mirror, repository, commits, pin)
            said = await run_git(argv, environment, FETCHING, self._clock, watched=mirror)
        if said.code != 0:
            await asyncio.to_thread(shutil.rmtree, mirror, ignore_errors=True)
        said.refuse_failure("the commits cannot be read")

    def _make_room(self, mirror: Path) -> None:
        """The mirrors that were used longest ago go when there are too many."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        present = sorted(self._directory.iterdir(), key=lambda it: it.stat().st_mtime)
        for old in present[: max(0, len(present) - MOST_MIRRORS + 1)]:
            if old != mirror:
                shutil.rmtree(old, ignore_errors=True)

    async def _log(self, mirror: Path, of: str, without: str | None) -> list[Commit]:
        argv = git(mirror, *log_arguments(of, without))
        said = await run_git(argv, _alone(), READING, self._clock)
        said.refuse_failure("the commits cannot be read")
        return list(commits_in(said.output))


def git(mirror: Path, *arguments: str) -> tuple[str, ...]:
    """A git command on the mirror with everything dangerous switched off."""
    settings = tuple(word for each in _SETTINGS for word in ("-c", each))
    return ("git", *settings, "-c", f"safe.directory={mirror}", f"--git-dir={mirror}", *arguments)


def fetch(
    mirror: Path, repository: str, commits: Sequence[str], pin: Pin | None
) -> tuple[str, ...]:
    """Bring these commits and what lies before them, without trees or files."""
    resolved = (
        () if pin is None else ("-c", f"http.curloptResolve={pin.host}:{pin.port}:{pin.address}")
    )
    options = ("--filter=tree:0", f"--depth={DEEPEST}", "--no-tags", "--no-write-fetch-head")
    settings = (*resolved, "-c", f"remote.origin.url={repository}")
    whole = git(mirror, "fetch", "--quiet", *options, "--end-of-options", "origin", *commits)
    return (whole[0], *settings, *whole[1:])


def log_arguments(of: str, without: str | None) -> tuple[str, ...]:
    """The commits of one that the other has not, newest first, one more than are shown."""
    limits = ("-z", "--no-color", f"--max-count={MOST_COMMITS + 1}", f"--format={_FIELDS}")
    excluded = () if without is None else (f"^{without}",)
    return ("log", *limits, "--encoding=UTF-8", "--end-of-options", of, *excluded, "--")


def commits_in(output: bytes) -> Iterator[Commit]:
    """What `git log -z` printed. No field of a commit can hold a NUL."""
    words = output.decode(errors="replace").split("\0")
    for start in range(0, len(words) - 3, 4):
        sha, author, date, subject = (_one_line(word) for word in words[start : start + 4])
        yield Commit(sha=sha, author=author[:200], date=date[:40], subject=subject[:500])


def _one_line(text: str) -> str:
    """Without control characters and marks that turn text round: it is shown to people."""
    return "".join(" " if unicodedata.category(it) in ("Cc", "Cf", "Cs") else it for it in text)


def _alone() -> Mapping[str, str]:
    """For commands that speak with nobody."""
    return {
        "PATH": os.defpath,
        "LC_ALL": "C.UTF-8",
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "",
        "GIT_TERMINAL_PROMPT": "0",
    }
