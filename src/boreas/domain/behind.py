"""Which version is wanted in a place where another one runs as it was deployed. Pure.

Two things want one: the environment itself (the last deployment into it that succeeded or failed
and was not taken back brought another version than runs here), and the environments before it in
the project's order of promotion (one of them runs a version that was made later).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from boreas.domain.drift import Newer


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the environment itself was last to run; `version_id` is None after a way back."""

    number: int
    version_id: str | None
    version: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """What an environment that comes before runs."""

    environment: str
    version_id: str
    version: str
    sequence: int
    since: datetime | None = None


def newer_for(
    version_id: str | None, sequence: int, wanted: Wanted | None, ahead: Sequence[Ahead]
) -> Newer | None:
    """Why a place with this version (None: nothing is live there) is behind, if it is."""
    if wanted is not None and wanted.version_id not in (None, version_id):
        text = f"{wanted.version} was last deployed to this environment (#{wanted.number})"
        assert wanted.version_id is not None
        return Newer(
            version_id=wanted.version_id, version=wanted.version, text=text, since=wanted.at
        )
    later = [it for it in ahead if version_id is not None and it.sequence > sequence]
    if not later:
        return None
    newest = max(later, key=lambda it: it.sequence)
    text = f"{newest.environment}, which comes before, runs {newest.version}"
    return Newer(
        version_id=newest.version_id, version=newest.version, text=text, since=newest.since
    )
