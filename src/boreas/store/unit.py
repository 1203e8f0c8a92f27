"""What the parts of one transaction share."""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from boreas.domain.deployments import Deployment
from boreas.domain.ids import DeploymentId, EnvironmentId
from boreas.domain.projects import QueuePolicy
from boreas.engine.admission import Field
from boreas.engine.loaded import Loaded
from boreas.store.looks import Key, Looks
from boreas.store.recall import Recall
from boreas.store.saving import PendingWrites

V = TypeVar("V")


@dataclass(slots=True)
class Unit:
    """One transaction: its connection, the writes that wait, and what it learned meanwhile."""

    connection: AsyncConnection
    recall: Recall
    pending: PendingWrites
    looks: Looks | None = None
    """Set in reading transactions: what need not be asked again."""
    looks_from: int = 0
    """The generation of `looks` when this transaction began."""
    people_changed: bool = False
    """Somebody's standing is not what it was, once this is committed."""
    locked: dict[DeploymentId, int] = field(default_factory=dict)
    """Deployments whose rows this transaction holds, with their present revision."""
    read: dict[DeploymentId, Deployment] = field(default_factory=dict)
    loaded: dict[DeploymentId, Loaded] = field(default_factory=dict)
    """Whole snapshots that still are what the database would say."""
    saved: dict[DeploymentId, Deployment] = field(default_factory=dict)
    policies: dict[EnvironmentId, QueuePolicy] = field(default_factory=dict)
    around: Field | None = None
    """Locks and queue as this transaction has them; None until asked, and when locks were left."""
    fences: deque[int] = field(default_factory=deque)
    announced: dict[tuple[str, str], None] = field(default_factory=dict)
    outbox_numbers: list[int] = field(default_factory=list)
    notes: list[Callable[[int], Any]] = field(default_factory=list)
    """Entries of the audit trail, written last: each needs to know its place in the chain."""
    after_commit: list[Callable[[], None]] = field(default_factory=list)
    after_rollback: list[Callable[[], None]] = field(default_factory=list)

    async def seen(self, key: Key, ask: Callable[[], Awaitable[V]]) -> V:
        """What `ask` answers, or lately answered where this transaction only reads."""
        if self.looks is None:
            return await ask()
        known: V | None = self.looks.recall(key)
        if known is not None:
            return known
        found = await ask()
        self.looks.keep(key, found, self.looks_from)
        return found

    def undo(self) -> None:
        """Take back what was done beside the database."""
        for undo in self.after_rollback:
            undo()
