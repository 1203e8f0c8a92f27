"""What really happened on the nodes, whatever anybody was told.

Fake agents write it down as they act; the invariants compare it with what the server believes.
"""

from dataclasses import dataclass, field

from boreas.domain.ids import ApplicationId, DeploymentId, ReleaseId, TargetId

Place = tuple[ApplicationId, TargetId]


@dataclass(slots=True)
class Deed:
    """What came of one order on its node."""

    begun: int = 0
    """How often its first verb was entered; more than once is a double execution."""
    finished: str | None = None
    """The outcome that the agent put on record."""


@dataclass(slots=True)
class Truth:
    """The nodes' real state."""

    live: dict[Place, ReleaseId | str | None] = field(default_factory=dict)
    """What runs there; `half <release>` when a change broke off in the middle."""
    changed: dict[tuple[DeploymentId, Place], None] = field(default_factory=dict)
    """Which places each deployment really changed."""
    deeds: dict[str, Deed] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    """Orders that stood in a journal once; only asked for membership: its order is never seen."""
    unsure: dict[Place, None] = field(default_factory=dict)
    """Places that lost their state or memory: nothing can be said until they are changed anew."""
    forgetful: dict[TargetId, None] = field(default_factory=dict)
    """Targets whose agent lost its journal at some time."""
    changes: int = 0

    def deed(self, order_id: str) -> Deed:
        """The record of this order."""
        return self.deeds.setdefault(order_id, Deed())

    def becomes(
        self, place: Place, release: ReleaseId | str | None, deployment_id: DeploymentId
    ) -> None:
        """Something else runs there now."""
        self.changed[deployment_id, place] = None
        self.live[place] = release
        self.unsure.pop(place, None)
        self.changes += 1
