"""What `boreas apply` and `boreas diff` have in common: compare every project of the files."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from boreas.cli.client import Client
from boreas.cli.manifests.applying import Applier
from boreas.cli.manifests.differences import Change
from boreas.cli.manifests.documents import read_projects
from boreas.cli.output import Output


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One project: what differs, and who can mend it."""

    project: str
    applier: Applier
    changes: list[Change]

    @property
    def differences(self) -> list[Change]:
        """Without what is only said."""
        return [change for change in self.changes if change.is_difference]


async def compared(
    client: Client, file: Path, *, prune: bool, update_secrets: bool = False
) -> AsyncIterator[Compared]:
    """Project after project; all files are read and judged before the first."""
    for wanted in read_projects(file):
        applier = Applier(client, wanted, prune=prune, update_secrets=update_secrets)
        changes = await applier.changes()
        yield Compared(project=wanted.name, applier=applier, changes=changes)


def as_document(found: list[Compared], *, applied: bool) -> dict[str, object]:
    """The whole answer for programs."""
    changes = [
        {"project": each.project, **change.document()}
        for each in found
        for change in each.differences
    ]
    return {"applied": applied, "changes": changes}


def show_difference(out: Output, found: list[Compared]) -> None:
    """The difference is the result: it goes to stdout."""
    lines = [line for each in found for change in each.changes for line in change.lines()]
    summary = said(sum(len(each.differences) for each in found), applied=False)
    out.result(as_document(found, applied=False), "\n".join([*lines, summary]))


def said(count: int, *, applied: bool) -> str:
    """How many things differ, and what became of that."""
    if count == 0:
        return "Nothing differs."
    things = "1 thing" if count == 1 else f"{count} things"
    return f"{things} changed." if applied else f"{things} would change."
