"""Git command lines as plain tuples, and the environment that keeps git to what is asked of it.

Pure. Hooks, file-system monitors, submodules, remote helpers and everybody else's configuration are
off; the only protocol is the repository's own. Names from outside stand behind `--end-of-options`
and have passed `boreas.domain.git_names` before.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from boreas.domain.git_names import protocols_of

Argv = tuple[str, ...]

_SETTINGS: Final = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "protocol.ext.allow=never",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "credential.helper=",
    # Nobody else uses the mirror, and a collection in the background would hold its locks.
    "gc.auto=0",
    "maintenance.auto=false",
    # A server that sends next to nothing for a minute counts as gone.
    "http.lowSpeedLimit=100",
    "http.lowSpeedTime=60",
)
_ALL_REFS: Final = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")


def git(mirror: Path, *arguments: str) -> Argv:
    """A git command on the mirror with everything dangerous switched off."""
    settings = tuple(part for one in _SETTINGS for part in ("-c", one))
    return ("git", *settings, "-c", f"safe.directory={mirror}", f"--git-dir={mirror}", *arguments)


def init_mirror(mirror: Path) -> Argv:
    """Make an empty bare repository, or leave the one that is there as it is."""
    return git(mirror, "init", "--bare", "--quiet", "--template=")


def is_repository(mirror: Path) -> Argv:
    """Ends with 0 when the mirror is a repository that git can use."""
    return git(mirror, "rev-parse", "--is-bare-repository")


def fetch(mirror: Path, repository: str, *refspecs: str) -> Argv:
    """Bring all branches and tags, or only the given ones, into the mirror."""
    options = ("--force", "--no-recurse-submodules", "--no-write-fetch-head", "--no-tags")
    prune = () if refspecs else ("--prune",)
    return git(
        mirror, "fetch", *options, *prune, "--end-of-options", repository, *(refspecs or _ALL_REFS)
    )


def has_commit(mirror: Path, commit: str) -> Argv:
    """Ends with 0 when the commit is in the mirror."""
    return git(mirror, "cat-file", "-e", f"{commit}^{{commit}}")


def check_ref_format(ref: str) -> Argv:
    """Ends with 0 when git itself takes this for a name."""
    return ("git", "check-ref-format", "--allow-onelevel", ref)


def commit_of(mirror: Path, full_ref: str) -> Argv:
    """Prints the commit that a ref (`refs/...`) names."""
    return git(mirror, "rev-parse", "--verify", "--quiet", f"{full_ref}^{{commit}}")


def sizes_of(mirror: Path, commit: str) -> Argv:
    """Prints the size of each file of a commit."""
    return git(mirror, "ls-tree", "-r", "--full-tree", "--format=%(objectsize)", commit)


def forget_missing_worktrees(mirror: Path) -> Argv:
    """Let the mirror forget checkouts whose directories are gone."""
    return git(mirror, "worktree", "prune", "--expire=now")


def add_worktree(mirror: Path, directory: Path, commit: str) -> Argv:
    """Check a commit out into a new directory."""
    return git(
        mirror, "worktree", "add", "--quiet", "--force", "--detach", "--end-of-options",
        str(directory), commit,
    )  # fmt: skip


def read_tree(mirror: Path, checkout: Path, commit: str) -> Argv:
    """Fill the index named by `GIT_INDEX_FILE` with a commit; the checkout stays as it is."""
    return git(mirror, f"--work-tree={checkout}", "read-tree", commit)


def refresh_index(mirror: Path, checkout: Path) -> Argv:
    """Compare times and sizes, so that only files which look changed are read."""
    return git(mirror, f"--work-tree={checkout}", "update-index", "-q", "--refresh")


def changed(mirror: Path, checkout: Path, commit: str) -> Argv:
    """Prints the tracked files that differ from the commit, each ended by NUL."""
    return git(
        mirror, f"--work-tree={checkout}", "diff-index", "--name-only", "--no-ext-diff",
        "--no-textconv", "-z", commit, "--",
    )  # fmt: skip


def restore(mirror: Path, checkout: Path) -> Argv:
    """Write every file of the index that differs in the checkout."""
    return git(mirror, f"--work-tree={checkout}", "checkout-index", "--force", "--all")


def candidate_refs(ref: str) -> tuple[str, ...]:
    """What a short name may mean, most likely first; a full one means itself."""
    return (ref,) if ref.startswith("refs/") else (f"refs/tags/{ref}", f"refs/heads/{ref}")


def git_environment(repository: str, *, config: Path, asked: Mapping[str, str]) -> dict[str, str]:
    """Variables for every git command; the order's own (`asked`) may name an ssh command."""
    environment = {
        "GIT_ALLOW_PROTOCOL": protocols_of(repository),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(config),
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_PROTOCOL_FROM_USER": "0",
    }
    if "GIT_SSH_COMMAND" not in asked:
        environment["GIT_SSH_COMMAND"] = "ssh -oBatchMode=yes"
    return environment


def local_config(repository: str) -> str:
    """The only configuration file git reads besides the mirror's own.

    For a repository on this very node it says that reading it is wanted although somebody else owns
    it: git's server half asks for that and does not see `-c`.
    """
    path = repository.removeprefix("file://")
    if not path.startswith("/"):
        return ""
    quoted = path.replace("\\", "\\\\").replace('"', '\\"').rstrip("/")
    return f'[safe]\n\tdirectory = "{quoted}"\n\tdirectory = "{quoted}/.git"\n'
