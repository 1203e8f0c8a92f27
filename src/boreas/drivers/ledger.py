"""What a scope runs now and ran before: `<scope_dir>/current.json`.

Every driver marks it uncertain before it changes anything and certain afterwards, so that a node
that lost power in between never claims a version it may not run. `retire` reads its history.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from boreas.domain.orders import ReleaseBody
from boreas.drivers.files import read_json, write_json

KEEP_LAST: Final = 5
_LEDGER: Final = "current.json"
# Enough to find the last five even after many deployments that were all taken back.
_REMEMBERED: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The live release, whether that is sure, and the ones before it, newest first."""

    release_id: str | None = None
    version: str | None = None
    certain: bool = False
    history: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    readable: bool = True
    """False when the file is there but broken: then nothing may be removed."""


def read_ledger(scope_dir: Path) -> Ledger:
    """What is known of this scope; an empty ledger before the first deployment."""
    try:
        document = read_json(scope_dir / _LEDGER)
    except (ValueError, OSError):
        return Ledger(readable=False)
    if document is None:
        return Ledger()
    return Ledger(
        release_id=document.get("release_id"),
        version=document.get("version"),
        certain=bool(document.get("certain")),
        history=tuple(document.get("history", ())),
        facts=document.get("facts", {}),
    )


def change_begins(scope_dir: Path, release: ReleaseBody) -> None:
    """From now on it is not sure what is live."""
    _write(scope_dir, release, certain=False, facts={})


def change_is_done(scope_dir: Path, release: ReleaseBody, **facts: Any) -> None:
    """This release is live."""
    _write(scope_dir, release, certain=True, facts=facts)


def releases_to_keep(
    ledger: Ledger, *, needed: Collection[str], last: int = KEEP_LAST
) -> frozenset[str]:
    """The live release, the last ones that were live, and those a rollback may need."""
    live = () if ledger.release_id is None else (ledger.release_id,)
    return frozenset((*live, *ledger.history[:last], *needed))


def _write(
    scope_dir: Path, release: ReleaseBody, *, certain: bool, facts: Mapping[str, Any]
) -> None:
    history = read_ledger(scope_dir).history
    if certain:
        older = (one for one in history if one != release.release_id)
        history = (release.release_id, *older)[:_REMEMBERED]
    write_json(
        scope_dir / _LEDGER,
        {
            "release_id": release.release_id,
            "version": release.version,
            "certain": certain,
            "history": list(history),
            "facts": dict(facts),
        },
    )
