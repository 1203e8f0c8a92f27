"""Which tracked files of a checkout are not as its commit has them.

Asked with an index of Boreas' own beside the mirror, so the checkout's `.git` file, which anybody
may have written, is never believed, and the user's own index stays as it is.
"""

from pathlib import Path

from boreas.domain.errors import invalid
from boreas.domain.ports import Workbench
from boreas.drivers import git_commands as commands

_SECONDS = 50.0
MOST_FILES = 500
# 1: something is changed.
_REFRESHED = (0, 1)


async def changed_files(bench: Workbench, checkout: Path, commit: str) -> tuple[str, ...] | None:
    """Their paths, sorted, the first `MOST_FILES`; None when git cannot say."""
    mirror = bench.scope_dir / "mirror.git"
    if not mirror.is_dir() or not checkout.is_dir():
        return None
    env = _environment(bench, commit)
    index = Path(env["GIT_INDEX_FILE"])
    # Left by a git that was stopped; looks and orders of one scope never overlap.
    index.with_name(f"{index.name}.lock").unlink(missing_ok=True)
    if not index.exists():
        index.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for older in index.parent.iterdir():
            older.unlink()
        read = commands.read_tree(mirror, checkout, commit)
        if (await bench.probe(read, at_most=_SECONDS, env=env))[0] != 0:
            return None
    refresh = commands.refresh_index(mirror, checkout)
    code, _ = await bench.probe(refresh, at_most=_SECONDS, env=env)
    if code not in _REFRESHED:
        return None
    code, output = await bench.probe(
        commands.changed(mirror, checkout, commit), at_most=_SECONDS, env=env
    )
    if code != 0:
        return None
    return tuple(sorted(name for name in output.split("\0") if name)[:MOST_FILES])


async def restore_files(bench: Workbench, checkout: Path, commit: str, *, step: str) -> None:
    """The tracked files are as the commit has them; others are left alone."""
    changed = await changed_files(bench, checkout, commit)
    if not changed:
        return
    await bench.say(f"Changed since it was checked out, put back: {', '.join(changed[:20])}")
    mirror = bench.scope_dir / "mirror.git"
    argv = commands.restore(mirror, checkout)
    if await bench.run(step, argv, env=_environment(bench, commit)) != 0:
        raise invalid("git", f"could not put back the changed files of {checkout}")


def _environment(bench: Workbench, commit: str) -> dict[str, str]:
    config = bench.scope_dir / "git.config"
    index = bench.scope_dir / "looks" / commit
    return {
        **commands.git_environment("", config=config, asked=bench.order.variables),
        "GIT_INDEX_FILE": str(index),
    }
