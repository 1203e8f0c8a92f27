"""The bare mirror of one scope, and the checkouts made from it.

Each change is a step of the workbench, always the same ones in the same order until a marker says
that the checkout is whole: an agent that was killed in between goes on where it was, and a checkout
that a crash left half-made is made again.
"""

from pathlib import Path

from boreas.domain.delivery import GIT
from boreas.domain.errors import invalid
from boreas.domain.git_names import check_git, commit_problem, place_of
from boreas.domain.orders import ReleaseBody
from boreas.domain.placeholders import safe_name
from boreas.domain.ports import Workbench
from boreas.drivers import git_commands as commands
from boreas.drivers.files import off_loop, write_whole
from boreas.drivers.git_credentials import git_access
from boreas.drivers.verbs import last_words

_PIN = "commit"
_PROBE_SECONDS = 60.0


class Mirror:
    """Git for one order; `steps` keeps the names of its steps apart from other verbs'."""

    def __init__(
        self, bench: Workbench, release: ReleaseBody, *, repository: str, steps: str
    ) -> None:
        git = release.git
        self.bench = bench
        self._usual_repository = repository
        self.release = release
        # The version says where its commit lies; the application's address is the usual place.
        self.repository = git.repository if git is not None and git.repository else repository
        self.ref = git.ref if git is not None else None
        self.commit = git.commit if git is not None else None
        self.path = bench.scope_dir / "mirror.git"
        self._steps = steps
        check_git(repository=self.repository, ref=self.ref, commit=self.commit)
        config = bench.scope_dir / "git.config"
        write_whole(config, commands.local_config(self.repository).encode())
        self._environment = commands.git_environment(
            self.repository, config=config, asked=bench.order.variables
        )

    async def commit_in_mirror(self) -> str:
        """The release's commit, fetched if it is not here yet, and pinned to the release.

        Pinned on first use, so that a branch that moves on between `stage` and `activate` cannot
        change what is made live. Raises `InvalidInput` in words when it cannot be had.
        """
        wanted = self.commit or read_pin(self.bench.scope_dir, self.release.release_id)
        await self._ensure_repository()
        if wanted is not None:
            await self._ensure_commit(wanted)
        else:
            await self._fetch()
            wanted = await self._resolve(self.ref or self.release.version)
        pin(self.bench.scope_dir, self.release.release_id, wanted)
        return wanted

    async def checkout(self, root: Path, commit: str) -> Path:
        """A whole checkout of the commit in `<root>/<commit>`; one that is there is left alone."""
        directory = root / commit
        marker = self.bench.scope_dir / "checkouts" / commit
        if _is_whole(marker, directory):
            return directory
        await self._step("clear", ("rm", "-rf", "--", str(directory)))
        await self._step("prune", commands.forget_missing_worktrees(self.path))
        code = await self._step("checkout", commands.add_worktree(self.path, directory, commit))
        if code != 0:
            raise invalid("git", f"could not check {commit[:12]} out into {directory}")
        write_whole(marker, str(directory).encode())
        return directory

    async def forget_missing(self) -> None:
        """After directories were removed: let git know."""
        if self.path.is_dir():
            await self._step("prune", commands.forget_missing_worktrees(self.path))

    async def _ensure_repository(self) -> None:
        await self._step("mirror", commands.init_mirror(self.path))
        if await self._succeeds(commands.is_repository(self.path)):
            return
        await self.bench.say("The mirror of the repository is broken: making it anew.")
        await self._step("clear-mirror", ("rm", "-rf", "--", str(self.path)))
        await self._step("mirror-anew", commands.init_mirror(self.path))

    async def _ensure_commit(self, commit: str) -> None:
        if await self._succeeds(commands.has_commit(self.path, commit)):
            return
        await self._fetch()
        if await self._succeeds(commands.has_commit(self.path, commit)):
            return
        # On no branch and no tag any more; some servers give it out all the same.
        fetch = commands.fetch(self.path, self.repository, commit)
        await self._step("fetch-commit", fetch, **self._access())
        if not await self._succeeds(commands.has_commit(self.path, commit)):
            raise invalid("git.commit", f"{self.repository} has no commit {commit}")

    async def _fetch(self) -> None:
        fetch = commands.fetch(self.path, self.repository)
        access = self._access()
        code = await self._step("fetch", fetch, **access)
        # A node that lost power leaves locks; here nobody but this order can hold one.
        if code != 0 and await off_loop(_remove_locks, self.path):
            code = await self._step("fetch-again", fetch, **access)
        if code != 0:
            told = f"could not be fetched from (git ended with {code}; its words are in the log)"
            raise invalid("git.repository", f"{self.repository} {told}")

    async def _resolve(self, ref: str) -> str:
        if commit_problem(ref) is None:
            await self._ensure_commit(ref)
            return ref
        check_git(repository=self.repository, ref=ref, commit=None)
        if await self._succeeds(commands.check_ref_format(ref)):
            for candidate in commands.candidate_refs(ref):
                code, output = await self._ask(commands.commit_of(self.path, candidate))
                if code == 0 and commit_problem(last_words(output)) is None:
                    return last_words(output)
        raise invalid(
            "git.ref",
            f"{self.repository} has no tag and no branch `{ref}`",
            "name one, or a full commit, in the version's `git`",
        )

    def _access(self) -> dict[str, str]:
        """What only a fetch gets, if the application names a credential."""
        credential = self.bench.secrets.credentials.get(GIT)
        if credential is None:
            return {}
        # Who may make versions may not thereby send the credential to a place of their own.
        use = self.bench.order.credentials.get(GIT)
        allowed = use.place if use and use.place else place_of(self._usual_repository).origin
        wanted = place_of(self.repository).origin
        if wanted.lower() != allowed.lower():
            told = f"is at {wanted}, and the application's credential is for {allowed}"
            mend = "make the version from the application's repository"
            raise invalid("git.repository", told, mend)
        return git_access(
            credential,
            self.repository,
            private=self.bench.private_dir,
            known_hosts=self.bench.scope_dir / "known_hosts",
        )

    async def _step(self, name: str, argv: commands.Argv, **access: str) -> int:
        env = {**self._environment, **access}
        return await self.bench.run(f"{self._steps}:{name}", argv, env=env)

    async def _ask(self, argv: commands.Argv) -> tuple[int, str]:
        return await self.bench.probe(argv, at_most=_PROBE_SECONDS, env=self._environment)

    async def _succeeds(self, argv: commands.Argv) -> bool:
        return (await self._ask(argv))[0] == 0


def pin(scope_dir: Path, release_id: str, commit: str) -> None:
    """Remember which commit a release means on this target."""
    write_whole(_pin_of(scope_dir, release_id), commit.encode())


def read_pin(scope_dir: Path, release_id: str) -> str | None:
    """The commit that a release was pinned to here, if it ever was."""
    try:
        text = _pin_of(scope_dir, release_id).read_text("ascii", "replace").strip()
    except FileNotFoundError:
        return None
    return text if commit_problem(text) is None else None


def _pin_of(scope_dir: Path, release_id: str) -> Path:
    return scope_dir / "releases" / safe_name(release_id) / _PIN


def _is_whole(marker: Path, directory: Path) -> bool:
    try:
        return marker.read_bytes() == str(directory).encode() and directory.is_dir()
    except FileNotFoundError:
        return False


def _remove_locks(mirror: Path) -> bool:
    locks = [*mirror.glob("*.lock"), *mirror.glob("refs/**/*.lock")]
    for lock in locks:
        lock.unlink(missing_ok=True)
    return bool(locks)
