"""What the vault needs of a transaction; `boreas.store.secrets` fits it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from boreas.domain.ids import ProjectId
from boreas.domain.secrets import SealedSecret, SecretRef


class SecretRows(Protocol):
    """The one table of ciphertexts."""

    async def next_revision(self, owner_id: str) -> int:
        """One more than the last of this owner. Of two who add the same, one meets `Conflict`."""
        ...

    async def add(self, row: SealedSecret) -> None:
        """Store a new revision."""
        ...

    async def find(self, refs: Sequence[SecretRef]) -> Mapping[SecretRef, SealedSecret]:
        """Those that are there."""
        ...

    async def key_counts(self) -> Mapping[str, int]:
        """How many rows each key sealed."""
        ...

    async def sealed_with_others(
        self, key_id: str, *, after: str, limit: int
    ) -> Sequence[SealedSecret]:
        """Rows that other keys sealed, by place, after this place."""
        ...

    async def reseal(self, rows: Sequence[SealedSecret], before: Sequence[str]) -> int:
        """Put other seals in the places of these; how many still had the key they had before."""
        ...

    async def remove_of(self, owner_id: str, *, keep: Sequence[int] = ()) -> None:
        """Forget an owner's revisions, except perhaps some."""
        ...

    async def remove_in(self, project_id: ProjectId) -> None:
        """Forget all of a project."""
        ...


class Facts(Protocol):
    """Small facts of the installation."""

    async def take_turn(self, name: str) -> None: ...
    async def get(self, name: str) -> str | None: ...
    async def put(self, name: str, value: str) -> None: ...


class SecretsTx(Protocol):
    """A transaction, as far as the vault looks."""

    @property
    def secrets(self) -> SecretRows: ...
    @property
    def meta(self) -> Facts: ...
