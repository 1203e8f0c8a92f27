"""The vault: puts secret values away and gets them back, inside the caller's transaction.

Made by `server.wiring` from the key ring, unlocked once at start. A vault without the right key
stays locked: it answers every wish with what exactly is missing, and writes nothing.
"""

import hmac
import os
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

import structlog

from boreas.credentials.keys import MEND, VARIABLE, KeyRing
from boreas.credentials.ports import SecretsTx
from boreas.credentials.sealing import Sealer, key_not_given
from boreas.domain.errors import NotFound
from boreas.domain.ids import ProjectId
from boreas.domain.secrets import (
    SealedSecret,
    SecretDamaged,
    SecretKind,
    SecretRef,
    SecretsUnavailable,
)
from boreas.kit.clock import Clock

log = structlog.get_logger(__name__)

INSTALLATION: Final = SecretRef(owner_id="installation", revision=1)
"""The row whose opening proves the key. It holds what fingerprints are made with, so that they
stay the same when the key changes."""

TURN: Final = "secrets"
# Seals are counted in advance, a block at a time, so that a crash counts too many, never too few.
COUNTED_AT_ONCE: Final = 4096
WARN_AT: Final = 2**31
"""Half of the 2^32 seals after which two random nonces of one key might meet (NIST SP 800-38D)."""


class VaultState(StrEnum):
    """How people are told about the vault."""

    OPEN = "open"
    NO_KEY = "no_key"
    """No key was given, and nothing is sealed that would need one."""
    LOCKED = "locked"
    """Something is sealed with a key that was not given."""


