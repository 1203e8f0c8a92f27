"""Remove what nothing needs any more, and never what a rollback needs."""

from pathlib import Path

from boreas.domain.ports import Workbench
from boreas.drivers.files import off_loop, remove_tree
from boreas.drivers.ledger import KEEP_LAST, read_ledger, releases_to_keep
from boreas.drivers.verbs import releases_needed


async def prune_release_dirs(bench: Workbench, *, last: int = KEEP_LAST) -> None:
    """Remove old directories under `<scope_dir>/releases`.

    A ledger that cannot be read removes nothing: what a rollback needs would be a guess.
    """
    ledger = read_ledger(bench.scope_dir)
    if not ledger.readable:
        await bench.say("The record of what is live cannot be read: nothing is removed.")
        return
    keep = releases_to_keep(ledger, needed=releases_needed(bench.order), last=last)
    for directory in unneeded(bench.scope_dir / "releases", keep):
        await off_loop(remove_tree, directory)
        await bench.say(f"Removed the release {directory.name}, which nothing needs any more.")


def unneeded(root: Path, keep: frozenset[str]) -> tuple[Path, ...]:
    """Plain directories below `root` that are not to be kept; links are left alone."""
    if not root.is_dir():
        return ()
    found = (one for one in sorted(root.iterdir()) if one.is_dir() and not one.is_symlink())
    return tuple(one for one in found if one.name not in keep)
