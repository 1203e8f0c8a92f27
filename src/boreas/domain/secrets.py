"""Secret values as everybody but the vault sees them: a reference, or bytes that are sealed.

Nouns, releases and orders carry a `SecretRef`; `boreas.credentials.vault` turns one into plaintext
at the last moment, inside a transaction. Nothing here can show a value.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from boreas.domain.errors import BoreasError, ErrorCode
from boreas.domain.ids import ProjectId

CHANNEL_SECRETS: Final = "boreas_secrets"
"""On which servers tell each other that a secret has a new value; a lost word is only a delay."""


class SecretKind(StrEnum):
    """What a sealed value is; bound into the seal."""

    CREDENTIAL = "credential"
    VARIABLE = "variable"
    AUTHORITY = "authority"
    """The private key by which servers and agents know each other."""
    INSTALLATION = "installation"
    """What fingerprints are made with; opening it proves the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRef:
    """One revision of one owner's secret; a revision never changes its value."""

    owner_id: str
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedSecret:
    """A row of the one table of ciphertexts.

    Everything but `key_id` and `created_at` is authenticated by the seal, so that a row cannot be
    passed off as another's.
    """

    kind: SecretKind
    owner_id: str
    revision: int
    project_id: ProjectId | None = None
    key_id: str
    sealed: bytes = field(repr=False)
    created_at: datetime

    @property
    def ref(self) -> SecretRef:
        """How others name it."""
        return SecretRef(owner_id=self.owner_id, revision=self.revision)

    @property
    def place(self) -> str:
        """Where it lies among all; nothing follows from it but an order."""
        return f"{self.owner_id}/{self.revision}"


class SecretsUnavailable(BoreasError):
    """Secrets cannot be stored or opened with the keys this server was given."""

    code = ErrorCode.UNAVAILABLE


class SecretDamaged(BoreasError):
    """A sealed value is not what was stored: it was changed, cut or put in another's place."""

    code = ErrorCode.CONFLICT