class Vault:
    """Secrets by reference. `repr` shows key ids only."""

    def __init__(self, ring: KeyRing | None, clock: Clock) -> None:
        self._ring = ring
        self._clock = clock
        self._sealer: Sealer | None = None
        self._trouble: SecretsUnavailable = no_key()
        self._state = VaultState.NO_KEY
        self._fingerprints = b""
        self._sealed = 0
        self._counted = 0

    def __repr__(self) -> str:
        return f"Vault({self.state.value}, keys={self.key_ids})"

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Of the keys this server was given, the current one first."""
        return () if self._ring is None else self._ring.ids

    @property
    def state(self) -> VaultState:
        """Open, without a key, or locked."""
        return self._state

    @property
    def sealer(self) -> Sealer | None:
        """For `rotation` alone: what is open, opens here."""
        return self._sealer

    @property
    def trouble(self) -> SecretsUnavailable | None:
        """Why it is not open, in words with the mend."""
        return None if self._sealer is not None else self._trouble

    async def unlock(self, tx: SecretsTx) -> VaultState:
        """Try the keys on what is stored. Writes only if all of it can be opened."""
        await tx.meta.take_turn(TURN)
        used = await tx.secrets.key_counts()
        missing = tuple(sorted(set(used) - set(self.key_ids)))
        if missing:
            self._lock(key_not_given(missing, self.key_ids))
        elif self._ring is not None:
            await self._take_possession(tx, Sealer(self._ring))
        return self._state

    def _lock(self, because: SecretsUnavailable) -> None:
        self._trouble = because
        self._state = VaultState.LOCKED

    async def _take_possession(self, tx: SecretsTx, sealer: Sealer) -> None:
        row = (await tx.secrets.find([INSTALLATION])).get(INSTALLATION)
        if row is None:
            self._fingerprints = os.urandom(32)
            await tx.secrets.add(self._proof(sealer))
        else:
            try:
                self._fingerprints = sealer.open(row)
            except SecretDamaged as error:
                self._lock(SecretsUnavailable(error.message, parameters=error.parameters))
                return
        self._sealer = sealer
        self._state = VaultState.OPEN
        await self.count_ahead(tx)

    def _proof(self, sealer: Sealer) -> SealedSecret:
        kind = SecretKind.INSTALLATION
        return SealedSecret(
            kind=kind,
            owner_id=INSTALLATION.owner_id,
            revision=INSTALLATION.revision,
            key_id=sealer.key_id,
            sealed=sealer.seal(
                kind, INSTALLATION.owner_id, INSTALLATION.revision, None, self._fingerprints
            ),
            created_at=self._clock.now(),
        )

    async def put(
        self,
        tx: SecretsTx,
        kind: SecretKind,
        owner_id: str,
        project_id: ProjectId | None,
        plaintext: bytes,
    ) -> SecretRef:
        """Seal a value as the owner's next revision.

        `SecretsUnavailable` says which key is missing, and nothing is written.
        """
        sealer = self._opened()
        await self._refuse_after_rotation(tx, sealer)
        revision = await tx.secrets.next_revision(owner_id)
        row = SealedSecret(
            kind=kind,
            owner_id=owner_id,
            revision=revision,
            project_id=project_id,
            key_id=sealer.key_id,
            sealed=sealer.seal(kind, owner_id, revision, project_id, plaintext),
            created_at=self._clock.now(),
        )
        self._sealed += 1
        await tx.secrets.add(row)
        return row.ref

    async def _refuse_after_rotation(self, tx: SecretsTx, sealer: Sealer) -> None:
        """Another server may have moved on to a key that this one does not have."""
        row = (await tx.secrets.find([INSTALLATION])).get(INSTALLATION)
        if row is None or sealer.ring.find(row.key_id) is None:
            raise key_not_given(() if row is None else (row.key_id,), self.key_ids)

    async def open(self, tx: SecretsTx, ref: SecretRef) -> bytes:
        """The value. `NotFound` if this revision is gone, `SecretDamaged` if it was changed."""
        return (await self.open_all(tx, [ref]))[ref]

    async def open_all(self, tx: SecretsTx, refs: Sequence[SecretRef]) -> Mapping[SecretRef, bytes]:
        """Several values with one question to the database."""
        if not refs:
            return {}
        sealer = self._opened()
        rows = await tx.secrets.find(refs)
        for ref in refs:
            if ref not in rows:
                raise NotFound(
                    f"The secret of `{ref.owner_id}`, revision {ref.revision}, is gone.",
                    parameters={"owner_id": ref.owner_id, "revision": ref.revision},
                )
        return {ref: sealer.open(rows[ref]) for ref in refs}

    def refuse_if_locked(self) -> None:
        """`SecretsUnavailable` unless secrets can be stored."""
        self._opened()

    def fingerprint(self, plaintext: bytes) -> str:
        """Tells whether two values are the same, to who has no way to guess them by trying."""
        self._opened()
        return hmac.digest(self._fingerprints, plaintext, "sha256")[:8].hex()

    def _opened(self) -> Sealer:
        if self._sealer is None:
            raise _again(self._trouble)
        return self._sealer

    @property
    def should_count_ahead(self) -> bool:
        """Is half of what was counted used?"""
        return self._counted - self._sealed <= COUNTED_AT_ONCE // 2

    async def count_ahead(self, tx: SecretsTx, *, by: int = COUNTED_AT_ONCE) -> None:
        """Count the next block of seals, once half of the last one is used; or seals made now."""
        sealer = self._opened()
        if by == COUNTED_AT_ONCE:
            if not self.should_count_ahead:
                return
            self._counted += by
        await tx.meta.take_turn(TURN)
        name = f"secrets.sealed_with.{sealer.key_id}"
        total = int(await tx.meta.get(name) or 0) + by
        await tx.meta.put(name, str(total))
        if total >= WARN_AT:
            log.warning(
                "this key has sealed so much that it should be replaced",
                action="secret_key_worn",
                key=sealer.key_id,
                seals=total,
            )


def no_key() -> SecretsUnavailable:
    """Storing secrets is the one thing that needs a key."""
    return SecretsUnavailable(
        f"This server has no key to keep secrets with. Set {VARIABLE} or {VARIABLE}_FILE to 32 "
        f"random bytes ({MEND}), keep a copy of it, and restart.",
        parameters={"code": "secret_key_not_set"},
    )


def _again(error: SecretsUnavailable) -> SecretsUnavailable:
    """A fresh one each time: raising one object twice would chain its tracebacks."""
    return SecretsUnavailable(error.message, parameters=error.parameters)
