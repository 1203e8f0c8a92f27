"""The sources of a build: a checkout of one commit, clean, and nothing outside of it.

The repository is not trusted: a Dockerfile or a context that is a link out of the checkout, hooks,
submodules and enormous trees are refused in words before the engine sees anything.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from boreas.domain.builds import BuildPlan
from boreas.domain.errors import invalid

MOST_BYTES: Final = 1_000_000_000
"""Of all files of the commit together; a context is sent to the engine whole."""


def refuse_if_too_large(sizes: Iterable[int], commit: str, *, most: int) -> None:
    """Raise `InvalidInput` when the files of a commit are more than a build takes."""
    total = sum(sizes)
    if total > most:
        told = f"has {total / 1e6:,.0f} MB of files, and a build takes {most / 1e6:,.0f} MB"
        raise invalid("git", f"commit {commit[:12]} {told}", "keep large files out of it")


def sizes_in(listing: str) -> Iterator[int]:
    """The sizes in what `git ls-tree --format=%(objectsize)` printed; `-` for a submodule."""
    return (int(line) for line in listing.split() if line.isdigit())


def size_of(directory: Path, most: int) -> int:
    """Bytes of all files below a directory; counting ends when it is too much."""
    total = 0
    for folder, _, names in os.walk(directory):
        total += sum(os.lstat(os.path.join(folder, name)).st_size for name in names)
        if total > most:
            break
    return total


def clean(checkout: Path) -> None:
    """Take away what git left beside the files; submodules were never fetched."""
    mark = checkout / ".git"
    if mark.is_symlink() or mark.is_file():
        mark.unlink()
    elif mark.is_dir():
        shutil.rmtree(mark)


def context_in(checkout: Path, plan: BuildPlan) -> Path:
    """The directory that is sent; `InvalidInput` when it is not there or lies elsewhere."""
    found = _inside(checkout, plan.build_context, "build.build_context")
    if not found.is_dir():
        raise invalid("build.build_context", f"`{plan.build_context}` is no directory there")
    return found


def dockerfile_in(checkout: Path, plan: BuildPlan) -> Path:
    """The Dockerfile, named from the root of the repository, else from the context."""
    named = Path(plan.build_context) / plan.dockerfile
    for path in (plan.dockerfile, str(named)):
        found = _inside(checkout, path, "build.dockerfile")
        if found.is_file():
            return found
    raise invalid("build.dockerfile", f"the commit has no file `{plan.dockerfile}`")


def _inside(checkout: Path, path: str, field: str) -> Path:
    root = checkout.resolve(strict=True)
    found = (root / path).resolve()
    if not found.is_relative_to(root):
        raise invalid(
            field, f"`{path}` is a link out of the repository", "put the file itself there"
        )
    return found
