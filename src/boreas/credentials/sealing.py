"""One value in, one seal out: AES-256-GCM with a random nonce, bound to whose value it is.

A seal is one byte of format, 12 bytes of nonce, then ciphertext and tag. What it belongs to (kind,
owner, revision, project) is authenticated with it: pasted into another row it does not open.
"""

import json
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import structlog

from boreas.credentials.keys import KeyRing, SecretKey
from boreas.domain.ids import ProjectId
from boreas.domain.secrets import SealedSecret, SecretDamaged, SecretKind, SecretsUnavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

log = structlog.get_logger(__name__)

FORMAT: Final = b"\x01"
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16


class Sealer:
    """Seals with the current key, opens with any of the ring."""

    def __init__(self, ring: KeyRing) -> None:
        self.ring = ring

    @property
    def key_id(self) -> str:
        """Of the key that seals."""
        return self.ring.current.id

    def seal(
        self,
        kind: SecretKind,
        owner_id: str,
        revision: int,
        project_id: ProjectId | None,
        plaintext: bytes,
    ) -> bytes:
        """The seal of this value for this owner and no other."""
        nonce = os.urandom(NONCE_BYTES)
        belongs_to = _bound(kind, owner_id, revision, project_id)
        return FORMAT + nonce + _cipher(self.ring.current).encrypt(nonce, plaintext, belongs_to)

    def open(self, row: SealedSecret) -> bytes:
        """The value; `SecretsUnavailable` without its key, `SecretDamaged` if it was changed."""
        key = self.ring.find(row.key_id)
        if key is None:
            raise key_not_given((row.key_id,), self.ring.ids)
        whole = row.sealed
        if whole[:1] != FORMAT or len(whole) < 1 + NONCE_BYTES + TAG_BYTES:
            raise _alarm(row)
        from cryptography.exceptions import InvalidTag

        nonce, sealed = whole[1 : 1 + NONCE_BYTES], whole[1 + NONCE_BYTES :]
        belongs_to = _bound(row.kind, row.owner_id, row.revision, row.project_id)
        try:
            return _cipher(key).decrypt(nonce, sealed, belongs_to)
        except InvalidTag:
            raise _alarm(row) from None


@lru_cache(maxsize=16)
def _cipher(key: SecretKey) -> "AESGCM":
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key.derived("sealing"))


def _bound(kind: SecretKind, owner_id: str, revision: int, project_id: ProjectId | None) -> bytes:
    """Unambiguous: a list in JSON says where each part ends."""
    return json.dumps(["boreas", kind.value, owner_id, revision, project_id]).encode()


def key_not_given(missing: tuple[str, ...], given: tuple[str, ...]) -> SecretsUnavailable:
    """What is sealed needs keys that this server does not have."""
    names = ", ".join(missing)
    have = f"it has {', '.join(given)}" if given else "it has none"
    return SecretsUnavailable(
        f"Stored secrets are sealed with the key {names}, which this server was not given "
        f"({have}). Start it with that key in QUIC_FLOW_SECRET_KEY or QUIC_FLOW_SECRET_KEY_FILE; "
        "several are separated by commas, the first seals. Nothing was changed.",
        parameters={
            "code": "secret_key_wrong" if given else "secret_key_missing",
            "missing_keys": list(missing),
            "given_keys": list(given),
        },
    )


def _alarm(row: SealedSecret) -> SecretDamaged:
    """Nobody writes there but Boreas: whoever reads the log must hear of it, too."""
    found = _damaged(row)
    log.error(found.message, action="secret_damaged", kind=row.kind.value, key=row.key_id)
    return found


def _damaged(row: SealedSecret) -> SecretDamaged:
    return SecretDamaged(
        f"The stored secret of `{row.owner_id}`, revision {row.revision}, was changed outside "
        "Boreas; it is not used. Set its value anew.",
        parameters={
            "code": "secret_damaged",
            "owner_id": row.owner_id,
            "revision": row.revision,
            "key_id": row.key_id,
        },
    )
