"""What the store hands the runtime for a deployment: its snapshot, and what orders say besides."""

from dataclasses import dataclass

from boreas.engine.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A snapshot, and the names that orders carry besides."""

    snapshot: Snapshot
    project: str
    environment: str
